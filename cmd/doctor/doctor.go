// Package doctor tries everything that a node with a given configuration needs, and says what is wrong and
// which key of the configuration must be corrected.
package doctor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/nearside/nearside/cdn/disk"
	"github.com/nearside/nearside/cdn/s3"
	"github.com/nearside/nearside/cdn/scan"
	"github.com/nearside/nearside/cmd/node"
	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/pg"
	"github.com/nearside/nearside/edge/assets"
)

// Finding is one thing that Diagnose has tried.
type Finding struct {
	Key     string `json:"key"`     // of the configuration
	Verdict string `json:"verdict"` // ok, warning or bad
	Says    string `json:"says"`
}

// The verdicts. With a warning a node starts; with something bad it does not start, or does not work well.
const (
	VerdictOK      = "ok"
	VerdictWarning = "warning"
	VerdictBad     = "bad"
)

const (
	doctorLimit = 30 * time.Second // for everything
	lowDisk     = 2 << 30
	maxProbeMB  = 1 << 10 // sent to the scanner
	soonExpires = 14 * 24 * time.Hour
)

// Diagnose tries everything outside the process that a node with this configuration needs, as far as that
// is possible without starting the node. It changes nothing, except that it writes a test object to the
// bucket and removes it.
func Diagnose(ctx context.Context, cfg node.Config) []Finding {
	cfg = cfg.WithDefaults()
	d := &doctor{cfg: cfg}
	d.data()
	d.look("pki", d.pki)
	if !d.running {
		d.listeners()
		d.look("postgres", func() (string, error) { return d.postgres(ctx) })
	}
	d.look("files", func() (string, error) { return d.files(ctx) })
	if cfg.Client.TLS.Cert != "" {
		d.look("client.tls", d.tls)
	}
	if cfg.Client.Assets != "" {
		d.look("client.assets", d.assets)
	}
	if cfg.Files.Clamd != "" {
		d.look("files.clamd", func() (string, error) { return d.clamd(ctx) })
	}
	return d.found
}

type doctor struct {
	cfg     node.Config
	running bool // the node itself is running and uses its addresses
	found   []Finding
}

// warning is an error that does not keep a node from starting.
type warning struct{ error }

func (d *doctor) look(key string, at func() (string, error)) {
	says, err := at()
	switch w := (warning{}); {
	case errors.As(err, &w):
		d.add(key, VerdictWarning, w.Error())
	case err != nil:
		d.add(key, VerdictBad, err.Error())
	case says != "":
		d.add(key, VerdictOK, says)
	}
}

func (d *doctor) add(key, verdict, says string) {
	d.found = append(d.found, Finding{key, verdict, says})
}

// data checks the node's directory, and finds out whether the node is running.
func (d *doctor) data() {
	if _, err := os.Stat(d.cfg.Data); errors.Is(err, os.ErrNotExist) {
		d.look("data", func() (string, error) {
			return d.cfg.Data + " is not there yet; it will be made", writable(filepath.Dir(d.cfg.Data))
		})
		return
	}
	d.look("data", func() (string, error) { return d.cfg.Data + " can be written", writable(d.cfg.Data) })
	d.look("data", func() (string, error) { return d.space(d.cfg.Data) })
	unlock, err := node.Lock(d.cfg.Data, node.LockFile)
	if err == nil {
		unlock()
	} else if core.KindOf(err) == core.KindConflict {
		d.running = true
		d.add("data", VerdictOK, "the node runs: "+node.Holder(filepath.Join(d.cfg.Data, node.LockFile)))
	}
}

func writable(dir string) error {
	f, err := os.CreateTemp(dir, ".doctor-*")
	if err != nil {
		return core.E(core.KindUnavailable, "%s cannot be written", dir).WithCause(err)
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

func (d *doctor) space(dir string) (string, error) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return "", err
	}
	free := int64(st.Bavail) * int64(st.Bsize) //nolint:unconvert // other widths on other systems
	if free < lowDisk {
		return "", warning{fmt.Errorf("only %d MB are free at %s", free>>20, dir)}
	}
	return fmt.Sprintf("%d GB are free", free>>30), nil
}

// tls reads the certificate that clients see.
func (d *doctor) tls() (string, error) {
	cert, err := d.cfg.Client.TLS.Load()
	if err != nil {
		return "", err
	}
	switch names, end := strings.Join(cert.Leaf.DNSNames, ", "), cert.Leaf.NotAfter; {
	case time.Now().After(end):
		return "", fmt.Errorf("the certificate of %s is no good since %s", names, end.Format(time.DateTime))
	case time.Now().Add(soonExpires).After(end):
		return "", warning{fmt.Errorf("the certificate of %s is good until %s only", names, end.Format(time.DateTime))}
	default:
		return fmt.Sprintf("the certificate of %s is good until %s", names, end.Format(time.DateTime)), nil
	}
}

func (d *doctor) pki() (string, error) {
	if len(d.cfg.Home) == 0 {
		return "", nil // the only node makes its own
	}
	cred, err := d.cfg.Credentials(time.Now())
	if err != nil {
		return "", err
	}
	if err := cred.Valid(time.Now()); err != nil {
		return "", err
	}
	if err := cred.Valid(time.Now().Add(soonExpires)); err != nil {
		return "", warning{fmt.Errorf("the certificate of %s will soon be no good: %w", cred.Identity, err)}
	}
	return "the certificate of " + cred.Identity.String() + " is good", nil
}

// listeners tries the addresses, which must be free if the node is not running.
func (d *doctor) listeners() {
	tcp := func(key, addr string) {
		if addr == "" {
			return
		}
		d.look(key, func() (string, error) {
			l, err := node.Listen(key, addr)
			if err != nil {
				return "", err
			}
			return addr + " is free", l.Close()
		})
	}
	tcp("client.listen", d.cfg.Client.Listen)
	tcp("admin.listen", d.cfg.Admin.Listen)
	d.look("link.listen", func() (string, error) {
		l, err := net.ListenPacket("udp", d.cfg.Link.Listen)
		if err != nil {
			return "", core.E(core.KindUnavailable, "cannot listen on %s", d.cfg.Link.Listen).WithCause(err)
		}
		return d.cfg.Link.Listen + " is free", l.Close()
	})
}

// postgres connects to the configured database, or looks for the programs of a managed one.
func (d *doctor) postgres(ctx context.Context) (string, error) {
	if d.cfg.Postgres.DSN == "" {
		bin, err := pg.Locate()
		if err != nil {
			return "", err
		}
		return "a PostgreSQL of its own can be run, with the programs in " + bin, nil
	}
	ctx, cancel := context.WithTimeout(ctx, doctorLimit)
	defer cancel()
	db, err := pg.Open(ctx, pg.Config{ConnString: d.cfg.Postgres.DSN, MaxConns: 1})
	if err != nil {
		return "", err
	}
	db.Close()
	return "the database can be reached", nil
}

// files tries the place where blobs are kept.
func (d *doctor) files(ctx context.Context) (string, error) {
	switch {
	case d.cfg.Files.S3 != nil:
		s, err := s3.New(d.cfg.Files.S3.Settings(nil))
		if err != nil {
			return "", err
		}
		defer func() { _ = s.Close() }()
		if err := s.Check(ctx); err != nil {
			return "", bare(err)
		}
		return "bucket " + d.cfg.Files.S3.Bucket + " can be written, read, listed and deleted from", nil
	case !d.cfg.Is(node.RoleHome):
		return "files come from home over the link", nil
	}
	if _, err := os.Stat(d.cfg.Files.Dir); errors.Is(err, os.ErrNotExist) {
		return d.cfg.Files.Dir + " is not there yet; it will be made", nil
	}
	s, err := disk.Open(disk.Config{Dir: d.cfg.Files.Dir})
	if err != nil {
		return "", err
	}
	if err := errors.Join(s.Close(), writable(d.cfg.Files.Dir)); err != nil {
		return "", err
	}
	return d.space(d.cfg.Files.Dir)
}

// bare gives an error without its cause: the message has all that an operator needs.
func bare(err error) error {
	e := *core.AsError(err)
	if e.Message == "" {
		return err
	}
	e.Cause = nil
	return &e
}

// clamd sends harmless bytes to the scanner: a few, and as many as a file may have. A scanner that accepts
// fewer refuses larger uploads, and that would be noticed only when somebody tries one.
func (d *doctor) clamd(ctx context.Context) (string, error) {
	at, err := node.ClamdAt(d.cfg.Files.Clamd)
	if err != nil {
		return "", err
	}
	c, err := scan.NewClamd(at)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, doctorLimit)
	defer cancel()
	if _, err := c.Scan(ctx, strings.NewReader("nearside doctor")); err != nil {
		return "", err
	}
	mb := min(d.cfg.Files.MaxMB, maxProbeMB)
	verdict, err := c.Scan(ctx, io.LimitReader(zeros{}, mb<<20))
	switch {
	case core.KindOf(err) == core.KindTooLarge, verdict.Infected: // its heuristics may call a large file infected
		return "", warning{fmt.Errorf("the scanner does not take %d MB, as files.max_mb allows: set StreamMaxLength, MaxFileSize and MaxScanSize in clamd.conf to at least %dM", mb, d.cfg.Files.MaxMB)}
	case err != nil:
		return "", warning{fmt.Errorf("the scanner answers, but did not judge %d MB: %w", mb, err)}
	}
	return fmt.Sprintf("the scanner answers, and takes %d MB; it reads no more of a file than MaxFileSize in clamd.conf says", mb), nil
}

// zeros gives zero bytes without an end.
type zeros struct{}

// Read implements io.Reader.
func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// assets opens the web client's build as an edge does, without a cache.
func (d *doctor) assets() (string, error) {
	h, err := assets.New(assets.Config{Dir: d.cfg.Client.Assets})
	if err != nil {
		return "", err
	}
	h.Close()
	return d.cfg.Client.Assets + " holds a web client", nil
}
