// Package resolve finds the addresses of a host name by /etc/hosts and DNS. It
// does what a client of one broker needs and no more, because the package net
// brings 400 kB to a router's flash for it.
package resolve

import (
	"errors"
	"net/netip"
	"strconv"
	"strings"

	"tunneldigger/src/files"
	"tunneldigger/src/phrase"
)

// ErrNotFound says that a name has no address.
var ErrNotFound = errors.New("no such host")

// Files that tell how names are found; tests have their own.
type Files struct{ Hosts, Resolv string }

// System is where every Unix has them.
var System = Files{"/etc/hosts", "/etc/resolv.conf"}

// HostPort splits "host", "host:port", "[v6]" or "[v6]:port"; fallback is the port
// where none is given.
func HostPort(s string, fallback uint16) (host string, port uint16, err error) {
	host, port = s, fallback
	rest := ""
	switch {
	case strings.HasPrefix(s, "["):
		var closed bool
		if host, rest, closed = strings.Cut(s[1:], "]"); !closed || rest != "" && rest[0] != ':' {
			return "", 0, phrase.Errorf("%q: want [address] or [address]:port", s)
		}
	case strings.Count(s, ":") == 1:
		i := strings.IndexByte(s, ':')
		host, rest = s[:i], s[i:]
	}
	if host == "" {
		return "", 0, phrase.Errorf("%q: want a host", s)
	}
	if rest != "" {
		n, err := strconv.ParseUint(rest[1:], 10, 16)
		if err != nil || n == 0 {
			return "", 0, phrase.Errorf("%q: port %q: want 1–65535", s, rest[1:])
		}
		port = uint16(n)
	}
	return host, port, nil
}

// Lookup gives the addresses of host, a name or an address, in the order of
// their source. It waits for DNS for some seconds at the most.
func (f Files) Lookup(host string) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		a, err = numericZone(a)
		return []netip.Addr{a}, err
	}
	name := strings.TrimSuffix(host, ".")
	if found := f.hosts(name); len(found) > 0 {
		return found, nil
	}
	servers, search := f.resolv()
	names := []string{name}
	if !strings.HasSuffix(host, ".") {
		for _, domain := range search {
			names = append(names, name+"."+domain)
		}
		if !strings.Contains(name, ".") { // a short name is meant to be completed
			names = append(names[1:], name)
		}
	}
	last := ErrNotFound
	for _, n := range names {
		found, err := query(servers, n)
		if len(found) > 0 {
			return found, nil
		}
		if errors.Is(last, ErrNotFound) { // that a server does not know is no such answer
			last = err
		}
	}
	return nil, phrase.Errorf("%s: %w", host, last)
}

// numericZone turns a zone that names an interface into its index, which sock
// wants.
func numericZone(a netip.Addr) (netip.Addr, error) {
	if a.Zone() == "" {
		return a, nil
	}
	if _, err := strconv.ParseUint(a.Zone(), 10, 32); err == nil {
		return a, nil
	}
	index, err := files.Read("/sys/class/net/" + a.Zone() + "/ifindex")
	if err != nil {
		return a, phrase.Errorf("interface %s: %w", a.Zone(), err)
	}
	return a.WithZone(strings.TrimSpace(index)), nil
}

// same reports whether two names are one: the case of letters is not looked at. (strings.EqualFold, which knows those of all scripts, takes
// 10 kB of a router's flash.)
func same(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		if lower(a[i]) != lower(b[i]) {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

func (f Files) hosts(name string) (found []netip.Addr) {
	lines(f.Hosts, func(words []string) {
		a, err := netip.ParseAddr(words[0])
		for _, w := range words[1:] {
			if err == nil && same(w, name) {
				found = append(found, a)
			}
		}
	})
	return found
}

func (f Files) resolv() (servers []netip.AddrPort, search []string) {
	lines(f.Resolv, func(words []string) {
		switch {
		case len(words) < 2:
		case words[0] == "nameserver":
			if a, err := netip.ParseAddr(words[1]); err == nil {
				if a, err = numericZone(a); err == nil {
					servers = append(servers, netip.AddrPortFrom(a, 53))
				}
			}
		case words[0] == "search" || words[0] == "domain":
			search = words[1:]
		}
	})
	if len(servers) == 0 {
		servers = []netip.AddrPort{netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 53)}
	}
	return servers, search
}

// lines reads a file word by word, without comments. One that can't be read has
// no lines.
func lines(path string, each func(words []string)) {
	text, _ := files.Read(path)
	for _, line := range strings.Split(text, "\n") {
		if i := strings.IndexAny(line, "#;"); i >= 0 {
			line = line[:i]
		}
		if words := strings.Fields(line); len(words) > 0 {
			each(words)
		}
	}
}
