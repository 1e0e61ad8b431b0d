package daemon

import (
	"errors"
	"time"

	"golang.org/x/sys/unix"

	"tunneldigger/src/notify"
)

const (
	storePerTry = 64 // messages to systemd in a turn
	storeRetry  = 50 * time.Millisecond
)

// tellStore tells systemd what it takes now; the rest has to wait.
func (d *Daemon) tellStore() {
	st := &d.store
	st.retryAt = 0
	for n := 0; len(st.told) > 0; n++ {
		m := &st.told[0]
		var err error
		switch {
		case m.file:
			err = st.systemd.Add(m.name, st.file)
		case m.port == nil:
			err = st.systemd.Remove(m.name)
		case m.port.fd >= 0:
			err = st.systemd.Add(m.name, m.port.fd)
		}
		if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.ENOBUFS) || n == storePerTry {
			st.retryAt = d.now + storeRetry
			return
		}
		if err != nil && d.quiet.allow(d.now, "store") {
			d.log.Warn("systemd's store fails", "name", m.name, "error", err)
		}
		st.told[0] = storeMessage{}
		st.told = st.told[1:]
	}
	st.told = nil
}

// resumeStore goes on with the store of the program before.
func (d *Daemon) resumeStore(c *carried) {
	d.store.file = -1
	if c.store < 0 {
		return
	}
	unix.CloseOnExec(c.store)
	systemd, err := notify.OpenStore()
	if err != nil || systemd == nil {
		_ = unix.Close(c.store)
		d.log.Warn("a crash would lose the tunnels: the store for them is gone", "error", err)
		return
	}
	d.store.systemd, d.store.file = systemd, c.store
	for _, name := range c.remove {
		d.store.told = append(d.store.told, storeMessage{name: name})
	}
}

// unstore gets the store ready for an upgrade: what systemd has not been given
// yet the next program gives it.
func (d *Daemon) unstore() {
	if d.store.systemd == nil {
		return
	}
	d.tickStore()
	for i := range d.store.told {
		if p := d.store.told[i].port; p != nil {
			p.stored = false
			d.keep(p.id)
		}
	}
}
