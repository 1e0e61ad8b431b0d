package forward

import (
	"unsafe"

	"golang.org/x/sys/unix"

	"tunneldigger/src/offload"
)

// reads is how many frames a TAP device may give in a turn. Of the largest that is 2 MB.
const reads = 32

// transmit sends what a TAP device has, up to a bound.
func (w *worker) transmit(t *Tunnel) {
	r := t.route.Load()
	s := r.listener.senders[w.number]
	var f offload.Frame
	for range reads {
		n, _, errno := unix.RawSyscall(unix.SYS_READ, uintptr(t.fd), uintptr(unsafe.Pointer(unsafe.SliceData(w.frame))), uintptr(len(w.frame)))
		if errno == unix.EINTR {
			continue
		}
		if errno != 0 {
			break // EAGAIN; EBADFD: the interface has been removed, and its owner will hear of that
		}
		if err := f.Parse(w.frame[:n]); err != nil {
			w.drop(DropFrame, 1)
			continue
		}
		for !w.train.Add(&f, &t.header) {
			w.send(s, &r.address)
		}
	}
	if w.train.Len() > 0 {
		w.send(s, &r.address)
	}
}

// send sends the train and empties it.
func (w *worker) send(s *socket, a *address) {
	w.sendTrain(s, a)
	w.train.Reset()
}

func (w *worker) sendTrain(s *socket, a *address) {
	data, n := w.train.Bytes(), w.train.Len()
	if n > 1 && s.plain.Load() {
		w.sendEach(s, a)
		return
	}
	segment := 0
	if n > 1 {
		segment = w.train.Size()
	}
	for try := 0; ; try++ {
		errno := w.out.send(s.fd, a, &w.outCtl, data, segment)
		switch {
		case errno == 0:
			return
		case n > 1 && (errno == unix.EIO || errno == unix.ENOPROTOOPT || errno == unix.EOPNOTSUPP):
			// The device computes no checksums, or something on the way to it can't cut.
			s.plain.Store(true)
			w.sendEach(s, a)
			return
		case n > 1 && (errno == unix.EINVAL || errno == unix.EMSGSIZE):
			// Some do not fit the device's MTU, or the kernel takes fewer at a time.
			w.sendEach(s, a)
			return
		case errno == unix.EINTR, try < 2 && another(errno):
		default:
			w.lost(errno, n)
			return
		}
	}
}

// lost counts what was not sent.
func (w *worker) lost(errno unix.Errno, n int) {
	switch errno {
	case unix.EAGAIN, unix.ENOBUFS, unix.ENOMEM:
		w.drop(DropSocket, n)
	case unix.EMSGSIZE:
		w.drop(DropTooBig, n)
	default:
		w.drop(DropSend, n)
	}
}

// bundle is what sendmmsg(2) takes.
type bundle struct {
	headers [offload.MaxSegments]mmsghdr
	iovecs  [offload.MaxSegments]unix.Iovec
}

// mmsghdr is struct mmsghdr; Go pads it as C does.
type mmsghdr struct {
	hdr unix.Msghdr
	len uint32
}

// sendEach sends the train's datagrams by themselves.
func (w *worker) sendEach(s *socket, a *address) {
	b, n := &w.bundle, 0
	for rest := w.train.Bytes(); len(rest) > 0; n++ {
		size := min(w.train.Size(), len(rest))
		b.iovecs[n].Base = unsafe.SliceData(rest)
		b.iovecs[n].SetLen(size)
		h := &b.headers[n].hdr
		*h = unix.Msghdr{Name: (*byte)(unsafe.Pointer(&a.name.Raw)), Namelen: a.name.Len, Iov: &b.iovecs[n]}
		h.SetIovlen(1)
		if a.size > 0 {
			h.Control = (*byte)(unsafe.Pointer(&a.info))
			h.SetControllen(a.size)
		}
		rest = rest[size:]
	}
	for first, tries := 0, 0; first < n; {
		sent, _, errno := unix.RawSyscall6(unix.SYS_SENDMMSG, uintptr(s.fd), uintptr(unsafe.Pointer(&b.headers[first])), uintptr(n-first),
			unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, 0, 0)
		switch {
		case errno == 0:
			first += int(sent)
			tries = 0
		case errno == unix.EINTR:
		case errno == unix.EAGAIN:
			w.lost(errno, n-first)
			return
		case tries < 2 && another(errno):
			tries++
		default: // the first one failed, the others have not been tried
			w.lost(errno, 1)
			first++
			tries = 0
		}
	}
}
