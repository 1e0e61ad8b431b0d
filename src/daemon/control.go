package daemon

import (
	"errors"

	"tunneldigger/src/control"
	"tunneldigger/src/poll"
	"tunneldigger/src/successor"
)

// openControl makes the socket for commands. A broker serves without one, too:
// what is in its way is worth a warning and no more.
func (d *Daemon) openControl(path string, before *successor.Past) error {
	var err error
	if d.control, err = control.New(d.command); err != nil {
		return err
	}
	if err := d.poller.Add(d.control.FD(), tokenControl, poll.Read); err != nil {
		return err
	}
	if before != nil && before.Control >= 0 {
		err := d.control.Resume(before.Path, before.Control)
		if err == nil {
			return nil
		}
		d.log.Warn("the socket for commands was lost", "error", err)
	}
	if path == "" {
		return nil
	}
	if err := d.control.Listen(path); err != nil {
		advice := "commands can't reach this broker; --socket PATH sets another place"
		if errors.Is(err, control.ErrAlive) {
			advice = "commands reach the other broker; --socket PATH gives this one a place of its own"
		}
		d.log.Warn("no socket for commands: "+advice, "error", err)
	}
	return nil
}
