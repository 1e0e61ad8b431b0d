package daemon

import (
	"os"
	"time"

	"tunneldigger/src/bridges"
	"tunneldigger/src/broker"
	"tunneldigger/src/clock"
	"tunneldigger/src/config"
	"tunneldigger/src/control"
	"tunneldigger/src/cookie"
	"tunneldigger/src/datapath"
	"tunneldigger/src/datapath/carriers"
	"tunneldigger/src/datapath/user"
	"tunneldigger/src/gate"
	"tunneldigger/src/hook/events"
	"tunneldigger/src/journal"
	"tunneldigger/src/listen"
	"tunneldigger/src/logline"
	"tunneldigger/src/notify"
	"tunneldigger/src/poll"
	"tunneldigger/src/status"
	"tunneldigger/src/survive"
	"tunneldigger/src/tunnels"
)

const (
	batch        = 256              // epoll events a turn
	stopDeadline = 10 * time.Second // for clients, hooks and interfaces when stopping
	largest      = 65535            // bytes of a UDP datagram

	// While tunnels' datagrams come thick, they are left to gather for so long: a
	// turn for each would cost three times as much, and nobody waits for what it
	// does. After a handshake every turn comes at once for a while.
	gather = time.Millisecond
	prompt = 100 * time.Millisecond
)

// Options says how a daemon runs.
type Options struct {
	Config *config.Config
	// Read reads the configuration again, for a reload, and returns what
	// [config.Build] does; nil: it can't be.
	Read func() (*config.Config, error)
	Log  *logline.Logger
	// NoDatapath accepts tunnels without making interfaces: for load tests of
	// the control plane where the kernel has no L2TP.
	NoDatapath bool
	// Signals that stop the daemon (the second one at once) or, SIGHUP, have it
	// read its configuration again or, SIGUSR2, replace its program.
	Signals chan os.Signal
	// Socket is the path of the socket for commands, "" for none.
	Socket string
	// Version is what status says this program is.
	Version string
	// State is what the program before has left, see Inherited; nil: nothing.
	// Parse reads the configuration that it was running with.
	State []byte
	// Record is where tunnels are kept in case of a crash, see survive.Begin.
	Record *survive.Record
	Parse  func(text string) (*config.Config, error)
}

// Daemon is a running broker process. What it has is in three parts by how long that
// holds; the rest are the rooms that do its work.
type Daemon struct {
	history
	pending

	config   *config.Config
	bridges  *bridges.Plan // of the configuration
	read     func() (*config.Config, error)
	log      *logline.Logger
	journal  *journal.Journal
	carriers *carriers.Carriers
	links    *datapath.Interfaces
	jar      *cookie.Jar
	hooks    *events.Hooks
	lists    *gate.Lists
	store    *survive.Store
	control  *control.Server
	sections []*section // in the order of their numbers
	places   listen.All // where they listen
	tunnels  *tunnels.Table
	poller   *poll.Poller
	wake     *poll.Wake

	turn // last, as its buffer drives what is behind it out of short instructions' reach
}

// history is what happened since the broker began to serve. The next program gets it.
type history struct {
	version  string // of this program
	marks    status.Marks
	started  time.Duration // when it began
	serial   uint64        // the largest that a tunnel of a section that is gone had
	unsent   uint64        // datagrams that could not be sent
	confined bool          // hooks can't have more rights than the broker, for good
	moved    bool          // sections have given up addresses where tunnels stand
}

// pending is what is under way, over more turns than one.
type pending struct {
	signals  chan os.Signal
	incoming chan os.Signal // where the system's come from
	stopBy   time.Duration  // when stopping must have ended, 0: not stopping
	retryAt  time.Duration  // when to look again for missing interfaces, 0: none
	calm     func()         // ends what hurry began; nil: nothing
	remaking bool           // tunnels are made again, after a crash
	promptly time.Duration  // until when nothing is left to gather
	upgrade  *upgrade       // nil: none is under way
}

// turn is what one turn of the loop works with; its slices are kept for the next one.
type turn struct {
	now         time.Duration // of this turn
	replied     bool          // answers wait at listeners
	listenFirst int           // the event with which listeners' turn begins
	queue       []queued
	effects     []broker.Effect
	event       broker.Event // reused for datagrams
	letter      user.Mail
	buffer      [largest]byte
}

// What an epoll token stands for; the low half is an index or a tunnel ID.
const (
	tokenTunnel = iota << 32
	tokenListener
	tokenWake
	tokenLinks
	tokenControl
	tokenLists
	tokenKind = ^uint64(1<<32 - 1)
)

// Run serves until a signal stops it. The error says why it could not start, in
// words for an operator.
func Run(o Options) error {
	d, err := start(o)
	if err != nil {
		return err
	}
	defer d.close()
	d.tell(notify.Ready)
	go d.forward(o.Signals)
	return d.loop()
}

// loop is the daemon's life: wait, take in what happened, do what is due.
func (d *Daemon) loop() error {
	events := make([]poll.Event, batch)
	for {
		n, err := d.poller.Wait(d.timeout(), events)
		if err != nil {
			return err
		}
		last := d.now
		d.now = clock.Now()
		// Standing tunnels go first: however much arrives at the listeners,
		// they are served.
		for i := range events[:n] {
			if events[i].Token&tokenKind == tokenTunnel {
				d.tunnelReady(&events[i])
			}
		}
		d.listenersReady(events[:n])
		for i := range events[:n] {
			switch ev := &events[i]; ev.Token & tokenKind {
			case tokenWake:
				d.wake.Drain()
				d.collectSignals()
				d.heard(d.hooks.Done(d.now))
				d.settle()
				d.collectLists()
				d.collectUpgrade()
				d.collectMail()
			case tokenLinks:
				d.links.Watch(d.now)
				d.interfacesChanged()
				d.settle()
			case tokenLists:
				d.journal.ListsLate(d.now, d.lists.Changed(d.now))
			case tokenControl:
				d.control.Ready()
			}
		}
		d.tick()
		if d.stopBy != 0 && (d.idle() || d.now >= d.stopBy) {
			return nil
		}
		thick := n > 1 || n == 1 && d.now-last < gather
		if thick && d.now >= d.promptly && !d.tunnels.Rising() {
			poll.Nap(gather)
		}
	}
}

// timeout is how long the loop may sleep.
func (d *Daemon) timeout() time.Duration {
	var due time.Duration
	waits := false
	at := func(t time.Duration, ok bool) {
		if ok && (!waits || t < due) {
			due, waits = t, true
		}
	}
	at(d.stopBy, d.stopBy != 0)
	at(d.retryAt, d.retryAt != 0)
	at(d.now, d.replied)
	at(d.tunnels.Due())
	at(d.links.Due())
	at(d.control.Due())
	at(d.store.Due())
	at(d.lists.Due())
	at(d.hooks.Due())
	for _, s := range d.sections {
		at(s.core.Due())
	}
	if !waits {
		return -1
	}
	return max(0, due-d.now)
}

// tick does what time brings.
func (d *Daemon) tick() {
	for _, s := range d.sections {
		if due, ok := s.core.Due(); ok && due <= d.now+broker.Slack {
			d.effects = s.core.Tick(d.now, d.effects[:0])
			d.carryOut(s)
		}
	}
	d.settle()
	if d.retryAt != 0 && d.now >= d.retryAt {
		d.openListeners()
	}
	d.tunnels.Move(d.now)
	d.control.Tick(d.now)
	d.journal.ListsLate(d.now, d.lists.Tick(d.now))
	d.heard(d.hooks.Tick(d.now))
	d.settle()
	d.flush() // what costs least goes first
	d.createSome()
	d.raiseNext()
	d.links.Tick(d.now)
	d.interfacesChanged()
	d.settle()
	d.flush()
	d.vanish()
	d.madeAgain()
	d.store.Tick(d.now, d.lookStored)
	d.journal.Tick(d.now)
}

// flush sends the answers that wait at the listeners.
func (d *Daemon) flush() {
	if !d.replied {
		return
	}
	d.replied = false
	for _, s := range d.sections {
		s.listen.Flush(func(err error) { d.sendFailed(s, err) })
	}
}
