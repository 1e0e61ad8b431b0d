package survive

import (
	"errors"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"tunneldigger/src/logline"
	"tunneldigger/src/notify"
)

const (
	storePerTry = 64 // messages to systemd in a turn
	storeRetry  = 50 * time.Millisecond
)

// message is one to systemd: to put a descriptor in or, without one, take out all of
// the name.
type message struct {
	name   string
	tunnel uint32 // whose socket is put in, 0: the file
	fd     int    // 0: none, take out; -1: it was closed since
}

func tunnelName(id uint32) string { return storeTunnel + strconv.Itoa(int(id)) }

// tell tells systemd what it takes now; the rest has to wait.
func (st *Store) tell(now time.Duration) {
	st.retryAt = 0
	for n := 0; len(st.told) > 0; n++ {
		m := &st.told[0]
		var err error
		switch {
		case m.fd > 0:
			err = st.systemd.Add(m.name, m.fd)
		case m.fd == 0:
			err = st.systemd.Remove(m.name)
		}
		if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.ENOBUFS) || n == storePerTry {
			st.retryAt = now + storeRetry
			return
		}
		if err != nil && !st.failed {
			st.log.Warn("systemd's store fails: a crash would lose tunnels", "name", m.name, "error", err)
		}
		st.failed = err != nil
		st.told[0] = message{}
		st.told = st.told[1:]
	}
	st.told = nil
}

// Write puts into a State what the next program needs to go on with this Store, and
// is called before tunnels are. What systemd has not been given yet that one gives it.
func (st *Store) Write(now time.Duration, s *State, look Look) {
	if s.Store = int(st.file); st.file < 0 {
		return
	}
	st.Tick(now, look)
	for i := range st.told {
		switch m := &st.told[i]; {
		case m.fd == 0:
			s.Remove = append(s.Remove, m.name)
		case m.tunnel != 0 && m.fd > 0:
			delete(st.stored, m.tunnel)
			st.changed[m.tunnel] = struct{}{} // should there be no next program
			m.fd = -1
		}
	}
}

// Stored reports whether a tunnel has a record and, with systemd, a copy of its socket
// there.
func (st *Store) Stored(id uint32) bool { return st.stored[id] }

// ResumeStore goes on with the store of the program before, which without systemd is
// the record at path, "" for none; of what that had not put in yet Keep is to be told.
func ResumeStore(log *logline.Logger, s *State, path string) *Store {
	st := newStore(log)
	systemd, err := notify.OpenStore()
	switch {
	case s.Store >= 0 && (systemd != nil || path != ""):
		unix.CloseOnExec(s.Store)
		st.systemd, st.file = systemd, slots(s.Store)
		if systemd == nil {
			st.path = path
		}
		st.readProcess()
		for i := range s.Tunnels {
			if t := &s.Tunnels[i]; t.Stored {
				st.stored[t.ID] = true
			}
		}
		for _, name := range s.Remove {
			st.told = append(st.told, message{name: name})
		}
	case s.Store >= 0:
		_ = unix.Close(s.Store)
		log.Warn("a crash would lose the tunnels: the store for them is gone", "error", err)
	case systemd != nil: // the program before had none
		_ = systemd.Close()
	case path != "": // version 1.0 had none
		if r, err := OpenRecord(path); err != nil {
			log.Warn("a crash would lose the tunnels: no record of them", "error", err)
		} else if err = r.empty(); err == nil {
			st, _ = r.open(log, s.Key)
		}
	}
	st.process.key = s.Key
	return st
}
