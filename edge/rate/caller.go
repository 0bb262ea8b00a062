package rate

import (
	"context"
	"crypto/sha256"
	"net"
	"net/http"
	"net/netip"
	"strings"

	"github.com/nearside/nearside/core"
)

// Caller is whose tokens a request spends.
type Caller struct {
	Account core.UserID // zero without a session
	Address netip.Addr  // from Limiter.Address
	Login   string      // the account that somebody who signs in says it is
}

type callerKey struct{}

// With tells those who serve a request whose tokens it spends.
func With(ctx context.Context, c Caller) context.Context {
	return context.WithValue(ctx, callerKey{}, c)
}

// CallerOf gives what With told; the zero Caller if it told nothing.
func CallerOf(ctx context.Context) Caller {
	c, _ := ctx.Value(callerKey{}).(Caller)
	return c
}

// share says whose a bucket is.
type share uint8

const (
	account share = iota
	address       // of signed-in callers
	stranger
	login // that has succeeded from its address before
)

func (s share) String() string { return [...]string{"account", "address", "stranger", "login"}[s] }

// scaled gives a number of tokens as the share has them.
func (s share) scaled(tokens float64) int {
	if s == address {
		tokens *= Neighbours
	}
	return int(tokens)
}

// key names an account or address, or a login at an address.
type key struct {
	share share
	id    [16]byte
}

const maxKeys = 2

// keys are the buckets that one request spends from.
type keys struct {
	all [maxKeys]key
	n   int
}

func (k *keys) add(s share, id [16]byte) { k.all[k.n] = key{s, id}; k.n++ }

func (k *keys) used() []key { return k.all[:k.n] }

// keys gives whose buckets a request spends from. The lock must be held.
func (l *Limiter) keys(class Class, c Caller) (k keys) {
	from := Network(c.Address).As16()
	switch {
	case class == Login:
		if pair := pairOf(from, c.Login); l.known.Contains(pair) {
			k.add(login, pair.id)
			return k
		}
		k.add(stranger, from)
	case class == SignUp || c.Account.IsZero():
		k.add(stranger, from)
		if !c.Account.IsZero() {
			k.add(account, c.Account)
		}
	default:
		k.add(account, c.Account)
		k.add(address, from)
	}
	return k
}

// Network gives the part of an address that stands for one customer of a network.
func Network(a netip.Addr) netip.Addr {
	if a.Is6() {
		if p, err := a.Prefix(64); err == nil {
			a = p.Addr()
		}
	}
	return a
}

func pairOf(from [16]byte, name string) key {
	h := sha256.Sum256(append(from[:], strings.ToLower(name)...))
	return key{login, [16]byte(h[:16])}
}

// Know remembers that an account was signed in at an address, by the names that it may sign in
// with. It is cheap if the account was seen there before.
func (l *Limiter) Know(c Caller, logins ...string) {
	if l.off {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.of(key{account, c.Account})
	if p.from == c.Address {
		return
	}
	p.from = c.Address
	for _, name := range logins {
		l.known.Add(pairOf(Network(c.Address).As16(), name), struct{}{})
	}
}

// Known reports whether a login has succeeded from its address before.
func (l *Limiter) Known(c Caller) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.known.Contains(pairOf(Network(c.Address).As16(), c.Login))
}

// Address gives the address of a request's client: that of the connection or, if that is a trusted
// proxy, the last one in X-Forwarded-For that is not a trusted proxy too. What a client itself has
// written there stands further left, and is not believed.
func (l *Limiter) Address(r *http.Request) netip.Addr {
	at := addressOf(r.RemoteAddr)
	said := r.Header["X-Forwarded-For"]
	if len(said) == 0 {
		return at
	}
	if !l.trusts(at) {
		l.warn.Do(func() {
			l.log.Warn("a proxy that is not among the trusted proxies sends X-Forwarded-For: all its clients count as one address", "proxy", at)
		})
		return at
	}
	for i := len(said) - 1; i >= 0; i-- {
		for rest, more := said[i], true; more; {
			last := rest
			if comma := strings.LastIndexByte(rest, ','); comma >= 0 {
				rest, last = rest[:comma], rest[comma+1:]
			} else {
				more = false
			}
			hop := addressOf(strings.TrimSpace(last))
			if !hop.IsValid() {
				return at
			}
			if at = hop; !l.trusts(at) {
				return at
			}
		}
	}
	return at
}

func (l *Limiter) trusts(a netip.Addr) bool {
	for _, p := range l.trusted {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// addressOf parses an address with or without a port.
func addressOf(s string) netip.Addr {
	a, err := netip.ParseAddr(strings.Trim(s, "[]"))
	if err != nil {
		host, _, _ := net.SplitHostPort(s)
		a, _ = netip.ParseAddr(host)
	}
	return a.Unmap().WithZone("")
}
