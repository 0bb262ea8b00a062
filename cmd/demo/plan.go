package demo

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/nearside/nearside/cmd/node"
	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/replication/link"
)

const (
	homeNodes  = 3
	deployment = "demo"
)

// plan gives the configuration of every node, home nodes first. Ports of an earlier start are used again if
// they are free.
func plan(o Options) ([]node.Config, error) {
	var nodes []node.Config
	for i := range homeNodes {
		nodes = append(nodes, o.member(fmt.Sprintf("%s-%d", o.Regions[0], i+1), o.Regions[0], node.RoleHome))
	}
	host, first, err := splitPort(o.Listen)
	if err != nil {
		return nil, err
	}
	for i, region := range o.Regions {
		n := o.member("edge-"+region, region, node.RoleEdge)
		port := first // 0 lets every edge pick a free one
		if first > 0 {
			port += i
		}
		n.Client.Listen = net.JoinHostPort(host, strconv.Itoa(port))
		nodes = append(nodes, n)
	}
	if err := o.checkHome(); err != nil {
		return nil, err
	}
	if err := choosePorts(o.Dir, nodes); err != nil {
		return nil, err
	}
	connect(nodes, o.Factor)
	return nodes, nil
}

func (o Options) member(name, region, role string) node.Config {
	dir := nodeDir(o.Dir, name)
	return node.Config{
		Name: name, Region: region, Roles: []string{role}, Data: filepath.Join(dir, "data"), PKI: dir,
		Postgres: node.Postgres{SharedBuffersMB: 32}, // six servers share this machine
		Admin:    node.Admin{OpenStatus: true},       // scripts are promised metrics and status at a loopback address
		Files:    node.Files{CacheMB: 512, MemoryMB: 32},
		Rate:     node.RateLimit{Enable: &o.Limited},
	}
}

func nodeDir(dir, name string) string { return filepath.Join(dir, "nodes", name) }

func configFile(dir, name string) string { return filepath.Join(nodeDir(dir, name), "config.yaml") }

// checkHome refuses another home than at the first start, because the log is there.
func (o Options) checkHome() error {
	found, err := filepath.Glob(filepath.Join(o.Dir, "nodes", "*-1", "config.yaml"))
	if err != nil {
		return fmt.Errorf("look for nodes: %w", err)
	}
	for _, file := range found {
		cfg, err := node.Load(file)
		if err == nil && cfg.Roles[0] == node.RoleHome && cfg.Region != o.Regions[0] {
			return core.E(core.KindInvalid, "%s holds a deployment whose home is %s; put that region first, or use another --data", o.Dir, cfg.Region)
		}
	}
	return nil
}

func splitPort(addr string) (host string, port int, err error) {
	host, p, err := net.SplitHostPort(addr)
	if err == nil {
		port, err = strconv.Atoi(p)
	}
	if err != nil || port < 0 || port > 65535 {
		return "", 0, core.E(core.KindInvalid, "--listen: %q is not HOST:PORT", addr)
	}
	return host, port, nil
}

// choosePorts gives every node its link and administration address. All ports stay bound until the last is
// chosen, so that no two are the same.
func choosePorts(dir string, nodes []node.Config) error {
	var held []interface{ Close() error }
	defer func() {
		for _, h := range held {
			h.Close()
		}
	}()
	for i := range nodes {
		n := &nodes[i]
		before, err := node.Load(configFile(dir, n.Name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("earlier configuration: %w", err)
		}
		udp, err := link.Bind(orFree(before.Link.Listen))
		if err != nil {
			udp, err = link.Bind(orFree(""))
		}
		if err != nil {
			return fmt.Errorf("choose link port: %w", err)
		}
		tcp, err := net.Listen("tcp", orFree(before.Admin.Listen))
		if err != nil {
			tcp, err = net.Listen("tcp", orFree(""))
		}
		held = append(held, udp)
		if err != nil {
			return fmt.Errorf("choose administration port: %w", err)
		}
		held = append(held, tcp)
		n.Link.Listen, n.Admin.Listen = udp.LocalAddr().String(), tcp.Addr().String()
		if n.Client.Listen != "" {
			if err := chooseClientPort(n); err != nil {
				return err
			}
		}
	}
	return nil
}

func orFree(addr string) string {
	if addr == "" {
		return "127.0.0.1:0"
	}
	return addr
}

// chooseClientPort gives an error if a client port is in use. Otherwise the error would only be in the log
// of the child.
func chooseClientPort(n *node.Config) error {
	l, err := net.Listen("tcp", n.Client.Listen)
	if err != nil {
		return core.E(core.KindConflict, "the edge in %s cannot listen on %s; give another first port with --listen", n.Region, n.Client.Listen).WithCause(err)
	}
	n.Client.Listen = l.Addr().String()
	return l.Close()
}

// connect adds to each configuration the other nodes and their distances.
func connect(nodes []node.Config, factor float64) {
	var home []node.Peer
	for _, n := range nodes[:homeNodes] {
		home = append(home, node.Peer{Node: n.Name, Addr: n.Link.Listen})
	}
	for i := range nodes {
		nodes[i].Home = home
		for j, peer := range nodes {
			if i == j {
				continue
			}
			delay := time.Duration(float64(OneWay(nodes[i].Region, peer.Region)) * factor)
			nodes[i].Imitate = append(nodes[i].Imitate, node.Imitate{
				Peer: peer.Name, Addr: peer.Link.Listen, DelayMS: float64(delay.Microseconds()) / 1000,
			})
		}
	}
}

// writeConfigs writes the configuration files.
func writeConfigs(dir string, nodes []node.Config) error {
	for _, n := range nodes {
		raw, err := n.Encode()
		if err != nil {
			return fmt.Errorf("encode configuration: %w", err)
		}
		if err := os.MkdirAll(nodeDir(dir, n.Name), 0o700); err != nil {
			return err
		}
		head := "# Written by nearside demo at every start; ports are kept, other changes are not.\n"
		if err := node.WriteFile(configFile(dir, n.Name), append([]byte(head), raw...), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// issue makes the authority at the first start, and a certificate for each node without one.
func issue(dir string, nodes []node.Config, now time.Time) error {
	ca, err := node.Authority(filepath.Join(dir, "pki"), deployment, now)
	if err != nil {
		return err
	}
	for _, n := range nodes {
		if n.Is(node.RoleHome) {
			if _, err := node.GiveIssuer(ca, n, now); err != nil {
				return err
			}
		}
		if err := node.Certify(ca, n, now); err != nil {
			return err
		}
	}
	return nil
}
