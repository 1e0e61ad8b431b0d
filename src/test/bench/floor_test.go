//go:build vm && bench

package bench

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"tunneldigger/src/nl"
)

// floor is the least that tunnels can cost: for each a socket, bound and connected, a tunnel and a session, each with one netlink request
// that is acknowledged, and if wanted one more that gives the interface its MTU, makes it a port of a bridge and brings it up. The messages
// are prepared; only numbers and names change.
type floor struct {
	generic, route        int
	tunnel, session, link []byte // link is nil: interfaces stay as they are
	fds                   []int
	reply                 [4096]byte
	sessionName, linkName int // where the interface's name begins
}

// lift is what is done with a session's interface.
type lift int

const (
	down lift = iota
	up
	bridged
)

// Places of values in the messages below: a header of 20 bytes, then attributes of 8 bytes, 4 of them the value.
const (
	placeTunnel  = 24 // of both messages
	placeFD      = 56
	placeSession = 32
	placePeer    = 40
	nameFormat   = "l2tp%06d"
)

// newFloor is to be called in the network namespace. The bridge is for bridged.
func newFloor(what lift, bridge string) (*floor, error) {
	f := &floor{}
	c, err := nl.Dial(unix.NETLINK_GENERIC)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	family, err := c.Family("l2tp")
	if err != nil {
		return nil, err
	}
	name := fmt.Sprintf(nameFormat, 0)
	m := nl.NewMessage(nl.Host)
	m.Begin("", family, unix.NLM_F_REQUEST|unix.NLM_F_ACK)
	m.Raw(1, 1, 0, 0) // L2TP_CMD_TUNNEL_CREATE, version
	m.U32(9, 0)       // L2TP_ATTR_CONN_ID
	m.U32(10, 1)      // L2TP_ATTR_PEER_CONN_ID
	m.U8(7, 3)        // L2TP_ATTR_PROTO_VERSION
	m.U16(2, 0)       // L2TP_ATTR_ENCAP_TYPE: UDP
	m.U32(23, 0)      // L2TP_ATTR_FD
	f.tunnel = append(f.tunnel, m.Bytes()...)
	m.Begin("", family, unix.NLM_F_REQUEST|unix.NLM_F_ACK)
	m.Raw(5, 1, 0, 0) // L2TP_CMD_SESSION_CREATE, version
	m.U32(9, 0)       // L2TP_ATTR_CONN_ID
	m.U32(11, 0)      // L2TP_ATTR_SESSION_ID
	m.U32(12, 0)      // L2TP_ATTR_PEER_SESSION_ID
	m.U16(1, 5)       // L2TP_ATTR_PW_TYPE: Ethernet
	m.U8(5, 1)        // L2TP_ATTR_L2SPEC_TYPE
	m.String(8, name) // L2TP_ATTR_IFNAME
	f.session = append(f.session, m.Bytes()...)
	f.sessionName = len(f.session) - (len(name)+1+3)/4*4
	if what != down {
		m.Begin("", unix.RTM_SETLINK, unix.NLM_F_REQUEST|unix.NLM_F_ACK)
		m.Raw(0, 0, 0, 0)
		m.Raw32(0)
		m.Raw32(unix.IFF_UP)
		m.Raw32(unix.IFF_UP)
		m.U32(unix.IFLA_MTU, 1446)
		if what == bridged {
			index, err := interfaceIndex(bridge)
			if err != nil {
				return nil, err
			}
			m.U32(unix.IFLA_MASTER, index)
		}
		m.String(unix.IFLA_IFNAME, name)
		f.link = append(f.link, m.Bytes()...)
		f.linkName = len(f.link) - (len(name)+1+3)/4*4
	}
	if f.generic, err = netlink(unix.NETLINK_GENERIC); err == nil {
		f.route, err = netlink(unix.NETLINK_ROUTE)
	}
	return f, err
}

func interfaceIndex(name string) (uint32, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	defer unix.Close(fd)
	r, err := unix.NewIfreq(name)
	if err == nil {
		err = unix.IoctlIfreq(fd, unix.SIOCGIFINDEX, r)
	}
	if err != nil {
		return 0, fmt.Errorf("interface %s: %w", name, err)
	}
	return r.Uint32(), nil
}

func netlink(protocol int) (int, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, protocol)
	if err != nil {
		return -1, err
	}
	return fd, unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK})
}

// build makes n tunnels on sockets at local and tells how long that took.
func (f *floor) build(local netip.AddrPort, n int) (time.Duration, error) {
	start := now()
	for i := range n {
		fd, err := bareSocket(local, netip.AddrPortFrom(local.Addr().Next(), 20000+uint16(i)))
		if err != nil {
			return 0, err
		}
		f.fds = append(f.fds, fd)
		id := uint32(1000 + i)
		put := binary.NativeEndian.PutUint32
		put(f.tunnel[placeTunnel:], id)
		put(f.tunnel[placeFD:], uint32(fd))
		if err := f.request(f.generic, f.tunnel); err != nil {
			return 0, fmt.Errorf("tunnel %d: %w", id, err)
		}
		put(f.session[placeTunnel:], id)
		put(f.session[placeSession:], id)
		put(f.session[placePeer:], id)
		number(f.session[f.sessionName:], id)
		if err := f.request(f.generic, f.session); err != nil {
			return 0, fmt.Errorf("session %d: %w", id, err)
		}
		if f.link != nil {
			number(f.link[f.linkName:], id)
			if err := f.request(f.route, f.link); err != nil {
				return 0, fmt.Errorf("interface %d: %w", id, err)
			}
		}
	}
	return now() - start, nil
}

// number writes the digits of nameFormat.
func number(name []byte, id uint32) {
	for i := len("l2tp000000") - 1; i >= len("l2tp"); i-- {
		name[i] = '0' + byte(id%10)
		id /= 10
	}
}

func (f *floor) request(fd int, message []byte) error {
	if _, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(&message[0])), uintptr(len(message)), 0, 0, 0); errno != 0 {
		return errno
	}
	n, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(&f.reply[0])), uintptr(len(f.reply)), 0, 0, 0)
	if errno != 0 {
		return errno
	}
	if n < 20 || binary.NativeEndian.Uint16(f.reply[4:]) != unix.NLMSG_ERROR {
		return fmt.Errorf("an answer of %d bytes", n)
	}
	if code := int32(binary.NativeEndian.Uint32(f.reply[16:])); code != 0 {
		return unix.Errno(-code)
	}
	return nil
}

// close closes every socket; the kernel removes the interfaces in its own time.
func (f *floor) close() {
	for _, fd := range append(f.fds, f.generic, f.route) {
		unix.Close(fd)
	}
}
