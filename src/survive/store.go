package survive

import (
	"os"
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
)

// Store keeps tunnels for the next process in case this one crashes: their sockets
// with systemd, and in a file in memory, whose descriptor is there, too, a record for
// each. A tunnel in the store ends when systemd has closed its copy of the socket.
// Nothing is kept where there is no systemd. It is not safe for concurrent use.
type Store struct {
	log     *logline.Logger
	systemd *notify.Store // nil: nothing is kept
	file    slots
	key     [16]byte
	stored  map[uint32]bool     // tunnels of which systemd has a copy of the socket, or will have
	changed map[uint32]struct{} // tunnels whose records are to be written
	told    []message           // what systemd is to be told, in order
	retryAt time.Duration
	failed  bool // that systemd's store fails has been said
}

// Left is a tunnel that a process has left which ended without a word. Record is nil
// when it was not whole.
type Left struct {
	ID      uint32
	Section string
	Record  []byte // of broker.Broker.AppendTunnel
	FD      int    // the tunnel's socket, the caller's from here on
}

// newStore makes a Store that keeps nothing.
func newStore(log *logline.Logger) *Store {
	return &Store{log: log, file: -1, stored: make(map[uint32]bool), changed: make(map[uint32]struct{})}
}

// OpenStore begins to keep tunnels, and gives those that the process before has left,
// in the same boot. They stay in the store until they are released. key is that of
// cookies, unless the process before has left its own: see Key.
func OpenStore(log *logline.Logger, key [16]byte) (*Store, []Left) {
	return openStore(log, key, notify.Inherited())
}

func openStore(log *logline.Logger, key [16]byte, inherited []notify.Stored) (st *Store, left []Left) {
	st = newStore(log)
	st.key = key
	systemd, err := notify.OpenStore()
	if err != nil {
		log.Warn("a crash would lose the tunnels: no store for them", "error", err)
	}
	for _, s := range inherited {
		id, found := strings.CutPrefix(s.Name, storeTunnel)
		n, err := strconv.ParseUint(id, 10, 16)
		switch {
		case systemd != nil && s.Name == storeState && st.file < 0:
			st.file = slots(s.FD)
		case systemd != nil && found && err == nil && !st.stored[uint32(n)]:
			st.stored[uint32(n)] = true
			left = append(left, Left{ID: uint32(n), FD: s.FD})
		default:
			_ = unix.Close(s.FD)
		}
	}
	if systemd == nil {
		return st, nil
	}
	st.systemd = systemd
	if st.file >= 0 && st.readProcess() {
		for i := range left {
			st.readTunnel(&left[i])
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
		return newStore(log), nil
	}
	st.file = slots(fd)
	record := tlv.AppendString(nil, tagStoredBoot, bootID())
	st.file.write(0, tlv.AppendBytes(record, tagStoredKey, st.key[:]))
	st.told = append(st.told, message{name: storeState, fd: fd})
	return st, nil
}

// readProcess takes over the cookie key of the process before; false: the file is not
// of this boot.
func (st *Store) readProcess() bool {
	key, boot := st.key, ""
	f := tlv.Read(st.file.read(0))
	for f.Next() {
		switch f.Tag() {
		case tagStoredBoot:
			boot = f.String()
		case tagStoredKey:
			copy(key[:], f.Bytes())
		}
	}
	if f.Err() != nil || boot == "" || boot != bootID() {
		return false
	}
	st.key = key
	return true
}

// readTunnel reads what the file has of a tunnel.
func (st *Store) readTunnel(l *Left) {
	f := tlv.Read(st.file.read(l.ID))
	for f.Next() {
		switch f.Tag() {
		case tagStoredSection:
			l.Section = f.String()
		case tagStoredTunnel:
			l.Record = f.Bytes()
		}
	}
	if f.Err() != nil {
		l.Section, l.Record = "", nil
	}
}

func bootID() string {
	text, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(text))
}

// Key is that of the cookies, which the next process will have as well.
func (st *Store) Key() [16]byte { return st.key }

// Keep has a tunnel's record written by the next Tick.
func (st *Store) Keep(id uint32) {
	if st.systemd != nil {
		st.changed[id] = struct{}{}
	}
}

// Drop empties the record of a tunnel that is being closed: its client knows.
func (st *Store) Drop(id uint32) {
	if st.stored[id] {
		st.file.write(id, nil)
	}
}

// Release has systemd close its copy of a tunnel's socket, which is about to be closed
// here. Another tunnel may have the ID after that.
func (st *Store) Release(id uint32) {
	delete(st.changed, id)
	if !st.stored[id] {
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
// broker.Broker.AppendTunnel says of it, and its socket. Without a record it is not
// kept now.
type Look func(id uint32) (section string, record []byte, fd int)

// Tick writes what has changed and tells systemd what it takes now.
func (st *Store) Tick(now time.Duration, look Look) {
	for id := range st.changed {
		section, tunnel, fd := look(id)
		if len(tunnel) == 0 || fd < 0 {
			continue
		}
		record := tlv.AppendString(nil, tagStoredSection, section)
		if st.file.write(id, tlv.AppendBytes(record, tagStoredTunnel, tunnel)) && !st.stored[id] {
			st.stored[id] = true
			st.told = append(st.told, message{name: tunnelName(id), tunnel: id, fd: fd})
		}
	}
	clear(st.changed)
	st.tell(now)
}

// Due is when Tick is to be called although nothing has changed, false: no need to.
func (st *Store) Due() (time.Duration, bool) { return st.retryAt, st.retryAt != 0 }

// Close empties the store at an orderly end.
func (st *Store) Close(now time.Duration) {
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
