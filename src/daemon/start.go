package daemon

import (
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"runtime/debug"

	"golang.org/x/sys/unix"

	"tunneldigger/src/broker"
	"tunneldigger/src/config"
	"tunneldigger/src/control"
	"tunneldigger/src/cookie"
	"tunneldigger/src/hook"
	"tunneldigger/src/poll"
	"tunneldigger/src/survive"
)

// spareFiles is how many descriptors a process needs beside its tunnels':
// listeners, netlink, callers, and a few for each hook that runs.
const spareFiles = 64 + control.MaxCallers

// garbage is how much of it, in percent of what is in use, the heap may hold,
// unless GOGC in the environment says otherwise. Go's own 100 allows at least
// 4 MB, which is more than all the rest; only set-ups make garbage, about 1 kB
// each, so that little costs little.
const garbage = 25

func start(o Options) (_ *Daemon, err error) {
	c := o.Config
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(garbage)
	}
	var before *past // nil: there was no program before
	if o.State != nil {
		if before, err = understand(o, o.State); err != nil {
			return nil, err
		}
		c = before.config
	}
	if len(c.Brokers) == 0 {
		return nil, errNoBroker
	}
	if len(c.Brokers) > maxSections {
		return nil, fmt.Errorf("%d broker sections are enabled: at most %d can be", len(c.Brokers), maxSections)
	}
	d := &Daemon{
		config: c, read: o.Read, log: o.Log, incoming: o.Signals, clock: newClock(), signals: make(chan os.Signal, 4),
		quiet: limitedLog{log: o.Log, kinds: make(map[string]*logKind)},
	}
	d.now = d.clock.now()
	d.started, d.version = d.now, o.Version
	d.warnOf(c)
	if d.poller, err = poll.New(); err != nil {
		return nil, err
	}
	if d.wake, err = poll.NewWake(); err != nil {
		return nil, err
	}
	if err := d.poller.Add(d.wake.FD(), tokenWake, poll.Read); err != nil {
		return nil, err
	}
	d.hooks = hook.New(places(&c.Hooks), o.Log, d.wake.Notify)
	if err := d.openGate(); err != nil {
		return nil, err
	}
	var left []survive.Left
	if err := d.makeDatapath(o.NoDatapath, o.Socket); err != nil {
		return nil, err
	}
	if before != nil {
		err = d.restore(before, survive.RecordPath(o.Socket))
	} else {
		left, err = d.makeSections(o.Record)
	}
	if err != nil {
		return nil, err
	}
	if err := d.openDatapath(); err != nil {
		return nil, err
	}
	if err := d.openControl(o.Socket, before); err != nil {
		return nil, err
	}
	if !o.NoDatapath {
		d.confined = d.confined || confined(&c.Hooks)
		if err := dropPrivileges(d.confined); err != nil {
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

var errNoBroker = errors.New("no broker section is enabled: set option enabled '1' in one")

// makeSections makes the sections of the configuration, without listeners. Tunnels
// that a process has left are in them, if their sockets are still there; the others
// it gives back.
func (d *Daemon) makeSections(r *survive.Record) (left []survive.Left, err error) {
	c := d.config
	var key [16]byte
	if _, err := unix.Getrandom(key[:], 0); err != nil {
		return nil, fmt.Errorf("read random numbers: %w", err)
	}
	d.store, left = survive.OpenStore(d.log, key, r)
	d.jar = cookie.New(d.store.Key())
	most := d.shares()
	for i := range c.Brokers {
		b := &c.Brokers[i]
		if err := listenable(b); err != nil {
			return nil, err
		}
		if _, err := d.add(b, most[i]); err != nil {
			return nil, err
		}
	}
	if len(left) > 0 && left[0].FD >= 0 {
		d.adoptStored(left)
		left = nil
	}
	return left, d.servable()
}

// add makes a section. It listens when openListeners is called.
func (d *Daemon) add(b *config.Broker, most int) (*section, error) {
	path, err := d.choose(b)
	if err != nil {
		return nil, fmt.Errorf("broker '%s': %w", b.Name, err)
	}
	number := 0
	for number < len(d.sections) && d.sections[number] != nil {
		number++
	}
	if number == len(d.sections) {
		d.sections = append(d.sections, nil)
	}
	s := &section{number: number, config: b, path: path, listeners: make(map[uint32]listener)}
	s.core = broker.New(*b, d.coreOptions(s, most))
	d.sections[number] = s
	d.tellDatapath(s)
	return s, nil
}

// coreOptions is what a section's core needs beside its configuration.
func (d *Daemon) coreOptions(s *section, most int) broker.Options {
	return broker.Options{
		Jar: d.jar, Random: mathrand.Uint32, Verify: d.config.Hooks.Program[config.EventVerify] != "", MaxTunnels: most,
		Taken: func(id uint32) bool { return d.taken(s, id) }, Serial: d.serial,
		Client: d.holds,
	}
}

// taken tells whether another section than s has a tunnel of this ID: one that
// is being removed, or whose limit was larger.
func (d *Daemon) taken(s *section, id uint32) bool {
	for _, other := range d.sections {
		if other != nil && other != s && other.core.Holds(id) {
			return true
		}
	}
	return false
}

// shares lets the process have the descriptors that the configuration takes, and
// tells how many tunnels each of its sections may have.
func (d *Daemon) shares() []int {
	c := d.config
	wanted, others := 0, spareFiles+hookFiles*places(&c.Hooks)
	for i := range c.Brokers {
		wanted += c.Brokers[i].MaxTunnels
		others += len(endpoints(&c.Brokers[i]))
	}
	for _, s := range d.sections {
		if s != nil && s.leaving {
			others += s.core.Tunnels()
		}
	}
	return divide(d.raiseFiles(wanted, others), wanted, c.Brokers)
}

// divide shares a capacity out between sections that want so many tunnels in all.
func divide(capacity, wanted int, brokers []config.Broker) []int {
	most := make([]int, len(brokers))
	for i := range most { // an int of 32 bits does not hold the product
		most[i] = max(1, int(int64(brokers[i].MaxTunnels)*int64(capacity)/int64(wanted)))
	}
	return most
}

// raiseFiles lets the process have a descriptor for each tunnel and tells for
// how many tunnels it has them: new clients are refused before they run out.
func (d *Daemon) raiseFiles(tunnels, others int) int {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return tunnels
	}
	if want := uint64(tunnels + others); limit.Cur < want {
		// As many as there can be tunnels, for sections that come later: then it
		// can't be raised any more.
		raised := unix.Rlimit{Cur: want, Max: max(limit.Max, want, 1<<16+uint64(others))}
		if unix.Setrlimit(unix.RLIMIT_NOFILE, &raised) != nil {
			raised = unix.Rlimit{Cur: min(want, limit.Max), Max: limit.Max}
			_ = unix.Setrlimit(unix.RLIMIT_NOFILE, &raised)
		}
		_ = unix.Getrlimit(unix.RLIMIT_NOFILE, &limit)
	}
	files := int(min(limit.Cur, 1<<20))
	d.widen(min(files, tunnels+others))
	capacity := files - others
	if capacity < tunnels {
		d.log.Warn("fewer tunnels than max_tunnels: the process may not open more files",
			"tunnels", max(1, capacity), "max_tunnels", tunnels, "nofile", limit.Cur)
	}
	return max(1, min(capacity, tunnels))
}

// widest is how many descriptors the table is made for in advance; they take 32 kB
// of the kernel's memory.
const widest = 4096

// widen has the table of descriptors grow now. Each time that it doubles, in a
// process with threads, the kernel waits for all processors to have passed a
// point of rest (expand_fdtable in fs/file.c): 10 ms and more, in which
// clients would wait.
func (d *Daemon) widen(files int) {
	if fd, err := unix.FcntlInt(uintptr(d.wake.FD()), unix.F_DUPFD_CLOEXEC, min(files, widest)-1); err == nil {
		_ = unix.Close(fd)
	}
}
