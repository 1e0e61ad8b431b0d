package simulate

import (
	"bytes"

	"tunneldigger/src/broker"
)

// Upgrade replaces the broker's program under way: a new core goes on with the
// state of the old one. Kernel, sockets, hooks and timers stay, as they do
// across exec, and nobody outside may notice.
func (sv *Server) Upgrade() {
	if !sv.alive {
		return
	}
	sv.trace("is upgraded")
	state := sv.core.AppendState(nil)
	next, err := broker.Restore(sv.config, sv.coreOptions, state)
	if err != nil {
		sv.fail("can't be upgraded: %v", err)
		return
	}
	if again := next.AppendState(nil); !bytes.Equal(again, state) {
		sv.fail("has the state\n%x\nafter an upgrade instead of\n%x", again, state)
	}
	sv.core = next
	sv.core.SetLists(sv.world.now, sv.door.allow, sv.door.deny, nil) // read again
	sv.plan()
}

// disturb breaks one thing, and upgrades or drains a broker now and then.
func (f *Fleet) disturb() {
	if f.pick(4) {
		f.attack()
	} else {
		f.mischief()
	}
	if f.pick(12) {
		f.drain(f.servers[f.Random.IntN(len(f.servers))])
	}
	if f.pick(3) {
		f.After(f.upTo(6*s), f.servers[f.Random.IntN(len(f.servers))].Upgrade)
	}
}
