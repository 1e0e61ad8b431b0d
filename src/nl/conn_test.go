package nl

import (
	"encoding/binary"
	"errors"
	"testing"

	"golang.org/x/sys/unix"
)

func TestDo(t *testing.T) {
	const kind = 0x20
	for _, test := range []struct {
		name    string
		kernel  func(request []byte) []any
		errno   error
		text    string
		replies int
	}{
		{"acknowledged", func(r []byte) []any { return []any{Ack(r, 0, "")} }, nil, "", 0},
		{"refused with a text", func(r []byte) []any { return []any{Ack(r, unix.EEXIST, "Device exists")} },
			unix.EEXIST, "ask: file exists (Device exists)", 0},
		{"refused without", func(r []byte) []any { return []any{Ack(r, unix.ENODEV, "")} }, unix.ENODEV, "ask: no such device", 0},
		{"reply first", func(r []byte) []any { return []any{Reply(r, kind, 0, 1, 2), Ack(r, 0, "")} }, nil, "", 1},
		{"both in one read", func(r []byte) []any { return []any{append(Reply(r, kind, 0, 1, 2), Ack(r, 0, "")...)} }, nil, "", 1},
		{"stale ones", func(r []byte) []any {
			old := append([]byte(nil), r...)
			Host.PutUint32(old[8:], Host.Uint32(r[8:])-1)
			return []any{Ack(old, unix.EIO, ""), Reply(old, kind, 0), Ack(r, 0, "")}
		}, nil, "", 0},
		{"overrun, answer there", func(r []byte) []any { return []any{unix.ENOBUFS, Ack(r, 0, "")} }, nil, "", 0},
		{"overrun, answer lost", func(r []byte) []any { return []any{unix.ENOBUFS} }, unix.ENOBUFS, "ask: no buffer space available", 0},
		{"silence", func(r []byte) []any { return nil }, unix.ETIMEDOUT, "ask: connection timed out (no answer from the kernel)", 0},
		{"cut short", func(r []byte) []any { return []any{Ack(r, 0, "")[:20]} }, ErrMalformed, "", 0},
		{"shorter than its header", func(r []byte) []any {
			b := Ack(r, 0, "")
			Host.PutUint32(b, headerLen-1)
			return []any{b}
		}, ErrMalformed, "", 0},
		{"empty acknowledgement", func(r []byte) []any { return []any{Reply(r, unix.NLMSG_ERROR, 0)} }, ErrMalformed, "", 0},
		{"positive errno", func(r []byte) []any {
			return []any{Reply(r, unix.NLMSG_ERROR, 0, append([]byte{0x11, 0x11, 0x11, 0x11}, r[:headerLen]...)...)}
		}, ErrMalformed, "", 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := Fake(test.kernel)
			c.Request("ask", kind, unix.NLM_F_EXCL).U8(1, 1)
			replies := 0
			err := c.Do(func(h Header, body []byte) { replies++ })
			if !errors.Is(err, test.errno) || replies != test.replies {
				t.Errorf("error %v, %d replies; want %v, %d", err, replies, test.errno, test.replies)
			}
			if test.text != "" && err.Error() != test.text {
				t.Errorf("text %q, want %q", err, test.text)
			}
		})
	}
}

func TestRequestHeader(t *testing.T) {
	c := Fake(func(r []byte) []any {
		if flags := Host.Uint16(r[6:]); flags != unix.NLM_F_REQUEST|unix.NLM_F_ACK|unix.NLM_F_EXCL {
			t.Errorf("flags %#x", flags)
		}
		return []any{Ack(r, 0, "")}
	})
	for seq := uint32(1); seq < 3; seq++ {
		c.Request("ask", 0x20, unix.NLM_F_EXCL)
		if err := c.Do(nil); err != nil || c.seq != seq {
			t.Errorf("sequence %d, error %v", c.seq, err)
		}
	}
}

// Without NETLINK_CAP_ACK the request's payload, padded, precedes the attributes.
func TestUncappedAcknowledgement(t *testing.T) {
	for _, order := range []Order{binary.LittleEndian, binary.BigEndian} {
		m := NewMessage(order)
		m.Begin("", unix.NLMSG_ERROR, unix.NLM_F_ACK_TLVS)
		m.Raw32(negated(unix.EINVAL))
		m.Raw32(headerLen + 6)
		m.Raw(make([]byte, 12)...)
		m.Raw(1, 2, 3, 4, 5, 6)
		m.U32(unix.NLMSGERR_ATTR_OFFS, 3)
		m.String(extackText, "why")
		err := acknowledged("ask", order, unix.NLM_F_ACK_TLVS, m.Bytes()[headerLen:])
		var e *Error
		if !errors.As(err, &e) || *e != (Error{"ask", unix.EINVAL, "why"}) {
			t.Errorf("%v: %v", order, err)
		}
	}
}

func TestDump(t *testing.T) {
	const kind = 0x20
	interrupted := func(r []byte) []any {
		return []any{Reply(r, kind, unix.NLM_F_MULTI, 1), append(Reply(r, kind, unix.NLM_F_MULTI|unix.NLM_F_DUMP_INTR, 2), Done(r)...)}
	}
	whole := func(r []byte) []any { return []any{Reply(r, kind, unix.NLM_F_MULTI, 1), Done(r)} }
	stale := func(r []byte) []any {
		old := append([]byte(nil), r...)
		Host.PutUint32(old[8:], Host.Uint32(r[8:])-1)
		return append([]any{Reply(old, kind, unix.NLM_F_MULTI, 8), Reply(old, kind, unix.NLM_F_MULTI, 9), Done(old)}, whole(r)...)
	}
	refused := func(r []byte) []any {
		return []any{Reply(r, unix.NLMSG_DONE, unix.NLM_F_MULTI, Host.AppendUint32(nil, negated(unix.EPERM))...)}
	}
	for _, test := range []struct {
		name  string
		tries []func(r []byte) []any
		items int
		errno error
	}{
		{"whole", []func([]byte) []any{whole}, 1, nil},
		{"after a stale one", []func([]byte) []any{stale}, 1, nil},
		{"changed meanwhile", []func([]byte) []any{interrupted, interrupted, whole}, 1, nil},
		{"changed each time", []func([]byte) []any{interrupted, interrupted, interrupted, interrupted, interrupted}, 2, unix.EINTR},
		{"lost", []func([]byte) []any{func([]byte) []any { return []any{unix.ENOBUFS} }, whole}, 1, nil},
		{"refused", []func([]byte) []any{func(r []byte) []any { return []any{Ack(r, unix.EPERM, "")} }}, 0, unix.EPERM},
		{"refused at the end", []func([]byte) []any{refused}, 0, unix.EPERM},
	} {
		t.Run(test.name, func(t *testing.T) {
			try := 0
			c := Fake(func(r []byte) []any { try++; return test.tries[try-1](r) })
			c.Request("list", kind, 0)
			items := 0
			err := c.Dump(func() { items = 0 }, func(Header, []byte) { items++ })
			if !errors.Is(err, test.errno) || items != test.items || try != len(test.tries) {
				t.Errorf("%d items in %d tries, error %v", items, try, err)
			}
		})
	}
}

func negated(e unix.Errno) uint32 { return -uint32(e) }

func TestFamily(t *testing.T) {
	// CTRL_CMD_NEWFAMILY, then the family's name and number.
	body := NewMessage(Host)
	body.Begin("", 0, 0)
	body.Raw(1, 2, 0, 0)
	body.String(unix.CTRL_ATTR_FAMILY_NAME, "l2tp")
	body.U16(unix.CTRL_ATTR_FAMILY_ID, 0x1c)
	for _, test := range []struct {
		name   string
		kernel func(r []byte) []any
		id     uint16
		errno  error
	}{
		{"there", func(r []byte) []any {
			return []any{Reply(r, unix.GENL_ID_CTRL, 0, body.Bytes()[headerLen:]...), Ack(r, 0, "")}
		}, 0x1c, nil},
		{"missing", func(r []byte) []any { return []any{Ack(r, unix.ENOENT, "")} }, 0, unix.ENOENT},
		{"no number", func(r []byte) []any { return []any{Reply(r, unix.GENL_ID_CTRL, 0, 1, 2), Ack(r, 0, "")} }, 0, unix.ENOENT},
	} {
		if id, err := Fake(test.kernel).Family("l2tp"); id != test.id || !errors.Is(err, test.errno) {
			t.Errorf("%s: %d, %v", test.name, id, err)
		}
	}
}

func TestNoGarbage(t *testing.T) {
	var ack []byte
	answers := make([]any, 1)
	c := Fake(func(r []byte) []any { return answers })
	allocations := testing.AllocsPerRun(100, func() {
		m := c.Request("ask", 0x20, 0)
		m.U32(1, 1)
		m.String(2, "l2tp100-100")
		if ack == nil {
			ack = Ack(m.Bytes(), 0, "")
			answers[0] = ack
		}
		Host.PutUint32(ack[8:], c.seq+1)
		if err := c.Do(nil); err != nil {
			t.Fatal(err)
		}
	})
	if allocations > 1 { // the fake's own queue
		t.Errorf("%v allocations a request", allocations)
	}
}
