package daemon

import (
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"tunneldigger/src/broker"
	"tunneldigger/src/cookie"
	"tunneldigger/src/handoff"
	"tunneldigger/src/notify"
	"tunneldigger/src/poll"
	"tunneldigger/src/sock"
)

const (
	storeState  = "state" // name of the file's descriptor; the others are tunnel-ID
	storeTunnel = "tunnel-"
)

// The fields of a record in the store, which is a tunnel's, or the process's in
// the place of tunnel 0.
const (
	tagStoredBoot handoff.Tag = iota + 1
	tagStoredKey
	tagStoredSection
	tagStoredTunnel
)

// store keeps tunnels for the next process in case this one crashes: their
// sockets with systemd, and in a file in memory, whose descriptor is there, too,
// a record for each. A tunnel in the store ends when systemd has closed its copy
// of the socket.
type store struct {
	systemd *notify.Store // nil: there is no store
	file    int
	changed []*port
	told    []storeMessage // what systemd is to be told, in order
	retryAt time.Duration
}

type storeMessage struct {
	name string
	port *port // whose socket is put in; nil and no file: taken out
	file bool
}

// openStore begins to use systemd's store, if there is one, and takes out what
// the process before has left there: nil unless that was this boot.
func (d *Daemon) openStore() (left map[uint32]int) {
	inherited := notify.Inherited()
	systemd, err := notify.OpenStore()
	if err != nil {
		d.log.Warn("a crash would lose the tunnels: no store for them", "error", err)
	}
	d.store = store{systemd: systemd, file: -1}
	st := &d.store
	left = make(map[uint32]int)
	for _, s := range inherited {
		id, found := strings.CutPrefix(s.Name, storeTunnel)
		n, err := strconv.ParseUint(id, 10, 16)
		switch _, twice := left[uint32(n)]; {
		case systemd != nil && s.Name == storeState && st.file < 0:
			st.file = s.FD
		case systemd != nil && found && err == nil && !twice:
			left[uint32(n)] = s.FD
		default:
			_ = unix.Close(s.FD)
		}
	}
	if systemd == nil {
		return nil
	}
	if st.file >= 0 && !d.storedKey() {
		_ = unix.Close(st.file)
		st.file = -1
		st.told = append(st.told, storeMessage{name: storeState})
	}
	if st.file >= 0 {
		return left
	}
	for id, fd := range left {
		_ = unix.Close(fd)
		st.told = append(st.told, storeMessage{name: storedName(id)})
	}
	if st.file, err = memory("tunneldigger", nil); err != nil {
		d.log.Warn("a crash would lose the tunnels: no store for them", "error", err)
		_ = systemd.Close()
		*st = store{file: -1}
		return nil
	}
	key := d.jar.Key()
	record := handoff.AppendString(nil, tagStoredBoot, bootID())
	st.write(0, handoff.AppendBytes(record, tagStoredKey, key[:]))
	st.told = append(st.told, storeMessage{name: storeState, file: true})
	return nil
}

// storedKey takes over the cookie key of the process before; false: the file is
// not of this boot.
func (d *Daemon) storedKey() bool {
	var key [cookieKey]byte
	found := ""
	f := handoff.Read(d.store.read(0))
	for f.Next() {
		switch f.Tag() {
		case tagStoredBoot:
			found = f.String()
		case tagStoredKey:
			copy(key[:], f.Bytes())
		}
	}
	if f.Err() != nil || found == "" || found != bootID() {
		return false
	}
	d.jar = cookie.New(key)
	return true
}

const cookieKey = 16

func bootID() string {
	text, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(text))
}

func storedName(id uint32) string { return storeTunnel + strconv.Itoa(int(id)) }

// adoptStored takes in the tunnels that a process has left that ended without a
// word. What is not whole, or whose section is gone, ends.
func (d *Daemon) adoptStored(left map[uint32]int) {
	adopted := 0
	for _, s := range d.sections {
		var records [][]byte
		for id := range left {
			section, record := "", []byte(nil)
			f := handoff.Read(d.store.read(id))
			for f.Next() {
				switch f.Tag() {
				case tagStoredSection:
					section = f.String()
				case tagStoredTunnel:
					record = f.Bytes()
				}
			}
			if f.Err() == nil && section == s.config.Name {
				records = append(records, record)
			}
		}
		for _, id := range s.core.Adopt(d.now, records) {
			fd, ours := left[id]
			info, _ := s.core.Next(id)
			if !ours || d.ports.get(id) != nil {
				d.later(s, broker.Event{Kind: broker.EventLost, Tunnel: id})
				continue
			}
			delete(left, id)
			p := &port{
				id: id, section: s, listener: s.number * maxListeners, fd: fd, peer: sock.NewPeer(info.Peer), local: info.Local,
				name: info.Interface(), stored: true,
			}
			d.ports.add(p)
			if err := d.poller.Add(fd, tokenTunnel|uint64(id), poll.Read); err != nil {
				d.later(s, broker.Event{Kind: broker.EventLost, Tunnel: id})
			}
			d.later(s, broker.Event{Kind: broker.EventAdopted, Tunnel: id})
			adopted++
		}
	}
	for id, fd := range left {
		_ = unix.Close(fd)
		d.store.write(id, nil)
		d.store.told = append(d.store.told, storeMessage{name: storedName(id)})
	}
	d.moving = true // they are where they were; perhaps the configuration has changed
	d.log.Warn("the broker before this one ended without a word", "tunnels_kept", adopted, "tunnels_lost", len(left))
}

// noteStored keeps the store in step with what a core says.
func (d *Daemon) noteStored(e *broker.Effect) {
	switch e.Note {
	case broker.NoteUp, broker.NoteMTU, broker.NoteLimit:
		d.keep(e.Tunnel)
	case broker.NoteClosed:
		d.lose(e.Tunnel)
	}
}

// keep has a tunnel's record written at the end of the turn.
func (d *Daemon) keep(id uint32) {
	if p := d.ports.get(id); d.store.systemd != nil && p != nil && !p.changed {
		p.changed = true
		d.store.changed = append(d.store.changed, p)
	}
}

// lose drops the record of a tunnel that is being closed: its client knows.
func (d *Daemon) lose(id uint32) {
	if p := d.ports.get(id); p != nil && p.stored {
		d.store.write(id, nil)
	}
}

// release has systemd close its copy of a tunnel's socket.
func (d *Daemon) release(p *port) {
	if p.stored {
		p.stored = false
		d.store.told = append(d.store.told, storeMessage{name: storedName(p.id)})
		d.tellStore()
	}
}

// tickStore writes what has changed and tells systemd.
func (d *Daemon) tickStore() {
	st := &d.store
	for _, p := range st.changed {
		p.changed = false
		if p.fd < 0 || d.ports.get(p.id) != p {
			continue
		}
		tunnel := p.section.core.AppendTunnel(nil, p.id)
		if len(tunnel) == 0 {
			continue
		}
		record := handoff.AppendString(nil, tagStoredSection, p.section.config.Name)
		if !st.write(p.id, handoff.AppendBytes(record, tagStoredTunnel, tunnel)) || p.stored {
			continue
		}
		p.stored = true
		st.told = append(st.told, storeMessage{name: storedName(p.id), port: p})
	}
	clear(st.changed)
	st.changed = st.changed[:0]
	d.tellStore()
}

// closeStore empties the store at an orderly end.
func (d *Daemon) closeStore() {
	st := &d.store
	if st.systemd == nil {
		return
	}
	for _, p := range d.ports.byID {
		if p != nil && p.stored {
			p.stored = false
			st.told = append(st.told, storeMessage{name: storedName(p.id)})
		}
	}
	st.told = append(st.told, storeMessage{name: storeState})
	for try := 0; try < 100 && len(st.told) > 0; try++ {
		if d.tellStore(); len(st.told) > 0 && st.retryAt != 0 {
			poll.Nap(10 * time.Millisecond)
		}
	}
	_ = st.systemd.Close()
	_ = unix.Close(st.file)
}
