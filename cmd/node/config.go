package node

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/pg"
	"github.com/nearside/nearside/edge/address"
	"github.com/nearside/nearside/edge/rate"
	"github.com/nearside/nearside/edge/strength"
	"github.com/nearside/nearside/replication/link"
)

// Config is a node's own settings. Its file is YAML or JSON. The zero value of each optional
// field means its documented default.
type Config struct {
	Name     string   `yaml:"name"`                  // required: unique in the deployment
	Region   string   `yaml:"region"`                // required
	Roles    []string `yaml:"roles"`                 // required: home, edge
	Data     string   `yaml:"data"`                  // required: directory; relative to the file
	PKI      string   `yaml:"pki,omitempty"`         // directory of ca.crt, node.crt, node.key; default <data>/pki
	Version  string   `yaml:"-"`                     // of the program, for clients
	Open     *bool    `yaml:"open_server,omitempty"` // anybody may sign up; default true. The home nodes decide; at an edge it is what clients are told
	Password Password `yaml:"password,omitempty"`

	Client   Client    `yaml:"client,omitempty"` // required with the role edge
	Admin    Admin     `yaml:"admin,omitempty"`
	Link     Link      `yaml:"link,omitempty"`
	Home     []Peer    `yaml:"home,omitempty"` // the voters; required, except on a single home node
	Join     []string  `yaml:"join,omitempty"` // link addresses to meet for gossip; default those of Home
	Postgres Postgres  `yaml:"postgres,omitempty"`
	Files    Files     `yaml:"files,omitempty"`
	Imitate  []Imitate `yaml:"imitate,omitempty"` // distances to imitate
	Trace    Trace     `yaml:"trace,omitempty"`   // default: nothing is traced
	Audit    Audit     `yaml:"audit,omitempty"`
	Rate     RateLimit `yaml:"rate_limit,omitempty"`
	Tuning   Tuning    `yaml:"tuning,omitempty"`

	Database *pg.Config        `yaml:"-"` // a database to use instead of Postgres, for tests
	Socket   net.PacketConn    `yaml:"-"` // the bound link socket instead of Link.Listen, for tests
	Identity *link.Credentials `yaml:"-"` // instead of PKI, for tests
	OnReady  func(*Node)       `yaml:"-"` // called once, when the node first serves
	Logger   *slog.Logger      `yaml:"-"` // default: discard
}

// Client is where an edge serves clients.
type Client struct {
	Listen string `yaml:"listen,omitempty"` // HOST:PORT; port 0 picks a free one
	URL    URLs   `yaml:"url,omitempty"`    // as clients write it, or a list: the first is told to clients, and pages of all may connect; default http://<listen>
	Assets string `yaml:"assets,omitempty"` // directory of a built web client to serve; default: none
	TLS    TLS    `yaml:"tls,omitempty"`    // default: clients, or a proxy before this edge, come without TLS
	// For how long this edge honours sessions without hearing from home; afterwards it answers 503. Default 24h, negative: for ever.
	SessionGrace time.Duration `yaml:"session_grace,omitempty"`
	NoHSTS       bool          `yaml:"no_hsts,omitempty"` // with TLS, or if every URL is https, do not tell browsers to use nothing else for a year
}

// URLs are addresses. In a file, one need not be a list.
type URLs []string

// UnmarshalYAML implements yaml.Unmarshaler.
func (u *URLs) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind != yaml.ScalarNode {
		return n.Decode((*[]string)(u))
	}
	*u = URLs{""}
	return n.Decode(&(*u)[0])
}

// Password says what new passwords must be, besides not being one of the most common. All edges should agree.
type Password struct {
	MinLength int `yaml:"min_length,omitempty"` // bytes, 8 to 72; default 8
}

// Admin is where operators reach the node, besides the socket <data>/admin/socket. Requests over TCP need the token
// in <data>/admin/token, which is made at the first start. Only loopback addresses are accepted, because the token
// would cross a network in the clear.
type Admin struct {
	Listen     string `yaml:"listen,omitempty"`      // HOST:PORT; default: no TCP
	OpenStatus bool   `yaml:"open_status,omitempty"` // metrics, health and status need no token
}

// Link is where other nodes reach this one.
type Link struct {
	Listen    string `yaml:"listen,omitempty"`    // UDP HOST:PORT; default :8074
	Advertise string `yaml:"advertise,omitempty"` // as others dial it; default the listen address
}

// Peer is a node and its link address.
type Peer struct {
	Node string `yaml:"node"`
	Addr string `yaml:"addr"`
}

// RateLimit says how fast accounts and addresses may go at this edge; see package rate.
type RateLimit struct {
	Enable          *bool      `yaml:"enable,omitempty"`            // default true
	MemoryStoreSize int        `yaml:"memory_store_size,omitempty"` // accounts and addresses remembered; default 50,000
	TrustedProxies  []string   `yaml:"trusted_proxies,omitempty"`   // addresses or networks whose X-Forwarded-For is believed; default none
	Classes         rate.Rates `yaml:"classes,omitempty"`           // by class; default rate's
}

// rates gives the settings as the edge takes them.
func (r RateLimit) rates() (rate.Config, error) {
	cfg := rate.Config{Off: r.Enable != nil && !*r.Enable, Size: r.MemoryStoreSize, Rates: r.Classes}
	for _, s := range r.TrustedProxies {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			a, err := netip.ParseAddr(s)
			if err != nil {
				return cfg, core.E(core.KindInvalid, "rate_limit.trusted_proxies: %q is neither an address nor a network such as 10.0.0.0/8", s)
			}
			p = netip.PrefixFrom(a, a.BitLen())
		}
		cfg.Trusted = append(cfg.Trusted, p.Masked())
	}
	if err := r.Classes.Check(); err != nil {
		return cfg, core.E(core.KindInvalid, "rate_limit.classes: %v", err)
	}
	if r.MemoryStoreSize < 0 {
		return cfg, core.E(core.KindInvalid, "rate_limit.memory_store_size: goes from 1")
	}
	return cfg, nil
}

// Postgres says which database has the replica.
type Postgres struct {
	DSN             string `yaml:"dsn,omitempty"`               // default: a managed server under Data
	SharedBuffersMB int    `yaml:"shared_buffers_mb,omitempty"` // of the managed server; default 64
	MaxConns        int    `yaml:"max_conns,omitempty"`         // for clients' reads; default 16
}

// Imitate makes a peer seem far: what is sent to it is held back, dropped or cut.
type Imitate struct {
	Peer     string  `yaml:"peer" json:"peer"`
	Addr     string  `yaml:"addr" json:"addr"`
	DelayMS  float64 `yaml:"delay_ms,omitempty" json:"delay_ms"` // one way
	JitterMS float64 `yaml:"jitter_ms,omitempty" json:"jitter_ms"`
	Loss     float64 `yaml:"loss,omitempty" json:"loss"` // 0 to 1
	Mbit     float64 `yaml:"mbit,omitempty" json:"mbit"` // megabits a second; 0: no limit
	Blackout bool    `yaml:"blackout,omitempty" json:"blackout"`
}

// Trace says where traces of requests and proposals go: a file, a collector, or both.
type Trace struct {
	File  string  `yaml:"file,omitempty"`  // gets a line of JSON for each span, at most 256 MiB after each start
	OTLP  string  `yaml:"otlp,omitempty"`  // collector that takes OTLP over HTTP, http://HOST:4318
	Ratio float64 `yaml:"ratio,omitempty"` // share of the traces that is kept, 0 to 1, the same at every node; default 1
}

// Audit says how the audit trail is kept.
type Audit struct {
	File          string `yaml:"file,omitempty"`           // gets a line of JSON for each audit as this node has it; default none
	MaxMB         int    `yaml:"max_mb,omitempty"`         // of the file before it is renamed to .1; nine old ones are kept; default 64
	RetentionDays int    `yaml:"retention_days,omitempty"` // how long audits stay in the trail; the home nodes decide, and should agree; default 365
}

func (a Audit) check() error {
	if a.RetentionDays < 0 || a.RetentionDays > maxRetentionDays {
		return core.E(core.KindInvalid, "audit.retention_days: goes from 1 to %d", maxRetentionDays)
	}
	if a.MaxMB < 0 {
		return core.E(core.KindInvalid, "audit.max_mb: goes from 1")
	}
	return nil
}

const maxRetentionDays = 36_500

func (t Trace) check() error {
	if t.Ratio < 0 || t.Ratio > 1 {
		return core.E(core.KindInvalid, "trace.ratio: goes from 0 to 1")
	}
	if u, err := url.Parse(t.OTLP); t.OTLP != "" && (err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "") {
		return core.E(core.KindInvalid, "trace.otlp: %q is not http://HOST:PORT", t.OTLP)
	}
	return nil
}

// Tuning is for unusual deployments, and for tests.
type Tuning struct {
	ElectionTimeout   time.Duration `yaml:"election_timeout,omitempty"`   // default 300ms
	SnapshotEvery     time.Duration `yaml:"snapshot_every,omitempty"`     // default 10s
	SnapshotThreshold uint64        `yaml:"snapshot_threshold,omitempty"` // entries; default 4096
	TrailingLogs      uint64        `yaml:"trailing_logs,omitempty"`      // entries; default 100,000
	CacheMB           int64         `yaml:"cache_mb,omitempty"`           // of applying; default 64
	RepairEvery       time.Duration `yaml:"repair_every,omitempty"`       // of blobs at home; default 5m
	SweepEvery        time.Duration `yaml:"sweep_every,omitempty"`        // default 1h
	WitnessDir        string        `yaml:"witness_dir,omitempty"`        // of a home node; in memory, outlives the process; default /dev/shm, "-" for none
	RaiseAfter        time.Duration `yaml:"raise_after,omitempty"`        // all nodes understand the log's next version before it begins; default 24h
}

// The roles.
const (
	RoleHome = string(link.RoleHome)
	RoleEdge = string(link.RoleEdge)
)

// Load reads a configuration file. A key that it does not know is an error.
func Load(path string) (Config, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return Config{}, core.E(core.KindNotFound, "cannot read the configuration").WithCause(err)
	}
	cfg, err := parse(raw)
	if err != nil {
		return Config{}, core.E(core.KindInvalid, "%s: %v", path, err)
	}
	dir, err := filepath.Abs(filepath.Dir(path))
	if err != nil {
		return Config{}, fmt.Errorf("configuration directory: %w", err)
	}
	paths := append(cfg.Files.paths(), &cfg.Client.TLS.Cert, &cfg.Client.TLS.Key, &cfg.Data, &cfg.PKI, &cfg.Client.Assets, &cfg.Trace.File, &cfg.Audit.File)
	if a := cfg.Client.TLS.ACME; a != nil {
		paths = append(paths, &a.CA, &a.Cache)
	}
	for _, p := range paths {
		if *p != "" && !filepath.IsAbs(*p) {
			*p = filepath.Join(dir, *p)
		}
	}
	return cfg, cfg.Check()
}

// Encode gives cfg in the form that Load reads.
func (cfg Config) Encode() ([]byte, error) { return yaml.Marshal(cfg) }

var unknownKey = regexp.MustCompile(`line (\d+): field (\S+) not found in type \S+`)

func parse(raw []byte) (Config, error) {
	var cfg Config
	dec := yaml.NewDecoder(bytes.NewReader(raw))
	dec.KnownFields(true)
	err := dec.Decode(&cfg)
	switch {
	case errors.Is(err, io.EOF):
		return cfg, errors.New("the file is empty")
	case err != nil:
		msg := unknownKey.ReplaceAllString(err.Error(), `line $1: unknown key "$2"`)
		return cfg, errors.New(strings.Join(strings.Fields(strings.TrimPrefix(msg, "yaml: unmarshal errors:")), " "))
	}
	if err := dec.Decode(new(any)); !errors.Is(err, io.EOF) {
		return cfg, errors.New("more than one document")
	}
	return cfg, nil
}

// Is reports whether the node has a role.
func (cfg Config) Is(role string) bool { return slices.Contains(cfg.Roles, role) }

// Check validates cfg. Every message names the key and what it should be.
func (cfg Config) Check() error {
	bad := func(format string, args ...any) error { return core.E(core.KindInvalid, format, args...) }
	switch {
	case cfg.Name == "":
		return bad("name: missing; every node has a name of its own")
	case cfg.Region == "":
		return bad("region: missing; it says where the node stands")
	case len(cfg.Roles) == 0:
		return bad("roles: missing; use home, edge or both")
	case cfg.Data == "":
		return bad("data: missing; it names the node's directory")
	case cfg.Is(RoleEdge) && cfg.Client.Listen == "":
		return bad("client.listen: missing; an edge serves clients at HOST:PORT")
	case !cfg.Is(RoleEdge) && cfg.Client.Listen != "":
		return bad("client.listen: only a node with the role edge serves clients")
	case !cfg.Is(RoleEdge) && cfg.Client.Assets != "":
		return bad("client.assets: only a node with the role edge serves clients")
	case !cfg.Is(RoleEdge) && len(cfg.Client.URL) > 0:
		return bad("client.url: only a node with the role edge serves clients")
	case (cfg.Client.TLS.Cert == "") != (cfg.Client.TLS.Key == ""):
		return bad("client.tls: a certificate and its key belong together; name both cert and key")
	case !cfg.Is(RoleHome) && len(cfg.Home) == 0:
		return bad("home: missing; an edge needs the home nodes and their link addresses")
	}
	for _, r := range cfg.Roles {
		if r != RoleHome && r != RoleEdge {
			return bad("roles: %q is none; use home, edge or both", r)
		}
	}
	if cfg.Is(RoleHome) && len(cfg.Home) > 0 && !slices.ContainsFunc(cfg.Home, func(p Peer) bool { return p.Node == cfg.Name }) {
		return bad("home: %s has the role home but is not listed", cfg.Name)
	}
	return cfg.checkAddresses()
}

func (cfg Config) checkAddresses() error {
	check := func(key, addr string) error {
		if addr == "" {
			return nil
		}
		if _, _, err := net.SplitHostPort(addr); err != nil {
			return core.E(core.KindInvalid, "%s: %q is not HOST:PORT", key, addr)
		}
		return nil
	}
	errs := []error{
		check("client.listen", cfg.Client.Listen),
		check("admin.listen", cfg.Admin.Listen), checkLoopback(cfg.Admin.Listen),
		check("link.listen", cfg.Link.Listen), check("link.advertise", cfg.Link.Advertise),
	}
	if _, err := address.Parse(cfg.Client.URL); err != nil {
		errs = append(errs, core.E(core.KindInvalid, "client.url: %v", err))
	}
	if n := cfg.Password.MinLength; n != 0 && (n < strength.MinBytes || n > strength.MaxBytes) {
		errs = append(errs, core.E(core.KindInvalid, "password.min_length: goes from %d to %d", strength.MinBytes, strength.MaxBytes))
	}
	for _, p := range cfg.Home {
		if p.Node == "" || p.Addr == "" {
			errs = append(errs, core.E(core.KindInvalid, "home: every entry has a node and an addr"))
		}
		errs = append(errs, check("home: "+p.Node, p.Addr))
	}
	for _, i := range cfg.Imitate {
		errs = append(errs, check("imitate: "+i.Peer, i.Addr), i.check())
	}
	_, wrong := cfg.Rate.rates()
	for _, err := range append(errs, cfg.Client.checkACME(), cfg.Files.check(), cfg.Trace.check(), cfg.Audit.check(), wrong) {
		if err != nil {
			return err
		}
	}
	return nil
}

// The bound of an imitated delay: longer ones are a mistake.
const maxDelayMS = 10_000

func (i Imitate) check() error {
	if i.DelayMS < 0 || i.DelayMS > maxDelayMS || i.JitterMS < 0 || i.JitterMS > maxDelayMS || i.Loss < 0 || i.Loss > 1 || i.Mbit < 0 {
		return core.E(core.KindInvalid, "imitate: %s: delay_ms and jitter_ms go from 0 to %d, loss from 0 to 1, mbit from 0", i.Peer, maxDelayMS)
	}
	return nil
}

func checkLoopback(addr string) error {
	host, _, err := net.SplitHostPort(addr)
	if err != nil || host == "localhost" {
		return nil // another check refuses it, or it is right
	}
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
		return core.E(core.KindInvalid, "admin.listen: %q is not a loopback address; its token would cross the network in the clear", addr)
	}
	return nil
}

// WithDefaults fills in the documented defaults.
func (cfg Config) WithDefaults() Config {
	set := func(p *string, v string) {
		if *p == "" {
			*p = v
		}
	}
	set(&cfg.PKI, filepath.Join(cfg.Data, "pki"))
	set(&cfg.Link.Listen, ":8074")
	set(&cfg.Version, "dev")
	if cfg.Postgres.MaxConns <= 0 {
		cfg.Postgres.MaxConns = 16
	}
	cfg.Trace.Ratio = cmp.Or(cfg.Trace.Ratio, 1)
	cfg.Audit.RetentionDays = cmp.Or(cfg.Audit.RetentionDays, 365)
	cfg.Files = cfg.Files.withDefaults(cfg.Data)
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	cfg.Roles, cfg.Home, cfg.Imitate = slices.Clone(cfg.Roles), slices.Clone(cfg.Home), slices.Clone(cfg.Imitate)
	return cfg
}
