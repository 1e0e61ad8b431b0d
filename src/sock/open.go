package sock

import (
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"

	"tunneldigger/src/phrase"
	"tunneldigger/src/sockaddr"
)

// option is one integer socket option.
type option struct{ level, name, value int }

// Both kinds of socket have these, and both need all of them: the kernel takes sockets into one SO_REUSEPORT group, and finds a
// connected one behind an unconnected one, only when address, device, owner and IPV6_V6ONLY are equal. SO_REUSEADDR stays off:
// with it, any other program could take the port as well.
var (
	shared4 = []option{{unix.SOL_SOCKET, unix.SO_REUSEPORT, 1}}
	shared6 = []option{{unix.SOL_SOCKET, unix.SO_REUSEPORT, 1}, {unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1}}
)

// open makes a non-blocking UDP socket, closed on exec, for addr's family, sets the options in order, ties it to device unless that
// is empty, and binds it.
func open(addr netip.AddrPort, device string, rcvbuf int, options ...[]option) (fd int, err error) {
	var sa sockaddr.Address
	if err := sa.Set(addr); err != nil {
		return -1, err
	}
	fd, err = unix.Socket(int(sa.Raw.Family), unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.IPPROTO_UDP)
	if err != nil {
		return -1, phrase.Errorf("socket: %w", err)
	}
	defer func() {
		if err != nil {
			unix.Close(fd)
			fd = -1
		}
	}()
	for _, list := range options {
		for _, o := range list {
			if errno := set(fd, o); errno != 0 {
				return fd, phrase.Errorf("setsockopt %d/%d: %w", o.level, o.name, errno)
			}
		}
	}
	if rcvbuf > 0 && set(fd, option{unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, rcvbuf}) != 0 {
		// Without CAP_NET_ADMIN the kernel caps the size; a smaller buffer is no reason to fail.
		set(fd, option{unix.SOL_SOCKET, unix.SO_RCVBUF, rcvbuf})
	}
	if device != "" {
		if err := unix.BindToDevice(fd, device); err != nil {
			return fd, phrase.Errorf("bind to device %s: %w", device, err)
		}
	}
	if _, _, errno := unix.RawSyscall(unix.SYS_BIND, uintptr(fd), uintptr(unsafe.Pointer(&sa.Raw)), uintptr(sa.Len)); errno != 0 {
		return fd, phrase.Errorf("bind: %w", errno)
	}
	return fd, nil
}

// set is setsockopt(2) for an integer. Like all calls here that a tunnel's set-up makes it is raw: none of them waits, and the Go runtime, told of
// one that takes some microseconds, does more work than the call.
func set(fd int, o option) unix.Errno {
	value := int32(o.value)
	_, _, errno := unix.RawSyscall6(unix.SYS_SETSOCKOPT, uintptr(fd), uintptr(o.level), uintptr(o.name), uintptr(unsafe.Pointer(&value)),
		unsafe.Sizeof(value), 0)
	return errno
}

// place names an address and device in an error message.
func place(addr netip.AddrPort, device string) string {
	if device == "" {
		return addr.String()
	}
	return addr.String() + " on " + device
}
