package shaper

import (
	"errors"

	"golang.org/x/sys/unix"

	"tunneldigger/src/nl"
	"tunneldigger/src/phrase"
)

const (
	bytesPerKbit = 1000 / 8
	frame        = 1514 // a full Ethernet frame without checksum
)

// request starts a message with a tcmsg (linux/rtnetlink.h).
func (c *Conn) request(op string, kind, flags uint16, ifindex int, handle, parent uint32) *nl.Message {
	m := c.nl.Request(op, kind, flags)
	m.Raw(unix.AF_UNSPEC, 0, 0, 0)
	m.Raw32(uint32(ifindex))
	m.Raw32(handle)
	m.Raw32(parent)
	m.Raw32(0)
	return m
}

// newRoot makes the HTB qdisc in place of a default one; EEXIST: another one was set.
func (c *Conn) newRoot(ifindex int) error {
	m := c.request("make HTB qdisc", unix.RTM_NEWQDISC, unix.NLM_F_CREATE|unix.NLM_F_EXCL, ifindex, rootHandle, atRoot)
	m.String(tcaKind, "htb")
	options := m.Nest(tcaOptions)
	glob := m.Nest(htbInit) // struct tc_htb_glob
	m.Raw32(htbVersion)
	m.Raw32(1)                    // rate to quantum: the class has its quantum
	m.Raw32(classHandle & 0xffff) // the class of all frames
	m.Raw32(0)
	m.Raw32(0)
	m.End(glob)
	m.End(options)
	return c.nl.Do(nil)
}

// class makes the class with the rate, or changes it.
func (c *Conn) class(ifindex int, kbit uint32) error {
	m := c.request("set HTB class", unix.RTM_NEWTCLASS, unix.NLM_F_CREATE, ifindex, classHandle, rootHandle)
	appendClass(m, kbit)
	return c.nl.Do(nil)
}

func appendClass(m *nl.Message, kbit uint32) {
	rate := uint64(kbit) * bytesPerKbit
	m.String(tcaKind, "htb")
	options := m.Nest(tcaOptions)
	parms := m.Nest(htbParms) // struct tc_htb_opt
	ratespec(m, rate)
	ratespec(m, rate) // ceiling
	m.Raw32(ticks(rate))
	m.Raw32(ticks(rate))
	m.Raw32(frame) // quantum: of no use to a single class, but without one the kernel complains in its log
	m.Raw32(0)     // level, given by the kernel
	m.Raw32(0)     // priority
	m.End(parms)
	if rate > 1<<32-1 {
		m.U64(htbRate64, rate)
		m.U64(htbCeil64, rate)
	}
	m.End(options)
}

// ratespec appends a struct tc_ratespec. With the link layer given the kernel wants no rate tables (since 3.8).
func ratespec(m *nl.Message, rate uint64) {
	m.Raw(0, linklayerEthernet, 0, 0) // cell_log, linklayer, overhead
	m.Raw(0, 0, 0, 0)                 // cell_align, mpu
	m.Raw32(uint32(min(rate, 1<<32-1)))
}

// ticks is how long the burst takes at the rate, in units of 64 ns. The burst makes up for the time that a busy processor or a clock of 100 Hz
// lets pass unused: 10 ms, and 40 ms where that is no more than 256 KiB (with 10 ms an overloaded machine gave 92 % of the rate, with 40 ms all
// of it), and one frame.
func ticks(rate uint64) uint32 {
	burst := min(rate/25, max(rate/100, 256<<10)) + frame
	return uint32(burst * 1e9 / 64 / rate)
}

// leaf makes the qdisc below the class, or changes it: fq_codel or, where the kernel has none, a queue of bytes, which every kernel has.
func (c *Conn) leaf(ifindex int, kbit uint32, fresh bool) error {
	err := c.codel(ifindex, kbit, fresh)
	// EINVAL: there is such a queue from before.
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EINVAL) && !fresh {
		m := c.request("set bfifo qdisc", unix.RTM_NEWQDISC, unix.NLM_F_CREATE|unix.NLM_F_REPLACE, ifindex, leafHandle, classHandle)
		m.String(tcaKind, "bfifo")
		m.U32(tcaOptions, queue(kbit)) // struct tc_fifo_qopt
		return c.nl.Do(nil)
	}
	return err
}

// queue is how many bytes wait at most: those of 100 ms, and two frames of 64 kB, which go through in one piece.
func queue(kbit uint32) uint32 {
	return uint32(max(uint64(kbit)*bytesPerKbit/10, 2*65536))
}

func (c *Conn) codel(ifindex int, kbit uint32, fresh bool) error {
	m := c.request("set fq_codel qdisc", unix.RTM_NEWQDISC, unix.NLM_F_CREATE|unix.NLM_F_REPLACE, ifindex, leafHandle, classHandle)
	m.String(tcaKind, "fq_codel")
	options := m.Nest(tcaOptions)
	target := codelDelay(kbit)
	m.U32(codelTarget, target)
	m.U32(codelInterval, target+95_000)
	m.U32(codelMemoryLimit, 4<<20) // bytes; the kernel's 32 MiB are too much for a router with many tunnels
	if fresh {
		m.U32(codelFlows, 128) // 9 KiB instead of 73 with the kernel's 1024; cannot be changed later
	}
	m.End(options)
	return c.nl.Do(nil)
}

// codelDelay is the delay in µs that fq_codel allows to stand: its default of 5 ms, but at low rates one and a half frames.
func codelDelay(kbit uint32) uint32 {
	return max(5000, uint32(frame*8*1000*3/2/uint64(kbit)))
}

// get makes the kernel answer a request for one qdisc or class to the one who asked, and not only to those who listen.
const get = unix.NLM_F_ECHO

// state is what is read back of a qdisc or class.
type state struct {
	kind   string
	handle uint32
	class  uint32 // of an HTB qdisc: the minor number of the class of all frames
	leaf   uint32 // of a class: the handle of the qdisc below it
	rate   uint64 // of an HTB class, bytes a second
}

func (c *Conn) readRoot(ifindex int) (state, error) {
	c.request("read root qdisc", unix.RTM_GETQDISC, get, ifindex, 0, atRoot)
	s, err := c.read("read root qdisc")
	s.leaf = 0 // that is its reference count
	return s, err
}

func (c *Conn) readClass(ifindex int) (state, error) {
	c.request("read HTB class", unix.RTM_GETTCLASS, get, ifindex, classHandle, 0)
	return c.read("read HTB class")
}

func (c *Conn) read(op string) (s state, err error) {
	var bad error
	err = c.nl.Do(func(_ nl.Header, body []byte) { s, bad = parse(nl.Host, body) })
	if err == nil && bad != nil {
		err = phrase.Errorf("%s: %w", op, bad)
	}
	return s, err
}

// parse reads an RTM_NEWQDISC or RTM_NEWTCLASS: a tcmsg and attributes.
func parse(order nl.Order, body []byte) (s state, err error) {
	if len(body) < tcmsgLen {
		return s, nl.ErrMalformed
	}
	s.handle = order.Uint32(body[8:])
	s.leaf = order.Uint32(body[16:])
	a := nl.Parse(order, body[tcmsgLen:])
	for a.Next() {
		switch a.Type() {
		case tcaKind:
			s.kind = a.String()
		case tcaOptions:
			if s.kind == "htb" { // the kind comes first
				options(&s, order, a.Nested())
			}
		}
	}
	return s, a.Err()
}

func options(s *state, order nl.Order, a nl.Attributes) {
	for a.Next() {
		b := a.Bytes()
		switch a.Type() {
		case htbParms:
			if len(b) >= 12 && s.rate == 0 {
				s.rate = uint64(order.Uint32(b[8:]))
			}
		case htbRate64:
			s.rate = a.U64()
		case htbInit:
			if len(b) >= 12 {
				s.class = order.Uint32(b[8:])
			}
		}
	}
}
