package daemon

import (
	"time"

	"tunneldigger/src/broker"
	"tunneldigger/src/config"
	"tunneldigger/src/logline"
)

const (
	logWindow = 10 * time.Second
	logBurst  = 20 // lines of one kind in a window
)

// limitedLog keeps what strangers can cause from filling the log: of each kind
// of line a few per window, and then how many there were.
type limitedLog struct {
	log   *logline.Logger
	kinds map[string]*logKind
	until time.Duration // end of the window
	held  int           // lines held back in this window
}

type logKind struct{ written, held int }

func (l *limitedLog) allow(now time.Duration, kind string) bool {
	l.flush(now)
	k := l.kinds[kind]
	if k == nil {
		k = new(logKind)
		l.kinds[kind] = k
	}
	if k.written < logBurst {
		k.written++
		return true
	}
	k.held++
	l.held++
	return false
}

// flush begins a new window when the old one is over.
func (l *limitedLog) flush(now time.Duration) {
	if now < l.until {
		return
	}
	l.until = now + logWindow
	for kind, k := range l.kinds {
		if k.held > 0 {
			l.log.Warn("lines held back", "kind", kind, "count", k.held)
		}
		*k = logKind{}
	}
	l.held = 0
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
	if !d.log.Enabled(level) || e.Tunnel == 0 && !d.quiet.allow(d.now, kind) {
		return
	}
	args := make([]any, 0, 20)
	args = append(args, "broker", s.config.Name)
	if e.Tunnel != 0 {
		args = append(args, "tunnel", e.Tunnel)
	}
	args = append(args, "uuid", e.UUID)
	if d.config.Log.Addresses {
		args = append(args, "endpoint", e.Peer.String())
	}
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
	}
	d.log.Log(level, text, args...)
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
