// Package occupant tells whose a UDP port is, for messages: it reads /proc, where
// programs of other users can be seen only by those who may trace them.
package occupant

import (
	"encoding/binary"
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"tunneldigger/src/files"
)

// Look is one look at the sockets and processes of this machine: what it has read
// once it does not read again. The zero value is ready for use.
type Look struct {
	sockets   []socket
	listed    bool
	processes map[string]int // by inode of a socket
	hidden    bool           // there are processes that may not be looked into
}

// socket is a line of /proc/net/udp or udp6.
type socket struct {
	local netip.AddrPort
	user  string
	inode string
}

// Occupant is who has a port.
type Occupant struct {
	Name string // of the program, at most 15 bytes (proc(5), comm); "": not known
	PID  int    // 0: not known
	User string // name or number, "": not known
}

// String is what a message calls the occupant, behind "in use by".
func (o Occupant) String() string {
	switch {
	case o.PID != 0:
		return o.Name + " (process " + strconv.Itoa(o.PID) + ")"
	case o.User != "":
		return "another program, of user " + o.User + " (ss -lunp shows which)"
	}
	return "another program (ss -lunp shows which)"
}

// Of tells who has a socket that is in the way of one at an address and port. As
// much is known of it as this process may see.
func (l *Look) Of(at netip.AddrPort) Occupant {
	if !l.listed {
		l.listed = true
		l.read("/proc/net/udp")
		l.read("/proc/net/udp6")
	}
	for i := range l.sockets {
		s := &l.sockets[i]
		if s.local.Port() != at.Port() || !overlap(s.local.Addr(), at.Addr()) {
			continue
		}
		o := Occupant{PID: l.process(s.inode)}
		switch {
		case o.PID != 0:
			comm, _ := files.Read("/proc/" + strconv.Itoa(o.PID) + "/comm")
			o.Name = strings.TrimSpace(comm)
		case l.hidden:
			o.User = userName(s.user)
		}
		return o
	}
	return Occupant{}
}

// overlap reports whether a socket bound to one address is in the way of one bound
// to the other. An IPv6 wildcard may have IPv4 as well.
func overlap(has, wants netip.Addr) bool {
	if wants.Is4() {
		return has.Unmap() == wants || has.IsUnspecified() || wants.IsUnspecified() && has.Unmap().Is4()
	}
	return has.Is6() && !has.Is4In6() && (has == wants.WithZone("") || has.IsUnspecified() || wants.IsUnspecified())
}

// read reads one of the two tables. Each line has words: number, local address,
// peer, state, queues, timer, retransmissions, user, time-out, inode (proc(5)).
func (l *Look) read(path string) {
	text, _ := files.Read(path)
	for _, line := range strings.Split(text, "\n") {
		words := strings.Fields(line)
		if len(words) < 10 {
			continue
		}
		if local, ok := parse(words[1]); ok {
			l.sockets = append(l.sockets, socket{local, words[7], words[9]})
		}
	}
}

// parse reads an address, in words of 32 bits as they stand in memory, and a port.
func parse(word string) (at netip.AddrPort, ok bool) {
	hex, portHex, _ := strings.Cut(word, ":")
	port, err := strconv.ParseUint(portHex, 16, 16)
	if err != nil {
		return at, false
	}
	var raw []byte
	for ; len(hex) >= 8; hex = hex[8:] {
		n, err := strconv.ParseUint(hex[:8], 16, 32)
		if err != nil {
			return at, false
		}
		raw = binary.NativeEndian.AppendUint32(raw, uint32(n))
	}
	address, ok := netip.AddrFromSlice(raw)
	return netip.AddrPortFrom(address, uint16(port)), ok && hex == ""
}

// process finds who has a socket open; 0: nobody that can be seen.
func (l *Look) process(inode string) int {
	if l.processes == nil {
		l.processes = make(map[string]int)
		names, _ := files.Names("/proc")
		for _, name := range names {
			if pid, err := strconv.Atoi(name); err == nil {
				l.lookInto(pid)
			}
		}
	}
	return l.processes[inode]
}

// lookInto notes which sockets a process has open.
func (l *Look) lookInto(pid int) {
	open := "/proc/" + strconv.Itoa(pid) + "/fd"
	names, err := files.Names(open)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		l.hidden = true
	}
	for _, name := range names {
		to, err := os.Readlink(open + "/" + name)
		if err != nil {
			continue
		}
		if inode, of := strings.CutPrefix(to, "socket:["); of {
			l.processes[strings.TrimSuffix(inode, "]")] = pid
		}
	}
}

// userName is the name of a user by number, or the number.
func userName(number string) string {
	text, _ := files.Read("/etc/passwd")
	for _, line := range strings.Split(text, "\n") {
		if words := strings.Split(line, ":"); len(words) > 2 && words[2] == number {
			return words[0]
		}
	}
	return number
}
