package journal

import (
	"time"

	"tunneldigger/src/datapath"
	"tunneldigger/src/datapath/kernel"
)

// Interface says what happened to an interface that is no tunnel's.
func (j *Journal) Interface(now time.Duration, ev *datapath.Event) {
	switch ev.Kind {
	case datapath.MasterAway:
		j.log.Warn("interface gone: tunnels can't be attached", "interface", ev.Link)
	case datapath.MasterBack:
		j.log.Info("interface is there again: tunnels are attached", "interface", ev.Link)
	case datapath.Misfit:
		j.log.Warn("the interface's MTU is larger than its tunnels': larger packets will be lost", "interface", ev.Link,
			"mtu", ev.MTU, "tunnel_mtu", ev.TunnelMTU)
	case datapath.NearlyFull:
		j.log.Warn("the bridge is nearly full", "interface", ev.Link, "tunnels", ev.Ports, "ports", datapath.Full)
	case datapath.WatchFailed:
		if j.quiet.allow(now, "watch") {
			j.log.Error("can't watch interfaces", "error", ev.Err)
		}
	case datapath.BridgeMade:
		j.log.Info("bridge made", "interface", ev.Link)
	case datapath.BridgeRemoved:
		j.log.Info("bridge removed, as it has no tunnels", "interface", ev.Link)
	case datapath.BridgeStays:
		j.log.Warn("the bridge has no tunnels and stays, as others use it", "interface", ev.Link, "by", ev.Err)
	case datapath.BridgeForeign:
		j.log.Warn("the bridge is there and not the broker's: it is used as it is, without addresses, table and MTU of the bridge section; "+
			"remove it to have the broker make it", "interface", ev.Link)
	case datapath.BridgeFailed:
		j.log.Error("can't bring the bridge to what its section wants", "interface", ev.Link, "error", ev.Err)
	}
}

// WishFailed says what could not be brought about of a tunnel; about is what the line
// begins with.
func (j *Journal) WishFailed(now time.Duration, about []any, ev *datapath.Event) {
	switch {
	case ev.Kind == datapath.MTUFailed && j.quiet.allow(now, "mtu"):
		j.log.Error("can't change a tunnel's MTU", append(about, "mtu", ev.Want.MTU, "error", ev.Err)...)
	case ev.Kind == datapath.AttachFailed && j.quiet.allow(now, "move"):
		j.log.Error("can't bring a tunnel to its bridge", append(about, "master", ev.Want.Bridge, "error", ev.Err)...)
	case ev.Kind == datapath.LimitFailed && j.quiet.allow(now, "shape"):
		j.log.Error("can't limit a tunnel's bandwidth", append(about, "kbit", ev.Want.Kbit, "error", ev.Err)...)
	}
}

// Swept says what was found in the ID range of tunnels that nobody knows.
func (j *Journal) Swept(found []kernel.Left) {
	for i := range found {
		switch t := &found[i]; {
		case t.Unknown != nil:
			j.log.Warn("tunnels in the ID range are left alone: can't tell whose they are", "count", len(found), "error", t.Unknown)
			return
		case t.PID < 0:
			j.log.Warn("a tunnel in the ID range is not over UDP, and not ours: it is left alone", "tunnel", t.ID)
		case t.PID > 0:
			j.log.Warn("a tunnel in the ID range belongs to another process", "tunnel", t.ID, "pid", t.PID)
		case t.Removed:
			j.log.Info("removed a tunnel that belonged to nobody", "tunnel", t.ID)
		}
	}
}
