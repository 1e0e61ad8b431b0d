package nl

import "golang.org/x/sys/unix"

// Fake returns a Conn whose kernel is a function, for tests: it is given each whole request and returns what a read would give, one
// entry a read, each with one or more whole messages. An entry may also be a read's errno. Ack and Reply make such messages.
func Fake(kernel func(request []byte) []any) *Conn { return newConn(&fake{kernel: kernel}) }

type fake struct {
	kernel func(request []byte) []any
	queue  []any
}

func (f *fake) write(request []byte) error {
	f.queue = append(f.queue, f.kernel(request)...)
	return nil
}

func (f *fake) read(buffer []byte, _ bool) (int, error) {
	if len(f.queue) == 0 {
		return 0, unix.EAGAIN
	}
	next := f.queue[0]
	f.queue = f.queue[1:]
	if errno, ok := next.(unix.Errno); ok {
		return 0, errno
	}
	return copy(buffer, next.([]byte)), nil
}

func (f *fake) fd() int      { return -1 }
func (f *fake) close() error { return nil }

// Ack makes the acknowledgement of a request: errno 0, or the refusal with an explanation, as Linux sends it to a socket with
// NETLINK_CAP_ACK and NETLINK_EXT_ACK.
func Ack(request []byte, errno unix.Errno, text string) []byte {
	m := NewMessage(Host)
	flags := uint16(unix.NLM_F_CAPPED)
	if text != "" {
		flags |= unix.NLM_F_ACK_TLVS
	}
	m.Begin("", unix.NLMSG_ERROR, flags)
	m.Raw32(uint32(-int32(errno)))
	m.Raw(request[:headerLen]...)
	if text != "" {
		m.String(extackText, text)
	}
	return answer(m, request)
}

// Reply makes a message of the given type and flags that answers a request, with its payload.
func Reply(request []byte, kind, flags uint16, body ...byte) []byte {
	m := NewMessage(Host)
	m.Begin("", kind, flags)
	m.Raw(body...)
	return answer(m, request)
}

// Done makes the message that ends a list.
func Done(request []byte) []byte {
	return Reply(request, unix.NLMSG_DONE, unix.NLM_F_MULTI, 0, 0, 0, 0)
}

func answer(m *Message, request []byte) []byte {
	b := m.Bytes()
	copy(b[8:12], request[8:12])
	return b
}

// FakeListener returns a Listener that receives what is sent to the channel: []byte with one or more whole messages, or a read's
// errno. The caller makes the channel with room for all of it.
func FakeListener(notifications <-chan any) *Listener { return newListener(channel(notifications)) }

type channel <-chan any

func (c channel) write([]byte) error { return nil }

func (c channel) read(buffer []byte, _ bool) (int, error) {
	select {
	case next := <-c:
		if errno, ok := next.(unix.Errno); ok {
			return 0, errno
		}
		return copy(buffer, next.([]byte)), nil
	default:
		return 0, unix.EAGAIN
	}
}

func (c channel) fd() int      { return -1 }
func (c channel) close() error { return nil }
