package survive

import (
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"tunneldigger/src/logline"
	"tunneldigger/src/notify"
	"tunneldigger/src/poll"
	"tunneldigger/src/tlv"
)

const (
	storeState  = "state" // name of the file's descriptor; the others are tunnel-ID
	storeTunnel = "tunnel-"
)

// The fields of a record in the file, which is a tunnel's, or the process's.
const (
	tagStoredBoot tlv.Tag = iota + 1
	tagStoredKey
	tagStoredSection
	tagStoredTunnel
	tagStoredAlive
	tagStoredBegan
	tagStoredShort
	tagStoredHurry
)

// stampGap is how far behind the time is that a record says its process was alive.
const stampGap = 5 * time.Second

// Store keeps tunnels for the next process in case this one crashes: a record of each
// in a file, and where systemd takes them, their sockets. Then the file is in memory,
// with its descriptor at systemd, too, and a tunnel ends when systemd has closed its
// copy of the socket. Elsewhere the file is a Record, and tunnels end with the process.
// It is not safe for concurrent use.
type Store struct {
	log     *logline.Logger
	systemd *notify.Store // nil: there is none
	file    slots         // -1: nothing is kept
	path    string        // of the file, "": it is in memory
	process process
	stored  map[uint32]bool     // tunnels that have a record and, with systemd, a copy of their socket there
	changed map[uint32]struct{} // tunnels whose records are to be written
	told    []message           // what systemd is to be told, in order
	retryAt time.Duration
	failed  bool // that systemd's store fails has been said
}

// newStore makes a Store that keeps nothing.
func newStore(log *logline.Logger) *Store {
	return &Store{log: log, file: -1, stored: make(map[uint32]bool), changed: make(map[uint32]struct{})}
}

// OpenStore begins to keep tunnels, with systemd or in r, which is the Store's from here
// on; nil: there is no record. It gives the tunnels that the process before has left, in
// the same boot. They stay in the store until they are released. key is that of
// cookies, unless the process before has left its own: see Key.
func OpenStore(log *logline.Logger, key [16]byte, r *Record) (*Store, Remains) {
	inherited := notify.Inherited()
	systemd, err := notify.OpenStore()
	if err != nil {
		log.Warn("a crash would lose the tunnels: no store for them", "error", err)
	}
	if systemd != nil {
		if r != nil {
			_ = unix.Unlink(r.path)
			r.Close()
		}
		return openStore(log, key, systemd, inherited)
	}
	for _, s := range inherited {
		_ = unix.Close(s.FD)
	}
	if r == nil {
		st := newStore(log)
		st.process.key = key
		return st, nil
	}
	return r.open(log, key)
}

// openStore begins to keep tunnels with systemd, which has handed over what it kept.
func openStore(log *logline.Logger, key [16]byte, systemd *notify.Store, inherited []notify.Stored) (st *Store, left []Left) {
	st = newStore(log)
	st.systemd, st.process = systemd, process{boot: bootID(), key: key}
	for _, s := range inherited {
		id, found := strings.CutPrefix(s.Name, storeTunnel)
		n, err := strconv.ParseUint(id, 10, 16)
		switch {
		case s.Name == storeState && st.file < 0:
			st.file = slots(s.FD)
		case found && err == nil && !st.stored[uint32(n)]:
			st.stored[uint32(n)] = true
			left = append(left, Left{ID: uint32(n), FD: s.FD})
		default:
			_ = unix.Close(s.FD)
		}
	}
	if st.file >= 0 && st.readProcess() {
		for i := range left {
			left[i].read(st.file.read(left[i].ID))
		}
		return st, left
	}
	if st.file >= 0 { // of another boot
		_ = unix.Close(int(st.file))
		st.file = -1
		st.told = append(st.told, message{name: storeState})
	}
	for i := range left {
		_ = unix.Close(left[i].FD)
		st.Release(left[i].ID)
	}
	fd, err := memory("tunneldigger", nil)
	if err != nil {
		log.Warn("a crash would lose the tunnels: no store for them", "error", err)
		_ = systemd.Close()
		st = newStore(log)
		st.process.key = key
		return st, nil
	}
	st.file = slots(fd)
	st.file.write(0, st.process.append(nil))
	st.told = append(st.told, message{name: storeState, fd: fd})
	return st, nil
}

// readProcess takes over what the file says of the process before; false: it is not
// whole, or not of this boot.
func (st *Store) readProcess() bool {
	var p process
	if p.read(st.file.read(0)) != nil || p.boot == "" || p.boot != bootID() {
		return false
	}
	st.process = p
	return true
}

// Recorded reports whether the next process has nothing but a record of the tunnels.
func (st *Store) Recorded() bool { return st.path != "" }

// Alive is when the process before was known to live, which was up to 5 s before
// its end. It says nothing where systemd has the tunnels, or after the first Tick.
func (st *Store) Alive() time.Duration { return st.process.alive }

// Hurry notes that the kernel hurries at this process's wish, or not any more, so that the next one
// can end it if this one can't. It reports what was noted.
func (st *Store) Hurry(on bool) (before bool) {
	before, st.process.hurry = st.process.hurry, on
	if before != on && st.file >= 0 {
		st.file.write(0, st.process.append(nil))
	}
	return before
}

// Key is that of the cookies, which the next process will have as well.
func (st *Store) Key() [16]byte { return st.process.key }

// Keep has the next Tick look at a tunnel, of which there is something else to be kept
// than before, or nothing more.
func (st *Store) Keep(id uint32) {
	if st.file >= 0 {
		st.changed[id] = struct{}{}
	}
}

// Drop forgets the record of a tunnel.
func (st *Store) Drop(id uint32) {
	delete(st.changed, id)
	if st.stored[id] {
		st.file.write(id, nil)
	}
	if st.systemd == nil {
		delete(st.stored, id)
	}
}

// Release has systemd close its copy of a tunnel's socket, which is about to be closed
// here, and forgets the record with it.
func (st *Store) Release(id uint32) {
	if st.systemd == nil || !st.stored[id] {
		return
	}
	st.Drop(id)
	delete(st.stored, id)
	for i := range st.told {
		if m := &st.told[i]; m.tunnel == id {
			m.fd = -1 // it has not been put in, and will not be
		}
	}
	st.told = append(st.told, message{name: tunnelName(id)})
}

// Look gives what is to be kept of a tunnel: the name of its section, what
// broker.Broker.AppendTunnel says of it, and its socket. Without a record nothing is kept
// of it, and nothing new with systemd without a socket.
type Look func(id uint32) (section string, record []byte, fd int)

// Tick writes what has changed and tells systemd what it takes now.
func (st *Store) Tick(now time.Duration, look Look) {
	for id := range st.changed {
		section, tunnel, fd := look(id)
		if len(tunnel) == 0 && st.stored[id] {
			st.Drop(id)
		}
		if len(tunnel) == 0 || st.systemd != nil && fd < 0 {
			continue
		}
		record := tlv.AppendString(nil, tagStoredSection, section)
		if !st.file.write(id, tlv.AppendBytes(record, tagStoredTunnel, tunnel)) || st.stored[id] {
			continue
		}
		st.stored[id] = true
		if st.systemd != nil {
			st.told = append(st.told, message{name: tunnelName(id), tunnel: id, fd: fd})
		}
	}
	clear(st.changed)
	if at, due := st.stampDue(); due && now >= at {
		st.process.alive = now
		st.file.write(0, st.process.append(nil))
	}
	st.tell(now)
}

// stampDue is when a record is to be told that its process lives: every few seconds
// while there are tunnels, and once when it has lived for long enough.
func (st *Store) stampDue() (time.Duration, bool) {
	switch {
	case st.path == "":
		return 0, false
	case len(st.stored) > 0:
		return st.process.alive + stampGap, true
	}
	return st.process.began + steady, st.process.alive < st.process.began+steady
}

// Due is when Tick is to be called although nothing has changed, false: no need to.
func (st *Store) Due() (time.Duration, bool) {
	if st.retryAt != 0 {
		return st.retryAt, true
	}
	return st.stampDue()
}

// Close empties the store at an orderly end.
func (st *Store) Close(now time.Duration) {
	if st.path != "" {
		_ = unix.Unlink(st.path)
		_ = unix.Close(int(st.file))
	}
	if st.systemd == nil {
		return
	}
	for id := range st.stored {
		st.Release(id)
	}
	st.told = append(st.told, message{name: storeState})
	for try := 0; try < 100 && len(st.told) > 0; try++ {
		if st.tell(now); len(st.told) > 0 && st.retryAt != 0 {
			poll.Nap(10 * time.Millisecond)
		}
	}
	_ = st.systemd.Close()
	_ = unix.Close(int(st.file))
}
