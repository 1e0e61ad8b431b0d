package journal

import (
	"time"

	"tunneldigger/src/datapath"
	"tunneldigger/src/datapath/kernel"
	"tunneldigger/src/logline"
)

// line is what a kind of event is said with. Of what has a limit so many come in a while.
type line struct {
	level logline.Level
	limit string // "": none
	text  string
}

var lines = [...]line{
	datapath.MasterAway: {logline.Warn, "", "interface gone: tunnels can't be attached"},
	datapath.MasterBack: {logline.Info, "", "interface is there again: tunnels are attached"},
	datapath.Misfit:     {logline.Warn, "", "the interface's MTU is larger than its tunnels': larger packets will be lost"},
	datapath.NearlyFull: {logline.Warn, "", "the bridge is nearly full"},

	datapath.BridgeMade:    {logline.Info, "", "bridge made"},
	datapath.BridgeRemoved: {logline.Info, "", "bridge removed, as it has no tunnels"},
	datapath.BridgeStays:   {logline.Warn, "", "the bridge has no tunnels and stays, as others use it"},
	datapath.BridgeForeign: {logline.Warn, "", "the bridge is there and not the broker's: it is used as it is, without addresses, table and MTU of the bridge section; " +
		"remove it to have the broker make it"},
	datapath.BridgeFailed: {logline.Error, "", "can't bring the bridge to what its section wants"},

	datapath.WatchFailed:  {logline.Error, "watch", "can't watch interfaces"},
	datapath.MTUFailed:    {logline.Error, "mtu", "can't change a tunnel's MTU"},
	datapath.AttachFailed: {logline.Error, "move", "can't bring a tunnel to its bridge"},
	datapath.LimitFailed:  {logline.Error, "shape", "can't limit a tunnel's bandwidth"},
}

// Interface says what happened to an interface, or what could not be brought about of a
// tunnel; about is what the line begins with.
func (j *Journal) Interface(now time.Duration, ev *datapath.Event, about ...any) {
	if int(ev.Kind) >= len(lines) {
		return
	}
	l := &lines[ev.Kind]
	if l.text == "" || l.limit != "" && !j.quiet.allow(now, l.limit) {
		return
	}
	if ev.Link != "" {
		about = append(about, "interface", ev.Link)
	}
	switch ev.Kind {
	case datapath.Misfit:
		about = append(about, "mtu", ev.MTU, "tunnel_mtu", ev.TunnelMTU)
	case datapath.NearlyFull:
		about = append(about, "tunnels", ev.Ports, "ports", datapath.Full)
	case datapath.MTUFailed:
		about = append(about, "mtu", ev.Want.MTU)
	case datapath.AttachFailed:
		about = append(about, "master", ev.Want.Bridge)
	case datapath.LimitFailed:
		about = append(about, "kbit", ev.Want.Kbit)
	}
	if ev.Err != nil {
		key := "error"
		if ev.Kind == datapath.BridgeStays {
			key = "by"
		}
		about = append(about, key, ev.Err)
	}
	j.log.Log(l.level, l.text, about...)
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
