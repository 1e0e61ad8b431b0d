package daemon

import (
	"fmt"
	"io"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"tunneldigger/src/broker"
	"tunneldigger/src/config"
	"tunneldigger/src/cookie"
	"tunneldigger/src/handoff"
	"tunneldigger/src/hook"
	"tunneldigger/src/logline"
	"tunneldigger/src/poll"
	"tunneldigger/src/sock"
)

// stateEnv names the descriptor that has the state of the program before.
const stateEnv = "TUNNELDIGGER_STATE"

// maxState bounds what is read as a state: 65535 tunnels take 15 MB.
const maxState = 64 << 20

func errState(size int64) error {
	return fmt.Errorf("the state has %d bytes, at most %d are taken: restart the broker instead", size, maxState)
}

// Inherited gives the state that the program before has left to this one, nil
// if there was none.
func Inherited() ([]byte, error) {
	text := os.Getenv(stateEnv)
	if text == "" {
		return nil, nil
	}
	_ = os.Unsetenv(stateEnv)
	fd, err := strconv.Atoi(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", stateEnv, err)
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, fmt.Errorf("look at the state: %w", err)
	}
	if st.Size > maxState {
		return nil, errState(st.Size)
	}
	state := make([]byte, st.Size)
	for n := 0; n < len(state); {
		m, err := unix.Pread(fd, state[n:], int64(n))
		if err == nil && m == 0 {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return nil, fmt.Errorf("read the state: %w", err)
		}
		n += m
	}
	return state, nil
}

// understand reads a state and its configuration. That is the one of o where
// this program can't read what the one before had: then sections go by name.
func understand(o Options, state []byte) (*carried, *config.Config, error) {
	c, err := decode(state)
	if err != nil {
		return nil, nil, err
	}
	whole, err := o.Parse(c.config)
	if err != nil {
		whole = o.Config
	}
	numbers := make(map[int]bool)
	for _, s := range c.sections {
		if numbers[s.number] || s.number >= maxSections {
			return nil, nil, handoff.ErrMalformed
		}
		numbers[s.number] = true
		for i := range whole.Brokers {
			if b := &whole.Brokers[i]; b.Name == s.name && !s.leaving {
				s.config = b
			}
		}
		if s.config == nil {
			if own, err := o.Parse(s.text); err == nil && len(own.Brokers) == 1 {
				s.config, s.leaving = &own.Brokers[0], true
			}
		}
	}
	return c, whole, nil
}

// Prove tells whether this program can go on where the one is whose state this
// is: it does all that it would, apart from using the descriptors.
func Prove(o Options, state []byte) error {
	if len(state) > maxState {
		return errState(int64(len(state)))
	}
	c, whole, err := understand(o, state)
	if err != nil {
		return err
	}
	for _, s := range c.sections {
		if s.config == nil {
			continue
		}
		options := broker.Options{Jar: cookie.New(c.key), Random: func() uint32 { return 0 }}
		if _, err := broker.Restore(*s.config, options, s.core); err != nil {
			return fmt.Errorf("broker '%s': %w", s.name, err)
		}
	}
	if err := hook.New(1, logline.New(os.Stderr, logline.Error, false), func() {}).Restore(c.hooks); err != nil {
		return fmt.Errorf("hooks: %w", err)
	}
	if len(whole.Brokers) == 0 {
		return errNoBroker
	}
	if o.NoDatapath {
		return nil
	}
	return proveKernel()
}

// restore takes the place of makeSections: it makes the sections and ports that
// the program before had.
func (d *Daemon) restore(c *carried) error {
	d.jar, d.serial, d.started = cookie.New(c.key), c.serial, c.started
	d.resumeStore(c)
	d.hooksRun, d.failures.count = c.hooksRun, c.failures
	d.moved, d.moving, d.confined = c.moved, c.moving, c.confined
	most := d.shares()
	for _, s := range c.sections {
		if s.config == nil {
			d.log.Warn("a section that this program can't read is dropped, with its tunnels", "broker", s.name)
			for _, fd := range s.listeners {
				_ = unix.Close(fd)
			}
			continue
		}
		if err := d.restoreSection(s, most); err != nil {
			return err
		}
	}
	for i := range d.config.Brokers {
		if b := &d.config.Brokers[i]; d.named(b.Name) == nil {
			d.add(b, most[i])
		}
	}
	d.restoreUnborn(c)
	for _, p := range c.ports {
		d.restorePort(p)
	}
	d.miss()
	d.resumeVerify()
	return d.hooks.Restore(c.hooks)
}

func (d *Daemon) restoreSection(c *carriedSection, most []int) (err error) {
	s := &section{
		number: c.number, config: c.config, listeners: make(map[uint32]*listener),
		leaving: c.leaving, opened: c.opened, complete: c.complete,
	}
	limit := c.config.MaxTunnels
	for i := range d.config.Brokers {
		if &d.config.Brokers[i] == c.config {
			limit = most[i]
		}
	}
	if s.core, err = broker.Restore(*c.config, d.coreOptions(s, limit), c.core); err != nil {
		return fmt.Errorf("broker '%s': %w", c.name, err)
	}
	for len(d.sections) <= s.number {
		d.sections = append(d.sections, nil)
	}
	d.sections[s.number] = s
	for number, fd := range c.listeners {
		unix.CloseOnExec(fd)
		l, err := sock.FromFD(fd)
		if err == nil {
			s.listeners[number] = l
			err = d.poller.Add(fd, tokenListener|uint64(number), poll.Read)
		}
		if err != nil {
			return fmt.Errorf("broker '%s': listener: %w", c.name, err)
		}
	}
	return nil
}

// restoreUnborn tells the cores which tunnels end before they were up, where that
// was version 1.0's to know and not theirs.
func (d *Daemon) restoreUnborn(c *carried) {
	silent := make(map[uint64]bool)
	for _, key := range c.unborn {
		silent[key] = true
	}
	if len(silent) == 0 {
		return
	}
	d.eachTunnel(func(s *section, t *broker.TunnelInfo) {
		if silent[s.hookKey(t.Serial)] {
			s.core.NeverUp(t.Tunnel)
		}
	})
}

// restorePort takes over one tunnel's socket, or closes it if nobody has the
// tunnel.
func (d *Daemon) restorePort(c *carriedPort) {
	p := &c.port
	if c.section < len(d.sections) {
		p.section = d.sections[c.section]
	}
	p.stored = p.stored && d.store.systemd != nil
	if p.section == nil || !p.section.core.Holds(p.id) || d.ports.get(p.id) != nil {
		d.release(p)
		p.closeSocket()
		return
	}
	if p.fd >= 0 {
		unix.CloseOnExec(p.fd)
		if err := d.poller.Add(p.fd, tokenTunnel|uint64(p.id), poll.Read); err != nil {
			d.log.Error("a tunnel's socket was lost", "broker", p.section.config.Name, "tunnel", p.id, "error", err)
			d.release(p)
			p.closeSocket()
			return
		}
	}
	d.ports.add(p)
	if c.rising {
		p.section.core.NeverUp(p.id)
	}
	if info, _ := p.section.core.Next(p.id); info.Answered() {
		d.raiseLater(p, &info.Facts)
	}
	if !p.stored {
		d.keep(p.id)
	}
}

// miss tells the cores of tunnels that no socket came for.
func (d *Daemon) miss() {
	d.eachTunnel(func(s *section, t *broker.TunnelInfo) {
		if p := d.ports.get(t.Tunnel); p != nil && p.section == s {
			return
		}
		// Which of them counts depends on the state.
		for _, kind := range []broker.EventKind{broker.EventCreateFailed, broker.EventLost, broker.EventDestroyed} {
			d.later(s, broker.Event{Kind: kind, Tunnel: t.Tunnel})
		}
	})
}

// resume is called when everything is in its place again.
func (d *Daemon) resume(c *carried) {
	d.hooks.Resume()
	d.settle()
	d.moveNext = 0
	tunnels := 0
	for _, s := range d.sections {
		if s != nil {
			tunnels += s.core.Tunnels()
		}
	}
	d.log.Info("upgraded", "from", c.version, "to", d.version, "tunnels", tunnels)
	if c.caller >= 0 {
		d.control.Adopt(c.caller).Finish(fmt.Sprintf("Upgraded from %s to %s, %d tunnels stand.\n", c.version, d.version, tunnels), nil)
	}
	if d.read != nil { // the file may have changed
		_, _ = d.reload()
	}
}
