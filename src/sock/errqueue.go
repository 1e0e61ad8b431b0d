package sock

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// maxErrors bounds one DrainErrors; the loop comes back for more, since epoll is level-triggered.
const maxErrors = 64

// DrainErrors empties the error queue of a tunnel's socket and clears its pending error. Mtu is the smallest path MTU in bytes of IP
// packet that an EMSGSIZE reported (the device's own or an ICMP message's), 0 without one; count is how many errors there
// were. ICMP messages can be forged: the caller decides which values to believe.
func DrainErrors(fd int) (mtu, count int) {
	var ctl [64]uint64 // sock_extended_err, the offender's address, timestamps: 512 bytes are plenty
	// One byte of the datagram that met the error is asked for, only because qemu's user emulation skips a call without an iovec.
	var data byte
	iov := unix.Iovec{Base: &data}
	iov.SetLen(1)
	for count < maxErrors {
		msg := unix.Msghdr{Iov: &iov}
		msg.SetIovlen(1)
		msg.Control = (*byte)(unsafe.Pointer(&ctl))
		msg.SetControllen(int(unsafe.Sizeof(ctl)))
		_, _, errno := unix.RawSyscall(unix.SYS_RECVMSG, uintptr(fd), uintptr(unsafe.Pointer(&msg)), unix.MSG_ERRQUEUE|unix.MSG_DONTWAIT)
		if errno == unix.EINTR {
			continue
		}
		if errno != 0 {
			break
		}
		count++
		if m := pathMTU(unsafe.Slice((*byte)(unsafe.Pointer(&ctl)), int(msg.Controllen))); m > 0 && (mtu == 0 || m < mtu) {
			mtu = m
		}
	}
	if e, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR); err == nil && e != 0 {
		count++
	}
	return mtu, count
}

// pathMTU finds the path MTU in the control messages of one entry of the error queue; 0 when it is another error.
func pathMTU(control []byte) int {
	for len(control) >= unix.CmsgLen(0) {
		h := (*unix.Cmsghdr)(unsafe.Pointer(unsafe.SliceData(control)))
		size := int(h.Len)
		if size < unix.CmsgLen(0) || size > len(control) {
			return 0
		}
		v4 := h.Level == unix.IPPROTO_IP && h.Type == unix.IP_RECVERR
		v6 := h.Level == unix.IPPROTO_IPV6 && h.Type == unix.IPV6_RECVERR
		if (v4 || v6) && size >= unix.CmsgLen(int(unsafe.Sizeof(unix.SockExtendedErr{}))) {
			e := (*unix.SockExtendedErr)(unsafe.Pointer(&control[unix.CmsgLen(0)]))
			if unix.Errno(e.Errno) == unix.EMSGSIZE {
				return int(min(e.Info, 65535))
			}
		}
		control = control[min(unix.CmsgSpace(size-unix.CmsgLen(0)), len(control)):]
	}
	return 0
}
