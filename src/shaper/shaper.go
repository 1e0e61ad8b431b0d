// Package shaper limits what goes to a client: an HTB class with fq_codel on
// the interface of its tunnel, by netlink, read back after every change.
//
// The limit counts Ethernet frames as they enter the tunnel. The 40 bytes or so
// that L2TP, UDP and IP add on the way are not counted: a limit says what a
// client's users get, not what its provider sees.
package shaper

import (
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"tunneldigger/src/nl"
)

// Attribute and constant numbers of linux/pkt_sched.h and linux/rtnetlink.h.
const (
	tcaKind    = 1
	tcaOptions = 2

	htbParms  = 1
	htbInit   = 2
	htbRate64 = 6

	fqCodelLimit  = 2
	fqCodelFlows  = 5
	fqCodelMemory = 9

	htbVersion   = 3
	linkEthernet = 1 // TC_LINKLAYER_ETHERNET: the kernel computes times itself, no rate table
	tick         = 64
	handleRoot   = 0x00010000
	handleClass  = 0x00010001
	handleLeaf   = 0x00020000
	parentRoot   = 0xffffffff // TC_H_ROOT
)

// How much one tunnel's queue may hold: the defaults of fq_codel (10240 packets,
// 32 MB) are meant for one interface of a host, not for a thousand.
const (
	leafPackets = 1024
	leafFlows   = 256
	leafMemory  = 2 << 20
)

// MaxKbit is the largest limit, a gigabyte per second; more is no limit at all.
const MaxKbit = 8_000_000

// ErrNotKept says that the kernel took a limit and then had another one.
var ErrNotKept = errors.New("the kernel did not keep the limit")

// Conn changes limits in one network namespace. It is not safe for concurrent
// use.
type Conn struct{ nl *nl.Conn }

// Open connects to the kernel.
func Open() (*Conn, error) {
	c, err := nl.Dial(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, err
	}
	return &Conn{c}, nil
}

// Close closes the connection; limits stay.
func (c *Conn) Close() error { return c.nl.Close() }

// Set limits what leaves the interface to kbit/s, 1–MaxKbit (a larger value is
// taken as MaxKbit), in place of the limit it may have. ENODEV: no such
// interface. ENOENT: the kernel has no HTB or fq_codel (OpenWrt: kmod-sched-core).
func (c *Conn) Set(index int, kbit uint32) error {
	if kbit == 0 {
		return fmt.Errorf("bandwidth limit: 0 kbit/s: want 1–%d: %w", MaxKbit, unix.EINVAL)
	}
	kbit = min(kbit, MaxKbit)
	have, err := c.Read(index)
	if err != nil {
		return err
	}
	if have == 0 {
		if err := c.root(index); err != nil {
			return err
		}
	}
	if err = c.class(index, kbit); err == nil && have == 0 {
		err = c.leaf(index)
	}
	if err == nil {
		var kept uint32
		if kept, err = c.Read(index); err == nil && kept != kbit {
			err = fmt.Errorf("%w: %d kbit/s instead of %d", ErrNotKept, kept, kbit)
		}
	}
	if err != nil && have == 0 {
		_ = c.Clear(index)
	}
	return err
}

// Clear lifts the limit; an interface without one is fine.
func (c *Conn) Clear(index int) error {
	c.request("remove HTB", unix.RTM_DELQDISC, 0, index, handleRoot, parentRoot)
	if err := c.nl.Do(nil); err != nil && !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.EINVAL) {
		return err
	}
	return nil
}

// Read gives the limit that the kernel has, in kbit/s, 0 for none.
func (c *Conn) Read(index int) (kbit uint32, err error) {
	c.request("read HTB class", unix.RTM_GETTCLASS, 0, index, handleClass, 0)
	var fault error
	err = c.nl.Do(func(h nl.Header, body []byte) {
		if h.Type == unix.RTM_NEWTCLASS {
			kbit, fault = parse(nl.Host, body)
		}
	})
	// A class or its qdisc that is not there: no limit. Kernels differ in how
	// they say so.
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EOPNOTSUPP) {
		return 0, nil
	}
	return kbit, errors.Join(err, fault)
}

// parse takes the limit out of a tcmsg of an HTB class.
func parse(order nl.Order, body []byte) (uint32, error) {
	if len(body) < 20 {
		return 0, fmt.Errorf("HTB class: %d bytes are too short: %w", len(body), unix.EBADMSG)
	}
	var kind string
	var rate uint64
	a := nl.Parse(order, body[20:])
	for a.Next() {
		switch a.Type() {
		case tcaKind:
			kind = a.String()
		case tcaOptions:
			o := a.Nested()
			for o.Next() {
				switch b := o.Bytes(); {
				case o.Type() == htbRate64:
					rate = o.U64()
				case o.Type() == htbParms && len(b) >= 12 && rate == 0:
					rate = uint64(order.Uint32(b[8:]))
				}
			}
		}
	}
	if err := a.Err(); err != nil || kind != "htb" {
		return 0, err
	}
	return uint32(rate * 8 / 1000), nil
}

func (c *Conn) request(op string, kind, flags uint16, index int, handle, parent uint32) *nl.Message {
	m := c.nl.Request(op, kind, flags)
	m.Raw(unix.AF_UNSPEC, 0, 0, 0)
	m.Raw32(uint32(index))
	m.Raw32(handle)
	m.Raw32(parent)
	m.Raw32(0)
	return m
}

func (c *Conn) root(index int) error {
	m := c.request("add HTB", unix.RTM_NEWQDISC, unix.NLM_F_CREATE|unix.NLM_F_REPLACE, index, handleRoot, parentRoot)
	m.String(tcaKind, "htb")
	o := m.Nest(tcaOptions)
	m.Data(htbInit, words(m.Order(), htbVersion, 10, handleClass&0xffff, 0, 0))
	m.End(o)
	return c.nl.Do(nil)
}

func (c *Conn) class(index int, kbit uint32) error {
	m := c.request("set HTB class", unix.RTM_NEWTCLASS, unix.NLM_F_CREATE, index, handleClass, handleRoot)
	appendClass(m, kbit)
	return c.nl.Do(nil)
}

// appendClass appends kind and options of a class with rate = ceil = kbit.
func appendClass(m *nl.Message, kbit uint32) {
	rate := kbit * 125 // bytes per second; MaxKbit fits
	// A bucket of 10 ms, so that kernels with 100 ticks a second keep up, and of
	// two full frames at least.
	burst := max(rate/100, 2*1536)
	ticks := uint32(uint64(burst) * 1e9 / uint64(rate) / tick)
	quantum := min(max(rate/10, 1536), 60000)
	m.String(tcaKind, "htb")
	o := m.Nest(tcaOptions)
	spec := append([]byte{0, linkEthernet, 0, 0, 0, 0, 0, 0}, words(m.Order(), rate)...)
	parms := append(append(spec[:12:12], spec...), words(m.Order(), ticks, ticks, quantum, 0, 0)...)
	m.Data(htbParms, parms)
	m.End(o)
}

func (c *Conn) leaf(index int) error {
	m := c.request("add fq_codel", unix.RTM_NEWQDISC, unix.NLM_F_CREATE|unix.NLM_F_REPLACE, index, handleLeaf, handleClass)
	m.String(tcaKind, "fq_codel")
	o := m.Nest(tcaOptions)
	m.U32(fqCodelLimit, leafPackets)
	m.U32(fqCodelFlows, leafFlows)
	m.U32(fqCodelMemory, leafMemory)
	m.End(o)
	return c.nl.Do(nil)
}

func words(order binary.AppendByteOrder, all ...uint32) (b []byte) {
	for _, w := range all {
		b = order.AppendUint32(b, w)
	}
	return b
}
