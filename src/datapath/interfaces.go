package datapath

import (
	"errors"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"tunneldigger/src/link"
	"tunneldigger/src/phrase"
	"tunneldigger/src/shaper"
	"tunneldigger/src/wire"
)

// Want is what a tunnel's interface is to be.
type Want struct {
	MTU      int    // bytes, without the Ethernet header
	Bridge   string // the bridge, or other master, that it is a port of; "": none
	Isolated bool   // from other isolated ports of the bridge
	Kbit     uint32 // that go out of it in a second, × 1000 bits; 0: no limit
}

// Limiter limits what goes out of an interface; see package shaper.
type Limiter interface {
	Set(index int, kbit uint32) error
	Clear(index int) error
	Close() error
}

// Interfaces are the tunnels' interfaces and the masters that they are attached to.
type Interfaces struct {
	links   *link.Conn
	limiter Limiter
	monitor *link.Monitor

	byID    []*iface
	byIndex map[int]*iface
	masters map[string]*master

	events, spare []Event
	again         []*iface      // where something could not be done
	lookAt        time.Duration // when to look for masters that are away, or empty, 0: none is
	now           time.Duration // when something was last asked for

	alias string                 // of bridges that are the broker's
	makes func(name string) *Own // how the bridge of a name is to be made, nil: not by the broker
}

// iface is a tunnel's interface.
type iface struct {
	_      [0]func() // not to be compared: that would be code for nothing
	id     uint32
	name   string
	index  int        // 0: there is none, or none any more
	peer   netip.Addr // of the tunnel, by IPv6; else not valid
	device string

	want, is Want // the wish, and the fact
	unsure   bool // whether it is isolated is not known
	noIPv6   bool // IPv6 is off on it, as on all that are attached
	up       bool
	closing  bool // it was asked for that it goes
	replaced bool // another one has its ID, and nobody asks for this one

	queued bool          // it is among those to try again
	at     time.Duration // when
	gap    time.Duration // how long it waits then
	told   *failures     // what was said of it last, nil: that all is well
}

// failures are the words for each kind of failure, "" where there is none.
type failures [LimitFailed - MTUFailed + 1]string

// New makes an Interfaces that can be given tunnels, and do nothing about them
// until it is open.
func New() *Interfaces {
	return &Interfaces{byIndex: make(map[int]*iface), masters: make(map[string]*master)}
}

// Open connects to the kernel, in the network namespace of the calling thread.
func (s *Interfaces) Open() error {
	links, err := link.Open()
	if err != nil {
		return err
	}
	s.links = links
	if s.limiter, err = shaper.Open(); err != nil {
		return err
	}
	s.monitor, err = link.NewMonitor()
	return err
}

// OpenWith is Open for tests: with connections to a kernel that is none.
func (s *Interfaces) OpenWith(links *link.Conn, limiter Limiter, monitor *link.Monitor) {
	s.links, s.limiter, s.monitor = links, limiter, monitor
}

// Close lets go of the kernel. Interfaces stay as they are.
func (s *Interfaces) Close() {
	if s.monitor != nil {
		_ = s.monitor.Close()
	}
	if s.limiter != nil {
		_ = s.limiter.Close()
	}
	if s.links != nil {
		_ = s.links.Close()
	}
}

// Links is the connection that a path may use as well; nil unless it is open.
func (s *Interfaces) Links() *link.Conn { return s.links }

// Add takes in the interface of a tunnel, which is down; index 0: it has none.
func (s *Interfaces) Add(r *Request, index int) {
	i := s.add(r)
	if i.index = index; index != 0 {
		s.byIndex[index] = i
	}
}

func (s *Interfaces) add(r *Request) *iface {
	for uint64(r.ID) >= uint64(len(s.byID)) {
		s.byID = append(s.byID, nil)
	}
	s.Forget(r.ID) // one that does not go, and that nobody waits for any more
	i := &iface{id: r.ID, name: r.Interface, device: r.Device}
	if a := r.Peer.Addr().Unmap(); a.Is6() {
		i.peer = a
	}
	s.byID[r.ID] = i
	return i
}

func (s *Interfaces) get(id uint32) *iface {
	if uint64(id) < uint64(len(s.byID)) {
		return s.byID[id]
	}
	return nil
}

// Set says what a tunnel's interface is to be from now on. One that was not raised
// yet is so when it is.
func (s *Interfaces) Set(now time.Duration, id uint32, w Want) {
	i := s.get(id)
	if i == nil || i.want == w {
		return
	}
	i.want, i.gap, s.now = w, 0, now
	if i.up {
		s.apply(now, i)
	}
}

// Raise brings a tunnel's interface up as it is wanted: with an error it is not, and
// the tunnel is best destroyed. That it could not be limited is no such error.
func (s *Interfaces) Raise(now time.Duration, id uint32) error {
	i := s.get(id)
	if i == nil || i.index == 0 {
		return nil
	}
	s.now = now
	if i.want.Bridge != "" {
		if err := s.attach(now, i); err != nil {
			return err
		}
	} else if err := s.links.Up(i.index, i.want.MTU); err != nil {
		return err
	}
	i.is.MTU, i.up = i.want.MTU, true
	s.apply(now, i)
	return nil
}

// Remove says that a tunnel's interface is to go, as its path is closing it.
// Destroyed follows when it is gone.
func (s *Interfaces) Remove(id uint32) {
	i := s.get(id)
	if i == nil {
		return
	}
	if i.closing = true; i.index == 0 {
		s.gone(i)
	}
}

// Forget has nobody hear of a tunnel any more; its interface may still be on its
// way out.
func (s *Interfaces) Forget(id uint32) {
	if i := s.get(id); i != nil {
		i.replaced = true
		s.byID[id] = nil
		s.detached(i)
	}
}

// apply does what differs between wish and fact, as far as it can be done now.
func (s *Interfaces) apply(now time.Duration, i *iface) {
	if i.index == 0 || i.closing {
		return
	}
	failed := s.try(i, MTUFailed, s.setMTU(i))
	failed = s.try(i, AttachFailed, s.place(now, i)) || failed
	failed = s.try(i, LimitFailed, s.limit(i)) || failed
	if failed {
		s.tryAgain(now, i)
	} else {
		i.gap = 0
	}
}

// try tells of a failure, once as long as it is the same; it reports whether there
// is something to try again. What waits for a master is done when that comes.
func (s *Interfaces) try(i *iface, kind EventKind, err error) bool {
	if err == nil || errors.Is(err, errAway) {
		if i.told != nil {
			if i.told[kind-MTUFailed] = ""; *i.told == (failures{}) {
				i.told = nil
			}
		}
		return false
	}
	if i.told == nil {
		i.told = new(failures)
	}
	if words := err.Error(); words != i.told[kind-MTUFailed] {
		i.told[kind-MTUFailed] = words
		s.tell(Event{Kind: kind, Tunnel: i.id, Want: i.want, Err: err})
	}
	return true
}

func (s *Interfaces) setMTU(i *iface) error {
	if i.is.MTU == i.want.MTU {
		return nil
	}
	if err := s.links.SetMTU(i.index, i.want.MTU); err != nil {
		return err
	}
	i.is.MTU = i.want.MTU
	if i.is.Bridge == i.want.Bridge {
		s.mind(i)
	}
	return s.links.ForgetPathMTU(i.peer, i.device, i.want.MTU+wire.TunnelOverhead(true))
}

func (s *Interfaces) limit(i *iface) (err error) {
	switch i.want.Kbit {
	case i.is.Kbit:
		return nil
	case 0:
		err = s.limiter.Clear(i.index)
	default:
		err = s.limiter.Set(i.index, i.want.Kbit)
	}
	if errors.Is(err, unix.ENOENT) {
		return phrase.Errorf("%w: the kernel lacks sch_htb (OpenWrt: kmod-sched-core)", err)
	}
	if err == nil {
		i.is.Kbit = i.want.Kbit
	}
	return err
}

// Received counts the frames that have come from a tunnel's client. The error is
// unix.ENODEV where the tunnel has no interface.
func (s *Interfaces) Received(id uint32) (frames uint64, err error) {
	i := s.get(id)
	if i == nil || i.index == 0 || s.links == nil {
		return 0, unix.ENODEV
	}
	return s.links.Received(i.index)
}

// Count is how many tunnels have an interface.
func (s *Interfaces) Count() int { return len(s.byIndex) }
