// Package scripts understands hooks that put tunnels into bridges, as the example scripts of the Python broker did,
// and says which bridge section would do the same.
//
// It reads what a shell script calls and does not run it: every command is looked at, whatever it depends on, and
// what cannot be read from the text is named and not guessed. It is pure: files come through its caller.
package scripts

import (
	"net/netip"
	"slices"
	"strings"

	"tunneldigger/src/config"
)

// Proposal is what the hooks of a configuration do about bridges.
type Proposal struct {
	// Bridge is the section that does it; nil where no hook attaches tunnels to a bridge that can be read.
	Bridge *config.Bridge
	// Spare are the events whose hooks do nothing that Bridge does not.
	Spare []config.Event
	// Left is what Bridge does not do, and what could not be read; each with its place.
	Left []string
}

// bridging are the events whose hooks have to do with bridges, those that attach tunnels first.
var bridging = [...]config.Event{config.EventSessionUp, config.EventMTUChanged, config.EventSessionPreDown, config.EventSessionDown}

// Propose looks at the hooks. read gives the text of a script; from is the path of the one that wants it, "" for a
// hook itself.
func Propose(h *config.Hooks, read func(path, from string) (string, error)) Proposal {
	var p Proposal
	var b bridges
	for _, e := range bridging {
		path := h.Program[e]
		if path == "" {
			continue
		}
		m := machine{event: e, read: read, found: &b, left: &p.Left}
		if text, err := read(path, ""); err != nil {
			m.leave(command{path: path}, err.Error()+": "+unreadable)
		} else if fault := shell(text); fault != "" {
			m.leave(command{path: path}, fault)
		} else {
			m.run(path, text)
		}
		if !m.lost && m.known {
			p.Spare = append(p.Spare, e)
		}
	}
	p.Bridge = b.section(&p)
	if p.Bridge == nil {
		p.Spare = nil
	}
	if b.attached == 0 {
		// Hooks that have nothing to do with bridges are nobody's business; those that cannot be looked at may have.
		p.Left = slices.DeleteFunc(p.Left, func(s string) bool { return !strings.HasSuffix(s, unreadable) })
	}
	return p
}

const unreadable = "what it does was not looked at"

// shell says why a text is no shell script.
func shell(text string) string {
	first, _, _ := strings.Cut(text, "\n")
	switch words := strings.Fields(strings.TrimPrefix(first, "#!")); {
	case strings.ContainsRune(text, 0):
		return "no script: " + unreadable
	case !strings.HasPrefix(first, "#!") || len(words) == 0:
	case strings.HasSuffix(words[0], "sh"), len(words) > 1 && strings.HasSuffix(words[0], "/env") && strings.HasSuffix(words[1], "sh"):
	default:
		return "no shell script: " + unreadable
	}
	return ""
}

// bridges are what the commands of all hooks do.
type bridges struct {
	attached int      // how often a tunnel is attached
	names    []string // what it is attached to
	isolated bool     // by the tunnel's own port
	facts    []fact
}

// fact is one thing that is done to a device.
type fact struct {
	device         string
	event          config.Event
	at             command
	made, isolated bool
	address        netip.Prefix
	rule           rule
}

type rule struct {
	table    string
	priority uint32
}

// section makes one of it, and leaves what is done to other devices, or does not fit.
func (b *bridges) section(p *Proposal) *config.Bridge {
	if len(b.names) != 1 {
		if len(b.names) > 1 {
			p.Left = append(p.Left, "tunnels become ports of several bridges: "+strings.Join(b.names, ", "))
		}
		return nil
	}
	s := &config.Bridge{Name: "tunnels", Interface: b.names[0], Isolate: b.isolated}
	s.Create = slices.ContainsFunc(b.facts, func(f fact) bool { return f.made && f.device == s.Interface })
	for _, f := range b.facts {
		first := s.Table == "" || s.Table == f.rule.table && s.Priority == f.rule.priority
		switch {
		case f.device != s.Interface, !s.Create && (f.address.IsValid() || f.rule.table != ""), f.rule.table != "" && !first:
			p.leave(f)
		case f.isolated:
			s.Isolate = true
		case f.rule.table != "":
			s.Table, s.Priority = f.rule.table, f.rule.priority
		case f.address.IsValid() && !slices.ContainsFunc(s.Addresses, func(p netip.Prefix) bool { return p.Addr() == f.address.Addr() }):
			s.Addresses = append(s.Addresses, f.address)
		}
	}
	return s
}

// leave takes back that a fact is carried over.
func (p *Proposal) leave(f fact) {
	if line := f.at.String(); !slices.Contains(p.Left, line) {
		p.Left = append(p.Left, line)
	}
	p.Spare = slices.DeleteFunc(p.Spare, func(e config.Event) bool { return e == f.event })
}

// Options gives the names that the spare hooks have as options, as a list for people.
func (p *Proposal) Options() string {
	var names []string
	for _, e := range p.Spare {
		names = append(names, strings.NewReplacer(".", "_", "-", "_").Replace(e.String()))
	}
	return strings.Join(names, ", ")
}
