//go:build bench

package bench

import (
	"fmt"
	"net/netip"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The bare loops: what the broker does, with no work but the system calls, one turn for whatever is ready, as one would write it in C. Raw
// calls keep the Go runtime out of it: it never learns that the thread blocks.

const keepaliveGap = 5 * time.Second

// bare makes this thread one of a C program, as far as that goes: no garbage collection, no signals of the runtime's.
func bare() {
	debug.SetGCPercent(-1)
	runtime.LockOSThread()
	var all unix.Sigset_t
	for i := range all.Val {
		all.Val[i] = ^all.Val[i]
	}
	_ = unix.PthreadSigmask(unix.SIG_BLOCK, &all, nil)
}

// bareKeepalives is the least that standing tunnels can cost: LOCAL PEER:FIRST-LAST makes one socket for each of the peer's ports, bound to
// LOCAL and connected; the loop reads every datagram and sends one on every socket every 5 s, spread evenly.
func bareKeepalives(args []string) error {
	bare()
	local, first, count, err := parsePeers(args)
	if err != nil {
		return err
	}
	epoll, err := unix.EpollCreate1(0)
	if err != nil {
		return err
	}
	fds := make([]int, count)
	for i := range fds {
		peer := netip.AddrPortFrom(first.Addr(), first.Port()+uint16(i))
		if fds[i], err = bareSocket(local, peer); err != nil {
			return fmt.Errorf("socket %d: %w", i, err)
		}
		ev := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fds[i])}
		if err := unix.EpollCtl(epoll, unix.EPOLL_CTL_ADD, fds[i], &ev); err != nil {
			return err
		}
	}
	var events [256]unix.EpollEvent
	var buf [2048]byte
	keepalive := []byte{0x80, 0x73, 0xA7, 1, 5, 2, 0, 0, 0, 0, 0, 0}
	gap := keepaliveGap / time.Duration(count)
	next, turn := now()+gap, 0
	for {
		n := bareWait(epoll, events[:], max(0, next-now()))
		for i := range events[:n] {
			unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(events[i].Fd), uintptr(unsafe.Pointer(&buf)), uintptr(len(buf)), unix.MSG_DONTWAIT, 0, 0)
		}
		for at := now(); next <= at; next += gap {
			keepalive[7]++
			unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fds[turn]), uintptr(unsafe.Pointer(&keepalive[0])), uintptr(len(keepalive)), unix.MSG_DONTWAIT, 0, 0)
			turn = (turn + 1) % count
		}
	}
}

// bareEcho is the least that cookies can cost: LOCAL answers every datagram with one of 14 bytes, one recvfrom and one sendto each.
func bareEcho(args []string) error {
	bare()
	local, err := netip.ParseAddrPort(args[0])
	if err != nil {
		return err
	}
	fd, err := bareSocket(local, netip.AddrPort{})
	if err != nil {
		return err
	}
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 4<<20)
	epoll, err := unix.EpollCreate1(0)
	if err != nil {
		return err
	}
	ev := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)}
	if err := unix.EpollCtl(epoll, unix.EPOLL_CTL_ADD, fd, &ev); err != nil {
		return err
	}
	var events [1]unix.EpollEvent
	var buf [2048]byte
	var from unix.RawSockaddrInet6
	answer := []byte{0x80, 0x73, 0xA7, 1, 1, 8, 1, 2, 3, 4, 5, 6, 7, 8}
	for {
		size := uint32(unsafe.Sizeof(from))
		_, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(&buf)), uintptr(len(buf)), unix.MSG_DONTWAIT,
			uintptr(unsafe.Pointer(&from)), uintptr(unsafe.Pointer(&size)))
		if errno != 0 {
			bareWait(epoll, events[:], -1)
			continue
		}
		unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(&answer[0])), uintptr(len(answer)), unix.MSG_DONTWAIT,
			uintptr(unsafe.Pointer(&from)), uintptr(size))
	}
}

func bareSocket(local, peer netip.AddrPort) (int, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1); err != nil {
		return -1, err
	}
	if err := unix.Bind(fd, sockaddr(local)); err != nil {
		return -1, err
	}
	if peer.IsValid() {
		err = unix.Connect(fd, sockaddr(peer))
	}
	return fd, err
}

func sockaddr(a netip.AddrPort) unix.Sockaddr {
	return &unix.SockaddrInet4{Addr: a.Addr().As4(), Port: int(a.Port())}
}

// parsePeers reads LOCAL PEER:FIRST-LAST.
func parsePeers(args []string) (local, first netip.AddrPort, count int, err error) {
	peers, last, _ := strings.Cut(args[1], "-")
	if local, err = netip.ParseAddrPort(args[0]); err == nil {
		first, err = netip.ParseAddrPort(peers)
	}
	end, e := strconv.Atoi(last)
	if err == nil {
		err = e
	}
	return local, first, end - int(first.Port()) + 1, err
}

// bareWait is epoll_pwait, its time-out rounded up to milliseconds; negative is for ever.
func bareWait(epoll int, events []unix.EpollEvent, timeout time.Duration) int {
	ms := int((timeout + time.Millisecond - 1) / time.Millisecond)
	if timeout < 0 {
		ms = -1
	}
	n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(epoll), uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)), uintptr(ms), 0, 0)
	if errno != 0 {
		return 0
	}
	return int(n)
}

var began = time.Now()

// now is the time since the program began, read without a system call.
func now() time.Duration { return time.Since(began) }
