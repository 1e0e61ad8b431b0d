package daemon

import (
	"errors"
	"os/signal"
	"strings"

	"golang.org/x/sys/unix"

	"tunneldigger/src/config"
	"tunneldigger/src/control"
	"tunneldigger/src/phrase"
	"tunneldigger/src/survive"
)

// upgrade is one that is under way.
type upgrade struct {
	*survive.Trial
	caller *control.Conn // nil: a signal asked for it
}

// beginUpgrade begins to replace this program by the one that is installed now. The
// caller is answered later, unless there is an error.
func (d *Daemon) beginUpgrade(c *control.Conn) error {
	switch {
	case d.stopBy != 0:
		return errStopping
	case d.upgrade != nil:
		return errors.New("an upgrade is under way already")
	}
	program, err := survive.Installed()
	if err != nil {
		return err
	}
	if err := d.lists.OnDisk(); err != nil {
		return err
	}
	d.hooks.Freeze()
	state := d.state(-1).Append(nil)
	d.hooks.Thaw()
	d.upgrade = &upgrade{survive.Try(program, state, d.wake.Notify), c}
	return nil
}

// collectUpgrade goes on when the new program has answered.
func (d *Daemon) collectUpgrade() {
	u := d.upgrade
	if u == nil {
		return
	}
	version, done, err := u.Answer()
	if !done {
		return
	}
	d.upgrade = nil
	if err == nil && d.stopBy != 0 {
		err = errStopping
	}
	if err == nil {
		d.log.Info("upgrading", "from", d.version, "to", version, "program", u.Program)
		err = d.replace(u)
	}
	for _, line := range strings.Split(err.Error(), "\n") {
		d.log.Error("not upgraded, this program goes on", "program", u.Program, "error", line)
	}
	if u.caller != nil {
		u.caller.Finish("", phrase.Errorf("not upgraded, %s goes on: %w", d.version, err))
	}
}

// replace puts the new program into the place of this one: it comes back only
// when that fails.
func (d *Daemon) replace(u *upgrade) error {
	d.calmDown()
	for first := true; first || d.tunnels.Waiting() > 0 || d.hooks.Asking() > 0; first = false {
		d.heard(d.hooks.AskAll(d.now))
		d.settle()
		d.createAll()
	}
	d.flush()
	d.hooks.Freeze()
	defer d.hooks.Thaw()
	caller := -1
	if u.caller != nil {
		caller = u.caller.FD()
	}
	state := d.state(caller)
	// Until the new program takes them, these signals must not end it. That one
	// of them is lost does not hurt: it reads the configuration anyway. A TERM
	// keeps its meaning.
	signal.Ignore(unix.SIGHUP, unix.SIGUSR2)
	err := survive.Exec(u.Program, state.Append(nil), append(state.Files(), d.hooks.Files()...))
	if d.incoming != nil {
		signal.Notify(d.incoming, unix.SIGHUP, unix.SIGUSR2)
	}
	return err
}

// state is all that the next program is to know; the hooks are frozen. caller is the
// descriptor of who waits for the upgrade, -1: nobody.
func (d *Daemon) state(caller int) *survive.State {
	st := &survive.State{
		Version: d.version, Config: config.FormatUCI(d.config), Started: d.started, Key: d.jar.Key(), Serial: d.serial,
		Hooks: d.hooks.AppendState(nil), Ended: d.hooks.Counts.Ended, Failed: d.hooks.Counts.Failed, Unsent: d.unsent,
		Confined: d.confined, Moved: d.moved, Moving: d.tunnels.Moving(),
		Control: d.control.Listener(), Path: d.control.Path(), Caller: caller,
	}
	d.store.Write(d.now, st, d.lookStored)
	for _, s := range d.sections {
		st.Sections = append(st.Sections, s.state())
	}
	if d.carriers.User != nil {
		st.Sockets = d.carriers.User.Lingering()
	}
	for t := d.tunnels.Next(0); t != nil; t = d.tunnels.Next(t.ID + 1) {
		of := d.tunnels.State(t)
		of.Stored, of.HookFailed = d.store.Stored(t.ID), d.marks.Failed(t.ID)
		st.Tunnels = append(st.Tunnels, of)
	}
	return st
}

func (s *section) state() survive.Section {
	l := s.listen.State()
	return survive.Section{
		Number: s.Number, Name: s.Config.Name, Config: config.FormatUCI(&config.Config{Brokers: []config.Broker{*s.Config}}),
		Leaving: s.leaving, Complete: l.Complete, Opened: l.Opened, Unattached: s.loosened, Device: uint32(l.Device),
		Listeners: s.listen.FDs(), User: s.user(), Core: s.core.AppendState(nil),
	}
}
