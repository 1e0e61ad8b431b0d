package nl

import (
	"os"

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

func (s socket) write(request []byte) error {
	for {
		if _, err := unix.Write(int(s), request); err != unix.EINTR {
			return err
		}
	}
}

func (s socket) read(buffer []byte, wait bool) (n int, err error) {
	for {
		if wait {
			n, err = unix.Read(int(s), buffer)
		} else {
			n, _, err = unix.Recvfrom(int(s), buffer, unix.MSG_DONTWAIT)
		}
		if err != unix.EINTR {
			return n, err
		}
	}
}

func (s socket) fd() int      { return int(s) }
func (s socket) close() error { return os.NewSyscallError("close", unix.Close(int(s))) }
