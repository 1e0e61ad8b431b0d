// Package journal is what the log says of clients, tunnels, interfaces and
// configurations, in which words, how often, and with how much of who somebody is. It
// knows no loop and changes nothing.
package journal

import (
	"strconv"
	"strings"
	"time"

	"tunneldigger/src/broker"
	"tunneldigger/src/config"
	"tunneldigger/src/listen"
	"tunneldigger/src/logline"
	"tunneldigger/src/survive"
)

// tunnels is how many that come up, and that are closed, have a line in a window.
const tunnels = 500

// Journal writes lines, of each kind that strangers can cause a few in a while. Times
// are those of its caller's clock.
type Journal struct {
	log    *logline.Logger
	quiet  limited
	config config.Log
	digest func(uuid string) uint64
}

// New makes a Journal that says as much of clients as c lets it.
func New(log *logline.Logger, c config.Log) *Journal {
	return &Journal{log: log, config: c, quiet: limited{log: log, kinds: make(map[string]*kindLines)}}
}

// Digest says how a hidden UUID is told from others, as long as the broker runs.
func (j *Journal) Digest(digest func(uuid string) uint64) { j.digest = digest }

// Configure brings another configuration into force, its level included.
func (j *Journal) Configure(c config.Log) {
	j.config = c
	j.log.SetLevel(Level(c.Level))
}

// Tick says what has been held back, when it is time to.
func (j *Journal) Tick(now time.Duration) { j.quiet.flush(now) }

// Note writes one line about what the core of a section did.
func (j *Journal) Note(now time.Duration, section string, e *broker.Effect) {
	l := &notes[e.Note]
	kind := l.text
	if e.Note == broker.NoteRefused {
		kind = e.Reason.String()
	}
	if !j.log.Enabled(l.level) {
		return
	}
	allowed := false
	switch e.Note {
	case broker.NoteUp, broker.NoteClosed:
		allowed = j.quiet.upTo(now, kind, tunnels)
	case broker.NoteMTU, broker.NoteLimit, broker.NoteBadLimit:
		allowed = j.quiet.allowTunnel(now, kind, e.Tunnel)
	default:
		allowed = j.quiet.allow(now, kind)
	}
	if !allowed {
		return
	}
	args := j.About(section, &e.Facts)
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
		if j.config.Addresses {
			args = append(args, "other", e.Other.String())
		}
	case broker.NoteRefused, broker.NoteClosed:
		args = append(args, "reason", e.Reason.String())
		if e.Detail != "" {
			args = append(args, "detail", e.Detail)
		}
	}
	j.log.Log(l.level, l.text, args...)
}

// About is what every line about a client or its tunnel begins with, as far as
// the configuration lets it be seen.
func (j *Journal) About(section string, f *broker.Facts) []any {
	args := append(make([]any, 0, 20), "broker", section)
	if f.Tunnel != 0 {
		args = append(args, "tunnel", f.Tunnel)
	}
	if f.UUID != "" {
		args = append(args, "uuid", j.UUID(f.UUID))
	}
	if j.config.Addresses {
		args = append(args, "endpoint", f.Peer.String())
	}
	return args
}

// UUID is what the log has for a UUID: it, or a few digits that tell it from
// others as long as the broker runs, upgrades included.
func (j *Journal) UUID(uuid string) string {
	if !j.config.HideUUIDs {
		return uuid
	}
	return strconv.FormatUint(1<<32|uint64(uint32(j.digest(uuid))), 16)[1:] // eight digits
}

// SetupFailed says that a tunnel could not be made or brought up.
func (j *Journal) SetupFailed(now time.Duration, section string, f *broker.Facts, err error) {
	if j.quiet.allow(now, "setup") {
		j.log.Error("can't make a tunnel", append(j.About(section, f), "error", err)...)
	}
}

// SendFailed says that a datagram could not be sent. The protocol repeats what
// matters, so this hurts nobody alone.
func (j *Journal) SendFailed(now time.Duration, section string, err error) {
	if j.quiet.allow(now, "send") {
		j.log.Debug("can't send", "broker", section, "error", err)
	}
}

// Carries says what carries a section's frames: the program, or the kernel, which lacks something if
// there was a choice.
func (j *Journal) Carries(b *config.Broker, user bool, lacks string) {
	switch {
	case !user:
		j.log.Info("the kernel carries the frames", "broker", b.Name)
	case b.Datapath == config.DatapathUser:
		j.log.Info("the broker carries the frames itself", "broker", b.Name)
	default:
		j.log.Warn("the broker carries the frames itself: with the kernel it would be faster", "broker", b.Name, "error", lacks)
	}
}

// Listens says where a section listens now, and what is in its way.
func (j *Journal) Listens(section, device string, addresses int, n *listen.News) {
	for _, why := range n.Waits {
		j.log.Warn("waiting to listen", "broker", section, "error", why)
	}
	if n.Missing != nil {
		j.log.Warn("waiting to listen", "broker", section, "error", n.Missing)
	}
	if !n.Listens {
		return
	}
	args := []any{"broker", section, "addresses", addresses}
	if n.Lacks > 0 {
		args = append(args, "missing", n.Lacks)
	}
	if device != "" {
		args = append(args, "interface", device)
	}
	j.log.Info("listening", args...)
}

// Addresses reports whether clients' addresses may be seen.
func (j *Journal) Addresses() bool { return j.config.Addresses }

// Draining says that the broker, with so many tunnels, is being drained, and closes rate of them a minute in
// each section, or that it is not any more.
func (j *Journal) Draining(on, was bool, rate, tunnels int) {
	switch {
	case rate > 0:
		j.log.Info("draining", "tunnels", tunnels, "close_rate", rate)
	case on:
		j.log.Info("draining", "tunnels", tunnels)
	case was:
		j.log.Info("draining has ended", "tunnels", tunnels)
	}
}

// VerifyLate says how it was decided about a client without session.verify.
func (j *Journal) VerifyLate(now time.Duration, section string, f *broker.Facts, refused bool) {
	if !j.quiet.allow(now, "verify") {
		return
	}
	so := "the client is let in"
	if refused {
		so = "the client is refused"
	}
	j.log.Warn("no answer from session.verify in time: "+so, j.About(section, f)...)
}

// ListsLate says, unless err is nil, that inotify does not help.
func (j *Journal) ListsLate(now time.Duration, err error) {
	if err != nil && j.quiet.allow(now, "lists") {
		j.log.Warn("changes of lists are seen late", "error", err)
	}
}

// Survived says what became of the tunnels of a process that ended without a word: how
// many stand as they did, how many are made again, and how many end, by why.
func (j *Journal) Survived(kept, made int, lost [survive.LossCount]int) {
	var because []string
	all := 0
	for why, n := range lost {
		if all += n; n > 0 {
			because = append(because, strconv.Itoa(n)+" "+survive.Loss(why).String())
		}
	}
	args := []any{"tunnels_kept", kept, "tunnels_made_again", made, "tunnels_lost", all, "because", strings.Join(because, ", ")}
	if all == 0 {
		args = args[:6]
	}
	j.log.Warn("the broker before this one ended without a word", args...)
}

// Changed says what is different in a configuration that comes into force.
func (j *Journal) Changed(changes []config.Change) {
	for _, c := range changes {
		args := []any{"section", c.Section}
		if name, of := strings.CutPrefix(c.Section, "broker "); of {
			args = []any{"broker", strings.Trim(name, "'")}
		}
		switch {
		case c.Option != "":
			j.log.Info("configuration changed", append(args, "option", c.Option, "from", c.Old, "to", c.New)...)
		case c.Gone:
			j.log.Info("section removed", args...)
		default:
			j.log.Info("section added", args...)
		}
	}
}

// Odd says what a configuration that comes into force has in it that is not as it
// should be.
func (j *Journal) Odd(c *config.Config) {
	for _, fault := range c.Faults {
		j.log.Warn(fault.Report())
	}
	for _, notice := range c.Notices {
		j.log.Warn(notice)
	}
}

// notes is what each note is said with.
var notes = [...]line{
	broker.NoteUp:          {logline.Info, "", "tunnel up"},
	broker.NoteClosed:      {logline.Info, "", "tunnel closed"},
	broker.NoteRefused:     {logline.Info, "", "client refused"},
	broker.NoteQueued:      {logline.Debug, "", "client waits"},
	broker.NoteMTU:         {logline.Info, "", "tunnel MTU changed"},
	broker.NoteLimit:       {logline.Info, "", "bandwidth limit"},
	broker.NoteBadLimit:    {logline.Warn, "", "a LIMIT that can't be understood was ignored"},
	broker.NoteSetAside:    {logline.Warn, "", "the kernel has this tunnel ID already, it is set aside"},
	broker.NoteStuck:       {logline.Warn, "", "the kernel did not remove the interface in time"},
	broker.NoteTwins:       {logline.Warn, "", "two nodes have the same UUID: give one of them another"},
	broker.NoteOldSessions: {logline.Error, "", "this kernel refuses a second session with ID 1: clients without unique session IDs are sent elsewhere"},
}

// Level is the level that a configuration means.
func Level(l config.Level) logline.Level {
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
