//go:build vm && bench

package bench

import (
	"net/netip"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"tunneldigger/src/wire"
)

// flood asks for cookies as fast as they come, with so many requests on their way at a time that the other side never waits for one.
type flood struct {
	fd       int
	out, in  [floodBatch]mmsghdr
	iovs     [2 * floodBatch]unix.Iovec
	buf      [floodBatch][64]byte
	request  []byte
	answers  int
	requests int
}

const (
	floodBatch  = 32
	outstanding = 512
)

type mmsghdr struct {
	hdr unix.Msghdr
	_   uint32 // bytes of the message, as the kernel counts
}

// newFlood is to be called in the clients' network namespace.
func newFlood(t testing.TB, local, server netip.AddrPort) *flood {
	t.Helper()
	fd, err := bareSocket(local, server)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 4<<20)
	f := &flood{fd: fd, request: wire.AppendCookieRequest(nil)}
	for i := range floodBatch {
		out, in := &f.iovs[2*i], &f.iovs[2*i+1]
		out.Base, in.Base = &f.request[0], &f.buf[i][0]
		out.SetLen(len(f.request))
		in.SetLen(len(f.buf[i]))
		f.out[i].hdr.Iov, f.in[i].hdr.Iov = out, in
		f.out[i].hdr.SetIovlen(1)
		f.in[i].hdr.SetIovlen(1)
	}
	return f
}

// run returns how many answers came, and in which time.
func (f *flood) run(during time.Duration) (int, time.Duration) {
	f.requests, f.answers = 0, 0
	start := now()
	for last := start; now()-start < during; {
		if f.requests-f.answers <= outstanding-floodBatch {
			n, _, errno := unix.RawSyscall6(unix.SYS_SENDMMSG, uintptr(f.fd), uintptr(unsafe.Pointer(&f.out)), floodBatch, unix.MSG_DONTWAIT, 0, 0)
			if errno == 0 {
				f.requests += int(n)
			}
		}
		n, _, errno := unix.RawSyscall6(unix.SYS_RECVMMSG, uintptr(f.fd), uintptr(unsafe.Pointer(&f.in)), floodBatch, unix.MSG_DONTWAIT, 0, 0)
		switch {
		case errno == 0:
			f.answers += int(n)
			last = now()
		case f.requests-f.answers > outstanding-floodBatch:
			fds := []unix.PollFd{{Fd: int32(f.fd), Events: unix.POLLIN}}
			_, _ = unix.Poll(fds, 100)
			if now()-last > 500*time.Millisecond { // what is still missing was lost
				f.requests, last = f.answers, now()
			}
		}
	}
	return f.answers, now() - start
}
