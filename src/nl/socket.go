package nl

import (
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// socket is the transport to the kernel.
type socket int

func dial(protocol int, groups uint32, receiveBuffer int) (socket, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, protocol)
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	// Old kernels lack these options and an unprivileged process may not force the buffer: both only cost comfort.
	_ = unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_EXT_ACK, 1)
	_ = unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_CAP_ACK, 1)
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, receiveBuffer) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, receiveBuffer)
	}
	err = os.NewSyscallError("setsockopt", unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: answerSeconds}))
	if err == nil {
		err = os.NewSyscallError("bind", unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: groups}))
	}
	if err == nil {
		// Connected to port 0, the kernel, the socket refuses messages of other processes.
		err = os.NewSyscallError("connect", unix.Connect(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}))
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return socket(fd), nil
}

// The kernel carries a request out while it is written, and when that is done the answer is there to read. It may take milliseconds, and
// then the Go runtime would give the processor to another thread, which costs a good part of the request itself, and finds nothing to do.
// Raw calls spare that: the runtime does not learn of them.
func (s socket) write(request []byte) error {
	for {
		_, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(s), uintptr(unsafe.Pointer(unsafe.SliceData(request))), uintptr(len(request)), 0, 0, 0)
		if errno == 0 {
			return nil
		}
		if errno != unix.EINTR {
			return errno
		}
	}
}

func (s socket) read(buffer []byte, wait bool) (int, error) {
	for {
		n, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(s), uintptr(unsafe.Pointer(unsafe.SliceData(buffer))), uintptr(len(buffer)), unix.MSG_DONTWAIT, 0, 0)
		if errno == unix.EAGAIN && wait {
			return s.await(buffer)
		}
		if errno == 0 {
			return int(n), nil
		}
		if errno != unix.EINTR {
			return 0, errno
		}
	}
}

// await reads what is not there yet.
func (s socket) await(buffer []byte) (int, error) {
	for {
		n, err := unix.Read(int(s), buffer)
		if err != unix.EINTR {
			return n, err
		}
	}
}

func (s socket) fd() int      { return int(s) }
func (s socket) close() error { return os.NewSyscallError("close", unix.Close(int(s))) }
