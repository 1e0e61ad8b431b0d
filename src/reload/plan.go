// Package reload is what a configuration that is read again would change: whether the
// running broker can take it, what of it takes effect, and what only a start brings. It
// changes nothing.
package reload

import (
	"slices"
	"strings"

	"tunneldigger/src/bridges"
	"tunneldigger/src/config"
	"tunneldigger/src/listen"
	"tunneldigger/src/phrase"
	"tunneldigger/src/successor"
)

const maxTunnelID = 65535 // see config.Broker

// Running is the broker as a reload finds it.
type Running struct {
	Config   *config.Config
	Sections []*config.Broker // of Config, as they run
	Leaving  int              // sections that are still being removed
	Confined bool             // hooks can't have more rights than the broker any more
	// Carries is an error unless something can carry the frames of a new section.
	Carries func(*config.Broker) error
	// Lists is what is wrong with list files.
	Lists func(*config.Config) []error
}

// Plan is a reload that can be carried out.
type Plan struct {
	Config  *config.Config // as it will be
	Of      []int          // for each of its brokers the one of Sections that it is; -1: a new one
	Changes []config.Change
	Kept    []string // what takes a restart, in words
}

// Moves reports whether tunnels may belong elsewhere by it.
func (p *Plan) Moves() bool {
	return slices.ContainsFunc(p.Changes, func(c config.Change) bool {
		return strings.HasPrefix(c.Section, "bridge ") || strings.HasPrefix(c.Section, "client ")
	})
}

// Plan checks what only a running broker can check, and matches the sections by name.
// The error holds every fault.
func (r *Running) Plan(c *config.Config) (*Plan, error) {
	var faults Faults
	fault := func(format string, args ...any) { faults = append(faults, phrase.Errorf(format, args...)) }
	if len(c.Brokers) == 0 {
		fault("no broker section is enabled: to serve nobody, stop the broker")
	}
	whole := *c
	whole.Brokers = slices.Clone(c.Brokers)
	next := &Plan{Config: &whole}
	numbers := r.Leaving + len(r.Sections)
	for i := range whole.Brokers {
		b := &whole.Brokers[i]
		if err := listen.Few(b); err != nil {
			faults = append(faults, err)
		}
		of := slices.IndexFunc(r.Sections, func(s *config.Broker) bool { return s.Name == b.Name })
		next.Of = append(next.Of, of)
		if of < 0 {
			numbers++
			if err := r.Carries(b); err != nil {
				fault("broker '%s': %w", b.Name, err)
			}
		} else {
			next.keep(b, r.Sections[of])
		}
		if last := int(b.TunnelIDBase) + b.MaxTunnels - 1; last > maxTunnelID {
			fault("broker '%s': tunnel_id_base, which stays %d, with max_tunnels %d ends at %d: want %d at most, or start the broker anew",
				b.Name, b.TunnelIDBase, b.MaxTunnels, last, maxTunnelID)
		}
		for j := range i {
			if o := &whole.Brokers[j]; int(b.TunnelIDBase) < int(o.TunnelIDBase)+o.MaxTunnels &&
				int(o.TunnelIDBase) < int(b.TunnelIDBase)+b.MaxTunnels {
				fault("broker '%s': tunnel_id_base %d with max_tunnels %d overlaps with broker '%s', which has %d and %d: "+
					"tunnel_id_base of a section can't change under way, start the broker anew",
					b.Name, b.TunnelIDBase, b.MaxTunnels, o.Name, o.TunnelIDBase, o.MaxTunnels)
			}
		}
	}
	if numbers > successor.MaxSections {
		fault("%d broker sections, those included that are still being removed: want %d at most", numbers, successor.MaxSections)
	}
	faults = append(faults, r.Lists(&whole)...)
	faults = append(faults, bridges.TableFaults(&whole)...)
	faults = append(faults, bridges.IDFaults(&whole)...)
	r.keepRights(next)
	next.Changes = config.Differences(r.Config, &whole)
	return next, faults.orNil()
}

// keep names what of a section can't change under way, and has it stay.
func (p *Plan) keep(b, now *config.Broker) {
	if b.TunnelIDBase != now.TunnelIDBase {
		p.Kept = append(p.Kept, phrase.Sprintf("broker '%s': tunnel_id_base stays %d until the broker is started anew; the file has %d",
			b.Name, now.TunnelIDBase, b.TunnelIDBase))
		b.TunnelIDBase = now.TunnelIDBase
	}
	if b.Datapath != now.Datapath {
		p.Kept = append(p.Kept, phrase.Sprintf("broker '%s': datapath stays '%s' until the broker is started anew; the file has '%s'",
			b.Name, now.Datapath, b.Datapath))
		b.Datapath = now.Datapath
	}
}

// keepRights names what can't change any more about the rights of hooks: those that
// were given up are gone, and those that were not are kept for them.
func (r *Running) keepRights(next *Plan) {
	h := &next.Config.Hooks
	if now := r.Config.Hooks.LeastPrivilege; h.LeastPrivilege != now {
		h.LeastPrivilege = now
		next.Kept = append(next.Kept, "hooks: least_privilege takes effect when the broker is started anew")
	} else if r.Confined && !Confined(h) {
		next.Kept = append(next.Kept, "hooks: there were none, so they run with no more rights than the broker until that is started anew")
	}
}

// Confined reports whether hooks are to have no more than the broker: where it is
// asked for, and where there are none.
func Confined(h *config.Hooks) bool {
	return h.LeastPrivilege || h.Directory == "" && h.Program == [config.EventCount]string{}
}
