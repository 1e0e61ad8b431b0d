package shaper

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"reflect"
	"testing"

	"golang.org/x/sys/unix"

	"tunneldigger/src/nl"
)

// What Linux 6.1.0-56-amd64 and 6.12.100-amd64 answer to RTM_GETTCLASS and RTM_GETQDISC, without the counters; then the first one as a big-endian
// kernel has it.
const (
	class2000 = "000000000700000001000100ffffffff00000200" + "0800010068746200" +
		"3400020030000100000100000000000090d00300000100000000000090d0030009fb0a0009fb0a00ea0500000000000000000000"
	classMax = "000000000700000001000100ffffffff00000200" + "0800010068746200" +
		"4c000200300001000001000000000000ffffffff0001000000000000ffffffff5a6202005a620200ea05000000000000000000000c00060083ffffff7c0000000c00070083ffffff7c000000"
	root         = "000000000700000000000100ffffffff02000000" + "0800010068746200" + "2400020018000200110003000100000001000000000000000000000008000500e803000005000c0000000000"
	class2000Big = "000000000000000700010001ffffffff00020000" + "0008000168746200" +
		"0034000200300001000100000000000000" + "03d09000010000000000000003d090000afb09000afb09000005ea0000000000000000"
)

func TestParse(t *testing.T) {
	for _, test := range []struct {
		name, hex string
		order     nl.Order
		want      state
	}{
		{"class", class2000, binary.LittleEndian, state{kind: "htb", handle: classHandle, leaf: leafHandle, rate: 250_000}},
		{"class above 32 bits", classMax, binary.LittleEndian, state{kind: "htb", handle: classHandle, leaf: leafHandle, rate: (1<<32 - 1) * 125}},
		{"root", root, binary.LittleEndian, state{kind: "htb", handle: rootHandle, leaf: 2, class: 1}},
		{"big-endian", class2000Big, binary.BigEndian, state{kind: "htb", handle: classHandle, leaf: leafHandle, rate: 250_000}},
	} {
		if got, err := parse(test.order, unhex(t, test.hex)); got != test.want || err != nil {
			t.Errorf("%s: %+v, %v; want %+v", test.name, got, err, test.want)
		}
	}
	for _, short := range []string{"", class2000[:38], class2000[:len(class2000)-2]} {
		if _, err := parse(binary.LittleEndian, unhex(t, short)); !errors.Is(err, nl.ErrMalformed) {
			t.Errorf("%q: %v", short, err)
		}
	}
}

// The kernel gives a class back as it was asked for.
func TestClassGolden(t *testing.T) {
	for _, test := range []struct {
		order nl.Order
		kbit  uint32
		want  string
	}{
		{binary.LittleEndian, 2000, class2000},
		{binary.LittleEndian, ^uint32(0), classMax},
		{binary.BigEndian, 2000, class2000Big},
	} {
		m := nl.NewMessage(test.order)
		m.Begin("", 0, 0)
		appendClass(m, test.kbit)
		if got, want := m.Bytes()[16:], unhex(t, test.want)[tcmsgLen:]; !bytes.Equal(got, want) {
			t.Errorf("%v %d:\n got %x\nwant %x", test.order, test.kbit, got, want)
		}
	}
}

func TestFigures(t *testing.T) {
	for _, test := range []struct {
		kbit         uint32
		burst, delay uint32 // 64 ns, µs
	}{
		{1, 189_875_000, 18_168_000},
		{100, 2_517_500, 181_680},
		{2000, 719_625, 9084},
		{3600, 677_569, 5046},
		{50_000, 628_785, 5000},
		{100_000, 329_572, 5000},
		{3635, 677_063, 5000},
		{1_000_000, 156_439, 5000},
		{^uint32(0), 156_250, 5000},
	} {
		if burst, delay := ticks(uint64(test.kbit)*bytesPerKbit), codelDelay(test.kbit); burst != test.burst || delay != test.delay {
			t.Errorf("%d kbit/s: burst %d, delay %d; want %d, %d", test.kbit, burst, delay, test.burst, test.delay)
		}
	}
}

// device is a fake of what the kernel keeps for an interface. It refuses the request of the given type and number.
type device struct {
	root, class, leaf bool
	foreign           bool   // there is another root qdisc
	rate              uint32 // bytes a second
	wrong             uint32 // is added to a rate that is set
	refuse            uint16
	nth               int
	log               []string
}

func (d *device) kernel(r []byte) []any {
	names := map[uint16]string{36: "newqdisc", 37: "delqdisc", 38: "getqdisc", 40: "newclass", 42: "getclass"}
	kind, handle := nl.Host.Uint16(r[4:]), nl.Host.Uint32(r[24:])
	d.log = append(d.log, names[kind])
	refuse := func(e unix.Errno) []any { return []any{nl.Ack(r, e, "")} }
	if kind == d.refuse {
		if d.nth--; d.nth == 0 {
			return refuse(unix.ENOMEM)
		}
	}
	body := nl.NewMessage(nl.Host)
	body.Begin("", 0, 0)
	body.Raw(make([]byte, tcmsgLen)...)
	switch {
	case kind == unix.RTM_NEWQDISC && handle == rootHandle:
		if d.root || d.foreign {
			return refuse(unix.EEXIST)
		}
		d.root = true
	case kind == unix.RTM_NEWQDISC:
		for a := nl.Parse(nl.Host, r[16+tcmsgLen:]); a.Next(); {
			for o := a.Nested(); a.Type() == tcaOptions && o.Next(); {
				if d.leaf && o.Type() == codelFlows { // as in fq_codel_change
					return refuse(unix.EINVAL)
				}
			}
		}
		d.leaf = true
	case kind == unix.RTM_NEWTCLASS:
		d.class, d.rate = true, nl.Host.Uint32(r[16+tcmsgLen+8+4+4+8:])+d.wrong
	case kind == unix.RTM_DELQDISC && handle == rootHandle && d.foreign:
		return refuse(unix.EINVAL)
	case kind == unix.RTM_DELQDISC && !d.root && !d.foreign:
		return refuse(unix.ENOENT)
	case kind == unix.RTM_DELQDISC:
		*d = device{wrong: d.wrong, refuse: d.refuse, nth: d.nth, log: d.log}
	case kind == unix.RTM_GETQDISC:
		b := body.Bytes()[16:]
		nl.Host.PutUint32(b[8:], map[bool]uint32{true: 9 << 16, false: rootHandle}[d.foreign])
		body.String(tcaKind, "htb")
		mark := body.Nest(tcaOptions)
		body.Data(htbInit, append(make([]byte, 8), nl.Host.AppendUint32(nil, 1)...))
		body.End(mark)
		return d.answer(r, body)
	case kind == unix.RTM_GETTCLASS && !d.class:
		return refuse(unix.ENOENT)
	case kind == unix.RTM_GETTCLASS:
		b := body.Bytes()[16:]
		nl.Host.PutUint32(b[8:], classHandle)
		nl.Host.PutUint32(b[16:], leafHandle)
		body.String(tcaKind, "htb")
		mark := body.Nest(tcaOptions)
		body.Data(htbParms, append(make([]byte, 8), nl.Host.AppendUint32(nil, d.rate)...))
		body.End(mark)
		return d.answer(r, body)
	}
	return refuse(0)
}

func (d *device) answer(r []byte, body *nl.Message) []any {
	return []any{nl.Reply(r, nl.Host.Uint16(r[4:])-2, 0, body.Bytes()[16:]...), nl.Ack(r, 0, "")}
}

func TestSet(t *testing.T) {
	made := []string{"newqdisc", "newclass", "newqdisc", "getclass"}
	undone := func(n int) []string { return append(append([]string(nil), made[:n]...), "delqdisc") }
	limited := device{root: true, class: true, leaf: true, rate: 125_000}
	for _, test := range []struct {
		name    string
		before  device
		errno   error // nil: Set succeeds
		limited bool  // in the end
		log     []string
	}{
		{"new", device{}, nil, true, made},
		{"change", limited, nil, true, []string{"newqdisc", "getqdisc", "newclass", "newqdisc", "getclass"}},
		{"foreign", device{foreign: true}, nil, true, append([]string{"newqdisc", "getqdisc", "delqdisc"}, made...)},
		{"no HTB", device{refuse: unix.RTM_NEWQDISC, nth: 1}, unix.ENOMEM, false, made[:1]},
		{"no class", device{refuse: unix.RTM_NEWTCLASS, nth: 1}, unix.ENOMEM, false, undone(2)},
		{"no fq_codel", device{refuse: unix.RTM_NEWQDISC, nth: 2}, unix.ENOMEM, false, undone(3)},
		{"no read-back", device{refuse: unix.RTM_GETTCLASS, nth: 1}, unix.ENOMEM, false, undone(4)},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := test.before
			c := &Conn{nl.Fake(d.kernel)}
			err := c.Set(7, 2000)
			if !errors.Is(err, test.errno) || !reflect.DeepEqual(d.log, test.log) {
				t.Errorf("%v, %v; want %v", err, d.log, test.log)
			}
			if all := d.root && d.class && d.leaf && d.rate == 250_000; all != test.limited || (d.root && !all) {
				t.Errorf("in the end: %+v", d)
			}
		})
	}
}

func TestSetVerifies(t *testing.T) {
	d := device{wrong: 125}
	c := &Conn{nl.Fake(d.kernel)}
	if err := c.Set(7, 2000); err == nil || d.root {
		t.Errorf("another rate than asked for goes unnoticed: %v, %+v", err, d)
	}
	d = device{root: true, class: true, leaf: true, rate: 125_000, refuse: unix.RTM_NEWTCLASS, nth: 1}
	if err := c.Set(7, 2000); !errors.Is(err, unix.ENOMEM) || d.rate != 125_000 {
		t.Errorf("refused change: %v, %+v", err, d)
	}
}

func TestClearAndRead(t *testing.T) {
	for _, test := range []struct {
		name   string
		before device
		kbit   uint32
		ok     bool
	}{
		{"limited", device{root: true, class: true, leaf: true, rate: 125_000}, 1000, true},
		{"unlimited", device{}, 0, false},
		{"foreign", device{foreign: true}, 0, false},
	} {
		d := test.before
		c := &Conn{nl.Fake(d.kernel)}
		if kbit, ok, err := c.Read(7); kbit != test.kbit || ok != test.ok || err != nil {
			t.Errorf("%s: %d %v %v", test.name, kbit, ok, err)
		}
		if err := c.Clear(7); err != nil || d.root || d.foreign != test.before.foreign {
			t.Errorf("%s: %v, %+v", test.name, err, d)
		}
	}
	c := &Conn{nl.Fake(func(r []byte) []any { return []any{nl.Ack(r, unix.ENODEV, "")} })}
	_, _, err := c.Read(7)
	for _, err := range []error{err, c.Clear(7), c.Set(7, 1)} {
		if !errors.Is(err, unix.ENODEV) {
			t.Errorf("no interface: %v", err)
		}
	}
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
