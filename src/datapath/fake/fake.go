// Package fake is a kernel that is none, for tests of data paths: it understands
// the netlink messages by which tunnels and interfaces are made and changed, keeps
// books, and fails where it is told to.
package fake

import (
	"slices"

	"golang.org/x/sys/unix"

	"tunneldigger/src/l2tp"
	"tunneldigger/src/link"
	"tunneldigger/src/nl"
)

// Link is a network interface.
type Link struct {
	Index    int
	Name     string
	Kind     string // "bridge", or what else it is
	MTU      int
	Master   int // index, 0: none
	Up       bool
	Isolated bool
	Kbit     uint32 // limit, 0: none
	Tunnel   uint32 // that it belongs to, 0: none
	Alias    string
	Group    uint32
	On       int // index of the interface that it is on top of, 0: none
}

// Kernel is the whole of it. The zero value has nothing; see New.
type Kernel struct {
	Links   map[int]*Link
	Tunnels map[uint32]bool
	// Addresses and Rules are in the order in which they were made.
	Addresses []link.Address
	Rules     []link.Rule
	// Fail is asked before each step, by its name, whether that fails; nil: none
	// does.
	Fail func(step string) unix.Errno
	// Steps are the names of what was carried out or failed, in order.
	Steps []string

	next   int
	events chan any
}

// New makes a kernel without tunnels and interfaces.
func New() *Kernel {
	return &Kernel{Links: make(map[int]*Link), Tunnels: make(map[uint32]bool), events: make(chan any, 4096)}
}

// Add makes an interface.
func (k *Kernel) Add(name, kind string, mtu int) *Link {
	k.next++
	l := &Link{Index: k.next, Name: name, Kind: kind, MTU: mtu}
	k.Links[l.Index] = l
	return l
}

// Named finds an interface; nil: there is none of this name.
func (k *Kernel) Named(name string) *Link {
	for _, l := range k.Links {
		if l.Name == name {
			return l
		}
	}
	return nil
}

// Remove removes an interface, with its tunnel, and tells the monitor.
func (k *Kernel) Remove(l *Link) {
	if k.Links[l.Index] != l {
		return
	}
	delete(k.Links, l.Index)
	delete(k.Tunnels, l.Tunnel)
	k.Addresses = slices.DeleteFunc(k.Addresses, func(a link.Address) bool { return a.Index == l.Index })
	for _, other := range k.Links {
		if other.Master == l.Index {
			other.Master, other.Isolated = 0, false
		}
	}
	m := nl.NewMessage(nl.Host)
	m.Begin("", unix.RTM_DELLINK, 0)
	k.describe(m, l)
	k.events <- slices.Clone(m.Bytes())
}

// Overrun loses the notifications that wait, as when the monitor's buffer is full.
func (k *Kernel) Overrun() {
	for len(k.events) > 0 {
		<-k.events
	}
	k.events <- unix.ENOBUFS
}

// Monitor is told of interfaces that go.
func (k *Kernel) Monitor() *link.Monitor { return link.MonitorOver(nl.FakeListener(k.events)) }

// Conn changes this kernel's interfaces.
func (k *Kernel) Conn() *link.Conn { return link.Over(nl.Fake(k.route), k.ask) }

// L2TP makes this kernel's tunnels.
func (k *Kernel) L2TP() *l2tp.Conn {
	c, err := l2tp.Over(nl.Fake(k.generic))
	if err != nil {
		panic(err)
	}
	return c
}

// step notes a step, and reports whether it fails.
func (k *Kernel) step(name string) unix.Errno {
	k.Steps = append(k.Steps, name)
	if k.Fail != nil {
		return k.Fail(name)
	}
	return 0
}

func (k *Kernel) ask(request uint, name string) (int, error) {
	l := k.Named(name)
	if l == nil {
		return 0, unix.ENODEV
	}
	if request == unix.SIOCGIFMTU {
		return l.MTU, nil
	}
	if errno := k.step("index"); errno != 0 {
		return 0, errno
	}
	return l.Index, nil
}

// Set implements datapath.Limiter.
func (k *Kernel) Set(index int, kbit uint32) error { return k.limit("limit", index, kbit) }

// Clear implements datapath.Limiter.
func (k *Kernel) Clear(index int) error { return k.limit("clear limit", index, 0) }

func (k *Kernel) limit(step string, index int, kbit uint32) error {
	if errno := k.step(step); errno != 0 {
		return errno
	}
	l := k.Links[index]
	if l == nil {
		return unix.ENODEV
	}
	l.Kbit = kbit
	return nil
}

// Close implements datapath.Limiter.
func (k *Kernel) Close() error { return nil }
