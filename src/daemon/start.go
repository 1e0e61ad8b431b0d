package daemon

import (
	mathrand "math/rand/v2"
	"os"

	"golang.org/x/sys/unix"

	"tunneldigger/src/bridges"
	"tunneldigger/src/broker"
	"tunneldigger/src/clock"
	"tunneldigger/src/config"
	"tunneldigger/src/control"
	"tunneldigger/src/cookie"
	"tunneldigger/src/datapath"
	"tunneldigger/src/datapath/carriers"
	"tunneldigger/src/hook/events"
	"tunneldigger/src/journal"
	"tunneldigger/src/listen"
	"tunneldigger/src/phrase"
	"tunneldigger/src/poll"
	"tunneldigger/src/privilege"
	"tunneldigger/src/reload"
	"tunneldigger/src/resources"
	"tunneldigger/src/successor"
	"tunneldigger/src/survive"
	"tunneldigger/src/tunnels"
)

// spareFiles is how many descriptors a process needs beside its tunnels':
// listeners, netlink, callers, and a few for each hook that runs.
const spareFiles = 64 + control.MaxCallers

func start(o Options) (_ *Daemon, err error) {
	c := o.Config
	resources.TrimHeap()
	var before *successor.Past // nil: there was no program before
	if o.State != nil {
		if before, err = successor.Understand(o.State, o.Config, o.Parse); err != nil {
			return nil, err
		}
		c = before.Config
	}
	if len(c.Brokers) == 0 {
		return nil, successor.ErrNoBroker
	}
	if len(c.Brokers) > successor.MaxSections {
		return nil, phrase.Errorf("%d broker sections are enabled: at most %d can be", len(c.Brokers), successor.MaxSections)
	}
	d := &Daemon{
		config: c, bridges: bridges.New(c), read: o.Read, log: o.Log, journal: journal.New(o.Log, c.Log),
		pending: pending{incoming: o.Signals, signals: make(chan os.Signal, 4)}, history: history{version: o.Version},
	}
	d.now = clock.Now()
	d.started = d.now
	d.journal.Odd(c)
	if d.poller, err = poll.New(); err != nil {
		return nil, err
	}
	if d.wake, err = poll.NewWake(); err != nil {
		return nil, err
	}
	if err := d.poller.Add(d.wake.FD(), tokenWake, poll.Read); err != nil {
		return nil, err
	}
	d.hooks = events.New(&c.Hooks, o.Log, d.wake.Notify, d.name)
	if err := d.openGate(); err != nil {
		return nil, err
	}
	var left survive.Remains
	if err := d.makeDatapath(o.NoDatapath, o.Socket); err != nil {
		return nil, err
	}
	if before != nil {
		err = d.restore(before, survive.RecordPath(o.Socket))
	} else {
		left, err = d.makeSections(o.Record)
	}
	if err == nil {
		err = d.openDatapath()
	}
	if err == nil {
		err = d.openControl(o.Socket, before)
	}
	if err != nil {
		d.calmDown()
		return nil, err
	}
	if !o.NoDatapath {
		d.confined = d.confined || reload.Confined(&c.Hooks)
		if err := privilege.Drop(d.confined); err != nil {
			d.log.Warn("the broker has more rights than it needs", "error", err)
		}
	}
	d.judgeAll(before == nil) // those that a crash or an upgrade has left
	// Only now, so that they can be read later, too.
	d.followLists(false)
	// Before anything is read: what their clients say is no stranger's then.
	d.remake(left)
	d.openListeners()
	if before != nil {
		d.resume(before)
	}
	return d, nil
}

// makeSections makes the sections of the configuration, without listeners. Tunnels
// that a process has left are in them, if their sockets or interfaces are still there.
func (d *Daemon) makeSections(r *survive.Record) (left survive.Remains, err error) {
	c := d.config
	var key [16]byte
	if _, err := unix.Getrandom(key[:], 0); err != nil {
		return nil, phrase.Errorf("read random numbers: %w", err)
	}
	d.store, left = survive.OpenStore(d.log, key, r)
	if d.store.Recorded() { // before anybody asks the kernel for an interface
		d.hurry(left)
	}
	d.setJar(d.store.Key())
	d.carriers.Last(d.store.Recorded())
	most := d.shares()
	for i := range c.Brokers {
		b := &c.Brokers[i]
		if err := listen.Few(b); err != nil {
			return nil, err
		}
		if _, err := d.add(b, most[i]); err != nil {
			return nil, err
		}
	}
	d.reopen(left)
	d.adoptStored(left)
	if len(left) > 0 && !d.store.Recorded() { // systemd has the ports until it has closed what nobody took
		return left, nil
	}
	return left, listen.Possible(c.Brokers, d.portsInUse())
}

// makeDatapath makes what sections choose from, and what tunnels of an earlier
// process can be given to. none is for load tests of the control plane.
func (d *Daemon) makeDatapath(none bool, socket string) error {
	d.links = datapath.New()
	d.tunnels = tunnels.New(d.links, d.bridges, d.poller, tokenTunnel)
	if none {
		d.carriers = carriers.NewNone(d.links, d.stray, d.poller, tokenListener)
		return nil
	}
	d.links.MakeBridges(bridges.Alias(socket), func(name string) *datapath.Own { return d.bridges.Own(name) })
	d.carriers = carriers.New(d.links, d.stray, d.wake.Notify, d.poller, tokenListener)
	return d.links.Open()
}

// setJar makes what cookies, and digests of UUIDs, come from.
func (d *Daemon) setJar(key [16]byte) {
	d.jar = cookie.New(key)
	d.journal.Digest(d.jar.Digest)
}

// add makes a section. It listens when openListeners is called.
func (d *Daemon) add(b *config.Broker, most int) (*section, error) {
	path, err := d.carriers.Choose(b)
	if err != nil {
		return nil, phrase.Errorf("broker '%s': %w", b.Name, err)
	}
	number := 0
	for d.section(number) != nil {
		number++
	}
	s := d.newSection(number, b, path)
	s.core = broker.New(*b, d.coreOptions(s, most))
	d.place(s)
	if d.carriers.None == nil {
		d.journal.Carries(b, s.user(), d.carriers.Lacks())
	}
	return s, nil
}

// coreOptions is what a section's core needs beside its configuration.
func (d *Daemon) coreOptions(s *section, most int) broker.Options {
	return broker.Options{
		Jar: d.jar, Random: mathrand.Uint32, Verify: d.config.Hooks.Program[config.EventVerify] != "", MaxTunnels: most,
		Taken: func(id uint32) bool { return d.taken(s, id) }, Serial: d.serial,
		Client: func(uuid string) broker.Client { return d.bridges.Client(uuid) },
	}
}

// taken reports whether another section than s has a tunnel of this ID: one that
// is being removed, or whose limit was larger.
func (d *Daemon) taken(s *section, id uint32) bool {
	for _, other := range d.sections {
		if other != s && other.core.Holds(id) {
			return true
		}
	}
	return false
}

// shares lets the process have the descriptors that the configuration takes, and
// tells how many tunnels each of its sections may have.
func (d *Daemon) shares() []int {
	c := d.config
	wanted, others := make([]int, len(c.Brokers)), spareFiles+resources.HookFiles*resources.Hooks(c.Hooks.Parallel)
	for i := range c.Brokers {
		wanted[i] = c.Brokers[i].MaxTunnels
		others += len(listen.Endpoints(&c.Brokers[i]))
	}
	for _, s := range d.sections {
		if s.leaving {
			others += s.core.Tunnels()
		}
	}
	most, files, all, limit := resources.Shares(wanted, others)
	if files < all {
		d.log.Warn("fewer tunnels than max_tunnels: the process may not open more files",
			"tunnels", files, "max_tunnels", all, "nofile", limit)
	}
	return most
}
