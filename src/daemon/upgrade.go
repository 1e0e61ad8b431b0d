package daemon

import (
	"errors"
	"fmt"
	"os/signal"
	"strings"

	"golang.org/x/sys/unix"

	"tunneldigger/src/control"
	"tunneldigger/src/survive"
)

// upgrade is one that is under way.
type upgrade struct {
	caller  *control.Conn // nil: a signal asked for it
	program string
	result  chan proof
}

// proof is what came of asking the new program.
type proof struct {
	version string
	err     error
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
	d.upgrade = &upgrade{caller: c, program: program, result: make(chan proof, 1)}
	d.hooks.Freeze()
	state := d.state(-1).Append(nil)
	d.hooks.Thaw()
	go func(u *upgrade) {
		version, err := survive.Ask(u.program, state)
		u.result <- proof{version, err}
		d.wake.Notify()
	}(d.upgrade)
	return nil
}

// collectUpgrade goes on when the new program has answered.
func (d *Daemon) collectUpgrade() {
	u := d.upgrade
	if u == nil {
		return
	}
	var p proof
	select {
	case p = <-u.result:
	default:
		return
	}
	d.upgrade = nil
	err := p.err
	if err == nil && d.stopBy != 0 {
		err = errStopping
	}
	if err == nil {
		d.log.Info("upgrading", "from", d.version, "to", p.version, "program", u.program)
		err = d.replace(u)
	}
	for _, line := range strings.Split(err.Error(), "\n") {
		d.log.Error("not upgraded, this program goes on", "program", u.program, "error", line)
	}
	if u.caller != nil {
		u.caller.Finish("", fmt.Errorf("not upgraded, %s goes on: %w", d.version, err))
	}
}

// replace puts the new program into the place of this one: it comes back only
// when that fails.
func (d *Daemon) replace(u *upgrade) error {
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
	err := survive.Exec(u.program, state.Append(nil), append(state.Files(), d.hooks.Files()...))
	if d.incoming != nil {
		signal.Notify(d.incoming, unix.SIGHUP, unix.SIGUSR2)
	}
	return err
}
