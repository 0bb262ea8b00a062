package node

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/nearside/nearside/cmd/admin"
	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/replication/link"
)

// renewBefore is how long before its end a certificate is renewed.
const renewBefore = link.NodeValidity / 3

// Authority gives the deployment's authority from dir; it makes one at the first start. An empty name means
// a random one.
func Authority(dir, deployment string, now time.Time) (*link.CA, error) {
	ca, err := link.LoadCA(dir)
	if !errors.Is(err, fs.ErrNotExist) {
		return ca, err
	}
	if deployment == "" {
		var b [6]byte
		_, _ = rand.Read(b[:]) // crypto/rand never returns an error
		deployment = "d-" + hex.EncodeToString(b[:])
	}
	ca, err = link.NewCA(deployment, now)
	if err != nil {
		return nil, err
	}
	if err := ca.Save(dir); err != nil {
		return nil, fmt.Errorf("save authority: %w", err)
	}
	return ca, nil
}

// Certify gives a node its certificate, unless it has a good one already. A node keeps its key, because the log knows it.
func Certify(ca *link.CA, cfg Config, now time.Time) error {
	want := cfg.identity()
	want.Deployment = ca.Deployment
	got, err := link.LoadCredentials(cfg.PKI)
	same := err == nil && got.Identity.URI().String() == want.URI().String()
	if same && got.Valid(now.Add(renewBefore)) == nil {
		return nil
	}
	var cred *link.Credentials
	if same {
		cred, err = ca.Again(got, now)
	} else {
		cred, err = ca.Issue(want, now, link.NodeValidity)
	}
	if err != nil {
		return fmt.Errorf("certificate of %s: %w", cfg.Name, err)
	}
	if err := cred.Save(cfg.PKI); err != nil {
		return fmt.Errorf("save certificate of %s: %w", cfg.Name, err)
	}
	return nil
}

func (cfg Config) identity() link.Identity {
	id := link.Identity{Region: cfg.Region, Node: cfg.Name}
	for _, r := range cfg.Roles {
		id.Roles = append(id.Roles, link.Role(r))
	}
	return id
}

// Credentials loads the node's certificate. Only the first node of a deployment may make its own: it is the
// only home node, and no other node can have an authority.
func (cfg Config) Credentials(now time.Time) (*link.Credentials, error) {
	if cfg.Identity != nil {
		return cfg.Identity, nil
	}
	cred, err := link.LoadCredentials(cfg.PKI)
	if errors.Is(err, fs.ErrNotExist) && len(cfg.Home) == 0 {
		if err = cfg.found(now); err == nil {
			cred, err = link.LoadCredentials(cfg.PKI)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("certificate in %s: %w", cfg.PKI, err)
	}
	if cfg.Is(RoleHome) && cred.Valid(now) != nil { // it was away for long
		if ca, err := admin.Issuer(cfg.PKI, now); err == nil {
			if again, err := ca.Again(cred, now); err == nil {
				cred = again
			}
		}
	}
	want := cfg.identity()
	want.Deployment = cred.Identity.Deployment
	if got, want := cred.Identity.URI().String(), want.URI().String(); got != want {
		return nil, core.E(core.KindInvalid, "the certificate in %s is of %s, but the configuration says %s", cfg.PKI, got, want)
	}
	return cred, nil
}

// found makes the authority of a new deployment, its issuer and the node's own certificate.
func (cfg Config) found(now time.Time) error {
	ca, err := Authority(cfg.PKI, "", now)
	if err != nil {
		return err
	}
	issuer, err := GiveIssuer(ca, cfg, now)
	if err != nil {
		return err
	}
	return Certify(issuer, cfg, now)
}

// GiveIssuer gives a home node an issuer, unless it has one, and returns it.
func GiveIssuer(ca *link.CA, cfg Config, now time.Time) (*link.CA, error) {
	issuer, err := link.LoadIssuer(cfg.PKI)
	if errors.Is(err, fs.ErrNotExist) {
		if issuer, err = ca.NewIssuer(now); err == nil {
			err = issuer.Save(cfg.PKI)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("issuer of %s: %w", cfg.Name, err)
	}
	return issuer, nil
}

// WriteFile replaces a file atomically.
func WriteFile(path string, data []byte, mode os.FileMode) error {
	tmp := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".new")
	if err := os.WriteFile(tmp, data, mode); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return os.Rename(tmp, path)
}
