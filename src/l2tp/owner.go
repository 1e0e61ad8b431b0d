package l2tp

import (
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"tunneldigger/src/files"
	"tunneldigger/src/nl"
	"tunneldigger/src/phrase"
)

// Owners tells which process holds the UDP socket of each of the listed tunnels: its process ID, or 0 if none does, as with tunnels whose
// socket the kernel made itself (ip l2tp), or -1 for a tunnel that is not over UDP and so not of our making. It compares addresses and ports with /proc/net/udp and udp6, and the sockets found there
// with the open files of all processes. An error means that a 0 may be wrong, for instance that the files of some process may not be
// read (EACCES; it takes CAP_SYS_PTRACE or the same user and capabilities): then better leave such a tunnel alone.
func Owners(tunnels []TunnelInfo) (pids []int, err error) {
	pids = make([]int, len(tunnels))
	if len(tunnels) == 0 {
		return pids, nil
	}
	if err := owners("/proc", nl.Host, tunnels, pids); err != nil {
		return pids, phrase.Errorf("l2tp: find the owners of tunnels: %w", err)
	}
	return pids, nil
}

func owners(proc string, order nl.Order, tunnels []TunnelInfo, pids []int) error {
	type pair struct{ local, peer netip.AddrPort }
	wanted := make(map[pair][]int)
	for i, t := range tunnels {
		if !t.UDP {
			pids[i] = -1
			continue
		}
		wanted[pair{t.Local, t.Peer}] = append(wanted[pair{t.Local, t.Peer}], i)
	}
	sockets := make(map[string][]int) // "socket:[inode]" to places in tunnels
	for _, name := range []string{"udp", "udp6"} {
		// Not /proc/net: that is the namespace of the process's first thread.
		text, err := files.Read(proc + "/thread-self/net/" + name)
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // a kernel without IPv6 has no udp6
			return err
		}
		for _, line := range strings.Split(text, "\n") {
			local, peer, inode, ok := parseSocket(order, line)
			if places := wanted[pair{local, peer}]; ok && places != nil {
				link := "socket:[" + inode + "]"
				sockets[link] = append(sockets[link], places...)
			}
		}
	}
	if len(sockets) == 0 {
		return nil
	}

	processes, err := files.Names(proc)
	if err != nil {
		return err
	}
	var unread error
	for _, process := range processes {
		pid, err := strconv.Atoi(process)
		if err != nil {
			continue
		}
		open := proc + "/" + process + "/fd"
		entries, err := files.Names(open)
		if err != nil && !gone(err) {
			unread = err
		}
		for _, entry := range entries {
			link, err := os.Readlink(open + "/" + entry)
			if err != nil && !gone(err) {
				unread = err
			}
			for _, place := range sockets[link] {
				pids[place] = pid
			}
		}
	}
	return unread
}

// gone: the process or the file ended meanwhile.
func gone(err error) bool { return errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ESRCH) }

// parseSocket reads a line of /proc/net/udp: number, local and remote address, state, queues, timer, retransmissions, user,
// time-out, inode … (net/ipv4/udp.c, net/ipv6/datagram.c).
func parseSocket(order nl.Order, line string) (local, peer netip.AddrPort, inode string, ok bool) {
	f := strings.Fields(line)
	if len(f) < 10 {
		return local, peer, "", false
	}
	local, ok = parseEndpoint(order, f[1])
	if ok {
		peer, ok = parseEndpoint(order, f[2])
	}
	return local, peer, f[9], ok
}

// parseEndpoint reads an address as the kernel prints it, 32 bits at a time in host order, and a port: 010200C0:0035.
func parseEndpoint(order nl.Order, text string) (netip.AddrPort, bool) {
	address, port, _ := strings.Cut(text, ":")
	var b []byte
	for ; len(address) >= 8; address = address[8:] {
		word, err := strconv.ParseUint(address[:8], 16, 32)
		if err != nil {
			return netip.AddrPort{}, false
		}
		b = append(b, 0, 0, 0, 0)
		order.PutUint32(b[len(b)-4:], uint32(word))
	}
	if address != "" {
		return netip.AddrPort{}, false
	}
	a, ok := netip.AddrFromSlice(b)
	p, err := strconv.ParseUint(port, 16, 16)
	return netip.AddrPortFrom(a.Unmap(), uint16(p)), ok && err == nil
}
