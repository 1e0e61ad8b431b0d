package nl

import "golang.org/x/sys/unix"

// Error is a request that the kernel refused or did not answer. errors.Is(err, unix.EEXIST) and the like look at Errno.
type Error struct {
	Op    string     // what was asked, as given to Conn.Request
	Errno unix.Errno // ETIMEDOUT: no answer; EINTR: a list changed each time it was read; ENOBUFS: the answer was lost
	Text  string     // the kernel's explanation (extended acknowledgement), often empty
}

// Error is the operation, the errno's text and the kernel's explanation.
func (e *Error) Error() string {
	s := e.Op + ": " + e.Errno.Error()
	if e.Text != "" {
		s += " (" + e.Text + ")"
	}
	return s
}

// Unwrap returns the errno.
func (e *Error) Unwrap() error { return e.Errno }

// Attributes of an extended acknowledgement: enum nlmsgerr_attrs, linux/netlink.h.
const extackText = unix.NLMSGERR_ATTR_MSG

// acknowledged reads the body of an NLMSG_ERROR: a negated errno, the request's header, its payload unless that was capped, then
// attributes. Errno 0 is the plain acknowledgement and gives nil.
func acknowledged(op string, order Order, flags uint16, body []byte) error {
	if len(body) < 4+headerLen {
		return malformed(op, "acknowledgement", len(body))
	}
	errno := order.Uint32(body)
	if errno == 0 {
		return nil
	}
	rest := body[4+headerLen:]
	if flags&unix.NLM_F_CAPPED == 0 {
		request := padded(int(min(order.Uint32(body[4:]), uint32(len(body))))) - headerLen
		rest = rest[max(0, min(request, len(rest))):]
	}
	return refused(op, order, flags, errno, rest)
}

// finished reads the body of the NLMSG_DONE that ends a list: a negated errno, then attributes.
func finished(op string, order Order, flags uint16, body []byte) error {
	if len(body) < 4 { // old kernels end a list without a status
		return nil
	}
	errno := order.Uint32(body)
	if int32(errno) >= 0 { // may be the length of the last part
		return nil
	}
	return refused(op, order, flags, errno, body[4:])
}

func refused(op string, order Order, flags uint16, errno uint32, attributes []byte) error {
	if -int32(errno) <= 0 {
		return malformed(op, "errno in an acknowledgement", len(attributes))
	}
	e := &Error{Op: op, Errno: unix.Errno(-errno)}
	if flags&unix.NLM_F_ACK_TLVS != 0 {
		for a := Parse(order, attributes); a.Next(); {
			if a.Type() == extackText {
				e.Text = a.String()
			}
		}
	}
	return e
}
