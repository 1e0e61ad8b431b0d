package daemon

import (
	"os"

	"golang.org/x/sys/unix"

	"tunneldigger/src/broker"
	"tunneldigger/src/notify"
)

// idle reports whether nothing is left to wait for when stopping.
func (d *Daemon) idle() bool {
	for _, s := range d.sections {
		if s.core.Tunnels() > 0 {
			return false
		}
	}
	return d.hooks.Idle()
}

// forward brings signals into the loop.
func (d *Daemon) forward(signals chan os.Signal) {
	for s := range signals {
		select {
		case d.signals <- s:
			d.wake.Notify()
		default:
		}
	}
}

func (d *Daemon) collectSignals() {
	for {
		select {
		case s := <-d.signals:
			switch {
			case s == unix.SIGHUP:
				_, _ = d.reload(false) // the log has what came of it
			case s == unix.SIGUSR2:
				if err := d.beginUpgrade(nil); err != nil {
					d.log.Error("not upgraded", "error", err)
				}
			case d.stopBy != 0:
				d.stopBy = d.now
			default:
				d.log.Info("stopping", "signal", s.String())
				d.tell(notify.Stopping)
				d.stopBy = d.now + stopDeadline
				d.hooks.Refuse()
				for _, section := range d.sections {
					d.handle(section, &broker.Event{Kind: broker.EventStop})
				}
			}
		default:
			return
		}
	}
}

// tell gives a state to systemd, where that runs the daemon.
func (d *Daemon) tell(state string) {
	if err := notify.Send(state); err != nil {
		d.log.Warn("systemd was not told", "error", err)
	}
}

func (d *Daemon) close() {
	d.calmDown()
	d.store.Close(d.now)
	d.control.Close()
	d.hooks.Kill()
	d.carriers.Close() // the kernel then removes the interfaces
	if d.stopBy != 0 {
		d.links.RemoveBridges()
		d.interfacesChanged()
	}
	for _, s := range d.sections {
		s.listen.CloseAll()
	}
	d.links.Close()
	d.lists.Close()
}
