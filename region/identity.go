package region

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/hashicorp/raft"

	"github.com/nearside/nearside/core"
)

// identityFile is beside the log. It says whose log that is.
const identityFile = "store.json"

// identity is what a disk says of itself. A vote is only worth what its disk remembers, so Raft knows a
// home node by its name and its store: with another disk it is another voter.
type identity struct {
	ofStore
	Initial []Voter `json:"initial,omitempty"` // the home nodes of a deployment that begins with this store
}

// ofStore is what a home node tells the others of its disk.
type ofStore struct {
	Deployment  string `json:"deployment,omitempty"` // random, made when the deployment was; "" before a leader told it
	Store       string `json:"store"`                // random, made with the log's directory
	Incarnation uint64 `json:"incarnation"`          // raised at every start
}

// serverID is how Raft knows a node with a store.
func serverID(node, store string) raft.ServerID { return raft.ServerID(node + "@" + store) }

// splitID is the inverse of serverID.
func splitID(id raft.ServerID) (node, store string) {
	node, store, _ = strings.Cut(string(id), "@")
	return node, store
}

func nodeOf(id raft.ServerID) string {
	node, _ := splitID(id)
	return node
}

// newName gives a random name of 26 characters.
func newName() string { return strings.ToLower(rand.Text()) }

// Initialise says that a new deployment begins with the home node whose region has this directory. The
// other home nodes join it when they start. It happens once for a deployment: a node with an empty
// directory that was not initialised never makes a log of its own, because it cannot know whether its disk
// was lost. It fails if the directory has a log or an identity already.
func Initialise(dir string, voters []Voter) error {
	if len(voters) == 0 {
		return errors.New("region: a deployment has at least one home node")
	}
	has, err := initialised(dir)
	if err != nil {
		return err
	}
	if has {
		return core.E(core.KindConflict, "%s belongs to a deployment already", dir)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("making the home's directory: %w", err)
	}
	return saveIdentity(dir, identity{ofStore{Deployment: newName(), Store: newName()}, voters})
}

// initialised reports whether a directory belongs to a deployment.
func initialised(dir string) (bool, error) {
	for _, name := range []string{identityFile, "log"} {
		_, err := os.Stat(filepath.Join(dir, name))
		if err == nil {
			return true, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return false, fmt.Errorf("looking for a log: %w", err)
		}
	}
	return false, nil
}

func loadIdentity(dir string) (id identity, err error) {
	raw, err := os.ReadFile(filepath.Join(dir, identityFile))
	if errors.Is(err, fs.ErrNotExist) {
		return id, nil
	}
	if err == nil {
		err = json.Unmarshal(raw, &id)
	}
	if err != nil {
		return id, fmt.Errorf("reading the store's identity: %w", err)
	}
	return id, nil
}

// saveIdentity replaces the file so that a crash leaves the old one or the new one.
func saveIdentity(dir string, id identity) error {
	raw, err := json.MarshalIndent(id, "", "  ")
	if err != nil {
		return err
	}
	err = replaceFile(filepath.Join(dir, identityFile), append(raw, '\n'))
	if err != nil {
		return fmt.Errorf("writing the store's identity: %w", err)
	}
	return nil
}

func replaceFile(path string, content []byte) (err error) {
	f, err := os.OpenFile(path+".new", os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	if _, err = f.Write(content); err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(path+".new", path); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
