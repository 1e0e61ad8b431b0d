package l2tp

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"tunneldigger/src/folder"
	"tunneldigger/src/nl"
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
		return pids, fmt.Errorf("l2tp: find the owners of tunnels: %w", err)
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
		text, err := os.ReadFile(proc + "/thread-self/net/" + name)
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // a kernel without IPv6 has no udp6
			return err
		}
		for _, line := range strings.Split(string(text), "\n") {
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

	processes, err := folder.Names(proc)
	if err != nil {
		return err
	}
	var unread error
	for _, process := range processes {
		pid, err := strconv.Atoi(process)
		if err != nil {
			continue
		}
		files := proc + "/" + process + "/fd"
		entries, err := folder.Names(files)
		if err != nil && !gone(err) {
			unread = err
		}
		for _, entry := range entries {
			link, err := os.Readlink(files + "/" + entry)
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
	b, err := hex.DecodeString(address)
	if err != nil || len(b)%4 != 0 {
		return netip.AddrPort{}, false
	}
	for i := 0; i < len(b); i += 4 { // hex digits are big-endian
		order.PutUint32(b[i:], uint32(b[i])<<24|uint32(b[i+1])<<16|uint32(b[i+2])<<8|uint32(b[i+3]))
	}
	a, ok := netip.AddrFromSlice(b)
	p, err := strconv.ParseUint(port, 16, 16)
	return netip.AddrPortFrom(a.Unmap(), uint16(p)), ok && err == nil
}
