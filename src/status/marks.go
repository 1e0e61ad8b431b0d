package status

import (
	"strings"

	"tunneldigger/src/broker"
	"tunneldigger/src/phrase"
)

// mark is what an operator should know of a tunnel that serves its client less
// than it should. Tunnels without anything of the kind have none.
type mark struct {
	serial  uint64 // of the tunnel
	section int
	loose   bool   // there are bridge sections, and none fits it
	hook    string // which hook has failed for it, and how; "": none
}

// Marks are the marks of all tunnels, and of which kinds of tunnels that no bridge
// section fits it was said. The zero value has none.
type Marks struct {
	byID map[uint32]mark
	said map[kind]bool
}

// kind is what bridge sections choose by.
type kind struct {
	section int
	mtu     int
	port    uint16
}

func (m *Marks) get(section int, f *broker.Facts) mark {
	if is := m.byID[f.Tunnel]; is.serial == f.Serial && is.section == section {
		return is
	}
	return mark{serial: f.Serial, section: section}
}

func (m *Marks) set(id uint32, to mark) {
	switch {
	case !to.loose && to.hook == "":
		delete(m.byID, id)
	case m.byID == nil:
		m.byID = map[uint32]mark{id: to}
	default:
		m.byID[id] = to
	}
}

// Forget takes the mark of a tunnel away, which ends.
func (m *Marks) Forget(id uint32) { delete(m.byID, id) }

// Anew has it said again of every kind of tunnel that no bridge section fits it.
func (m *Marks) Anew() { m.said = nil }

// Loose marks a tunnel of a section that no bridge section fits, or takes the mark away.
// It reports whether that is new and counts, as it does not where the program before has
// counted it, and whether it is to be said, as it was not of a tunnel of the kind.
func (m *Marks) Loose(section int, f *broker.Facts, loose, counts bool) (fresh, say bool) {
	is := m.get(section, f)
	fresh = loose && !is.loose && counts
	if fresh {
		k := kind{section, f.MTU, f.Local.Port()}
		if say = !m.said[k]; m.said == nil {
			m.said = make(map[kind]bool)
		}
		m.said[k] = true
	}
	is.loose = loose
	m.set(f.Tunnel, is)
	return fresh, say
}

// Hook notes how a hook of a tunnel has ended, with nil: well. What is said of the same
// event stays until it is well again.
func (m *Marks) Hook(section int, f *broker.Facts, event string, err error) {
	is := m.get(section, f)
	if err != nil {
		is.hook = event + ": " + err.Error()
	} else if strings.HasPrefix(is.hook, event+": ") {
		is.hook = ""
	}
	m.set(f.Tunnel, is)
}

// Failed is which hook has failed for a tunnel, and how; "": none.
func (m *Marks) Failed(id uint32) string { return m.byID[id].hook }

// Restore takes over what Failed of the program before has said.
func (m *Marks) Restore(section int, f *broker.Facts, failed string) {
	m.set(f.Tunnel, mark{serial: f.Serial, section: section, hook: failed})
}

// Show writes into t, of a section, what it is marked with.
func (m *Marks) Show(section int, t *Tunnel) {
	is := m.get(section, &t.Facts)
	if is.loose {
		t.Unattached = phrase.Sprintf("no bridge section fits MTU %d and port %d", t.MTU, t.Local.Port())
	}
	t.HookFailed = is.hook
}

// Count is how many tunnels of a section no bridge section fits, and for how
// many a hook has failed.
func (m *Marks) Count(section int) (loose, failed int) {
	for _, is := range m.byID {
		if is.section != section {
			continue
		}
		if is.loose {
			loose++
		}
		if is.hook != "" {
			failed++
		}
	}
	return loose, failed
}
