package datapath

import (
	"time"

	"tunneldigger/src/link"
)

// Known is what an earlier process knew of the interface of a tunnel.
type Known struct {
	Up      bool
	Closing bool // Path.Destroy was called
	Is      Want // what it had brought about
	Sure    bool // of Is.Isolated, which can't be seen
	Failed  bool // not all of Is could be brought about: it is tried again
}

// Inherit takes in the interface of a tunnel that an earlier process has made.
func (s *Interfaces) Inherit(r *Request, k Known) {
	i := s.add(r)
	i.up, i.closing, i.is, i.want, i.unsure = k.Up, k.Closing, k.Is, k.Is, !k.Sure
	if k.Failed && k.Up {
		i.is.MTU, i.is.Kbit, i.unsure = 0, ^uint32(0), true // whatever it has, all is done once more
	}
}

// Adopt finds the interfaces of tunnels that were inherited, by their names, after
// the watch has begun, so that none goes unseen between. What it finds attached
// to a master that an earlier process used, or to one that is ours by is, belongs there;
// anywhere else others have attached it. Bridges that an earlier process made are
// taken over.
func (s *Interfaces) Adopt(now time.Duration, is func(name string) bool) error {
	if s.links == nil {
		return nil
	}
	s.now = now
	there, ports := make(map[string]int), make(map[string]int)
	known := make(map[string]bool)
	for _, i := range s.byID {
		if i != nil && i.is.Bridge != "" {
			known[i.is.Bridge] = true
		}
	}
	masters := make(map[int]string)
	var found []link.Link
	err := s.links.List(func(l link.Link) {
		there[l.Name], ports[l.Name] = l.Index, l.Master
		if known[l.Name] || is(l.Name) {
			masters[l.Index] = l.Name
		}
		if l.Bridge && s.mine(&l) {
			masters[l.Index] = l.Name
			found = append(found, l)
		}
	})
	if err != nil {
		return err
	}
	s.takeOver(now, found, there)
	for _, i := range s.byID {
		if i == nil {
			continue
		}
		if i.index = there[i.name]; i.index == 0 {
			s.gone(i)
			continue
		}
		s.byIndex[i.index] = i
		if i.up {
			s.adopt(now, i, masters[ports[i.name]])
		}
	}
	return nil
}

// adopt takes a tunnel for attached to the master that the kernel has it attached
// to. Where that is another one than before, as after a bridge was made anew, the
// next Set or Tick brings it where it is wanted.
func (s *Interfaces) adopt(now time.Duration, i *iface, attached string) {
	i.noIPv6 = i.is.Bridge != "" || attached != ""
	if attached != i.is.Bridge {
		i.is.Bridge, i.unsure = attached, true
	}
	if attached != "" {
		_ = s.find(now, attached) // it was there when it was listed; else the watch tells
		s.master(attached).ports++
	}
	if i.is != i.want || i.unsure {
		s.tryAt(i, now)
	}
}
