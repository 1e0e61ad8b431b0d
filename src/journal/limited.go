package journal

import (
	"time"

	"tunneldigger/src/logline"
)

const (
	window = 10 * time.Second
	burst  = 20 // lines of one kind in a window, or that a client causes for its tunnel
)

// limited keeps what strangers can cause from filling the log: of each kind
// of line a few per window, and then how many there were.
type limited struct {
	log    *logline.Logger
	kinds  map[string]*kindLines
	caused map[uint32]int // lines by tunnel
	until  time.Duration  // end of the window
}

type kindLines struct{ written, held int }

func (l *limited) allow(now time.Duration, kind string) bool { return l.upTo(now, kind, burst) }

func (l *limited) upTo(now time.Duration, kind string, most int) bool {
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
func (l *limited) allowTunnel(now time.Duration, kind string, id uint32) bool {
	l.flush(now)
	if l.caused[id] < burst {
		if l.caused == nil {
			l.caused = make(map[uint32]int)
		}
		l.caused[id]++
		return true
	}
	l.kind(kind).held++
	return false
}

func (l *limited) kind(name string) *kindLines {
	k := l.kinds[name]
	if k == nil {
		k = new(kindLines)
		l.kinds[name] = k
	}
	return k
}

// flush begins a new window when the old one is over.
func (l *limited) flush(now time.Duration) {
	if now < l.until {
		return
	}
	l.until = now + window
	clear(l.caused)
	for kind, k := range l.kinds {
		if k.held > 0 {
			l.log.Warn("lines held back", "kind", kind, "count", k.held)
		}
		*k = kindLines{}
	}
}
