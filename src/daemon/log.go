package daemon

import (
	"fmt"
	"time"

	"tunneldigger/src/broker"
	"tunneldigger/src/config"
	"tunneldigger/src/logline"
)

const (
	logWindow  = 10 * time.Second
	logBurst   = 20  // lines of one kind in a window, or that a client causes for its tunnel
	logTunnels = 500 // tunnels that come up, and that are closed, in a window
)

// limitedLog keeps what strangers can cause from filling the log: of each kind
// of line a few per window, and then how many there were.
type limitedLog struct {
	log    *logline.Logger
	kinds  map[string]*logKind
	caused map[uint32]int // lines by tunnel
	until  time.Duration  // end of the window
}

type logKind struct{ written, held int }

func (l *limitedLog) allow(now time.Duration, kind string) bool { return l.upTo(now, kind, logBurst) }

func (l *limitedLog) upTo(now time.Duration, kind string, most int) bool {
	l.flush(now)
	k := l.kind(kind)
	if k.written < most {
		k.written++
		return true
	}
	k.held++
	return false
}

// allowTunnel is allow for what a client can cause as often as it likes, by
// messages about its own tunnel: it takes no other client's lines.
func (l *limitedLog) allowTunnel(now time.Duration, kind string, id uint32) bool {
	l.flush(now)
	if l.caused[id] < logBurst {
		if l.caused == nil {
			l.caused = make(map[uint32]int)
		}
		l.caused[id]++
		return true
	}
	l.kind(kind).held++
	return false
}

func (l *limitedLog) kind(name string) *logKind {
	k := l.kinds[name]
	if k == nil {
		k = new(logKind)
		l.kinds[name] = k
	}
	return k
}

// flush begins a new window when the old one is over.
func (l *limitedLog) flush(now time.Duration) {
	if now < l.until {
		return
	}
	l.until = now + logWindow
	clear(l.caused)
	for kind, k := range l.kinds {
		if k.held > 0 {
			l.log.Warn("lines held back", "kind", kind, "count", k.held)
		}
		*k = logKind{}
	}
}

// sendFailures counts what could not be sent.
type sendFailures struct{ count uint64 }

// sendFailed notes that a datagram could not be sent. The protocol repeats what
// matters, so this hurts nobody alone.
func (d *Daemon) sendFailed(s *section, err error) {
	d.failures.count++
	if d.quiet.allow(d.now, "send") {
		d.log.Debug("can't send", "broker", s.config.Name, "error", err)
	}
}

// note writes one line about what a core did.
func (d *Daemon) note(s *section, e *broker.Effect) {
	level, text := noteText(e.Note)
	kind := text
	if e.Note == broker.NoteRefused {
		kind = e.Reason.String()
	}
	if !d.log.Enabled(level) {
		return
	}
	allowed := false
	switch e.Note {
	case broker.NoteUp, broker.NoteClosed:
		allowed = d.quiet.upTo(d.now, kind, logTunnels)
	case broker.NoteMTU, broker.NoteLimit, broker.NoteBadLimit:
		allowed = d.quiet.allowTunnel(d.now, kind, e.Tunnel)
	default:
		allowed = d.quiet.allow(d.now, kind)
	}
	if !allowed {
		return
	}
	args := d.about(s, &e.Facts)
	switch e.Note {
	case broker.NoteUp:
		args = append(args, "interface", e.Interface(), "mtu", e.MTU)
	case broker.NoteMTU:
		args = append(args, "mtu", e.MTU, "old_mtu", e.OldMTU)
	case broker.NoteLimit:
		args = append(args, "kbit", e.Bandwidth)
		if e.Asked != e.Bandwidth {
			args = append(args, "asked", e.Asked)
		}
	case broker.NoteTwins:
		if d.config.Log.Addresses {
			args = append(args, "other", e.Other.String())
		}
	case broker.NoteRefused, broker.NoteClosed:
		args = append(args, "reason", e.Reason.String())
		if e.Detail != "" {
			args = append(args, "detail", e.Detail)
		}
	}
	d.log.Log(level, text, args...)
}

// about is what every line about a client or its tunnel begins with, as far as
// the configuration lets it be seen.
func (d *Daemon) about(s *section, f *broker.Facts) []any {
	args := append(make([]any, 0, 20), "broker", s.config.Name)
	if f.Tunnel != 0 {
		args = append(args, "tunnel", f.Tunnel)
	}
	if f.UUID != "" {
		args = append(args, "uuid", d.uuid(f.UUID))
	}
	if d.config.Log.Addresses {
		args = append(args, "endpoint", f.Peer.String())
	}
	return args
}

// uuid is what the log has for a UUID: it, or a few digits that tell it from
// others as long as the broker runs, upgrades included.
func (d *Daemon) uuid(uuid string) string {
	if !d.config.Log.HideUUIDs {
		return uuid
	}
	return fmt.Sprintf("%08x", uint32(d.jar.Digest(uuid)))
}

// aboutPort is about for a tunnel in the kernel.
func (d *Daemon) aboutPort(p *port) []any {
	f := broker.Facts{Tunnel: p.id, Peer: p.peer}
	return append(d.about(p.section, &f), "interface", p.name)
}

func noteText(n broker.Note) (logline.Level, string) {
	switch n {
	case broker.NoteUp:
		return logline.Info, "tunnel up"
	case broker.NoteClosed:
		return logline.Info, "tunnel closed"
	case broker.NoteRefused:
		return logline.Info, "client refused"
	case broker.NoteQueued:
		return logline.Debug, "client waits"
	case broker.NoteMTU:
		return logline.Info, "tunnel MTU changed"
	case broker.NoteLimit:
		return logline.Info, "bandwidth limit"
	case broker.NoteBadLimit:
		return logline.Warn, "a LIMIT that can't be understood was ignored"
	case broker.NoteSetAside:
		return logline.Warn, "the kernel has this tunnel ID already, it is set aside"
	case broker.NoteStuck:
		return logline.Warn, "the kernel did not remove the interface in time"
	case broker.NoteTwins:
		return logline.Warn, "two nodes have the same UUID: give one of them another"
	case broker.NoteOldSessions:
		return logline.Error, "this kernel refuses a second session with ID 1: clients without unique session IDs are sent elsewhere"
	}
	return logline.Warn, "unknown note"
}

// LogLevel is the level that a configuration means.
func LogLevel(l config.Level) logline.Level {
	switch l {
	case config.Debug:
		return logline.Debug
	case config.Warning:
		return logline.Warn
	case config.Error:
		return logline.Error
	}
	return logline.Info
}
