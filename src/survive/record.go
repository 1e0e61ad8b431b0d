package survive

import (
	"errors"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"tunneldigger/src/clock"
	"tunneldigger/src/files"
	"tunneldigger/src/logline"
	"tunneldigger/src/notify"
	"tunneldigger/src/phrase"
	"tunneldigger/src/tlv"
)

const (
	// steady is how long a process has to live so that its end says nothing about the
	// next one's.
	steady = time.Minute
	// longestPause is what a start waits at most.
	longestPause = 30 * time.Second
)

// Record is the file beside the socket for commands in which a Store keeps its
// records where there is no systemd. Who has it open has it locked.
type Record struct {
	file    slots
	path    string
	process process // as the file has it
	left    bool    // by a process of this boot that ended without a word
	why     string  // what the process before has left is thrown away, "": it is not
}

// process is the record of a process. Times are since boot.
type process struct {
	_     [0]func() // not to be compared: that would be code for nothing
	boot  string
	key   [16]byte // of cookies
	alive time.Duration
	began time.Duration
	short int  // processes before it, in a row, that lived for less than steady
	hurry bool // the kernel hurries at its wish, see Store.Hurry
}

// RecordPath is where the broker whose socket for commands is at a path has its
// record, "" where there is no socket.
func RecordPath(socket string) string {
	if socket == "" {
		return ""
	}
	return strings.TrimSuffix(socket, ".sock") + ".state"
}

// Begin opens the record of the broker with this socket for commands; nil without an
// error where there is no need for one, as systemd keeps the tunnels, or no socket.
func Begin(socket string) (*Record, error) {
	path := RecordPath(socket)
	if path == "" || notify.HasStore() {
		return nil, nil
	}
	return OpenRecord(path)
}

// OpenRecord opens the record at a path, or makes it, mode 0600, and writes down that
// a process begins; an orderly end removes it, see Store.Close. The error says in words
// why there is none.
func OpenRecord(path string) (*Record, error) {
	r := &Record{path: path}
	for {
		fd, err := unix.Open(path, unix.O_RDWR|unix.O_CREAT|unix.O_NOFOLLOW|unix.O_CLOEXEC|unix.O_NONBLOCK, 0o600)
		if err != nil {
			return nil, phrase.Errorf("%s: %w", path, err)
		}
		same, err := lock(fd, path)
		if err == nil && same {
			r.file = slots(fd)
			break
		}
		unix.Close(fd)
		if err != nil {
			return nil, phrase.Errorf("%s: %w", path, err)
		}
	}
	now, text := clock.SinceBoot(), r.file.read(0)
	switch {
	case text == nil && r.file.empty():
	case text == nil || r.process.read(text) != nil:
		r.why = "it is damaged"
	case r.process.boot != bootID():
		r.why = "it is of another boot"
	default:
		r.left = true
		if r.process.alive-r.process.began < steady {
			r.process.short++
		} else {
			r.process.short = 0
		}
	}
	if !r.left {
		if err := r.empty(); err != nil {
			unix.Close(int(r.file))
			return nil, phrase.Errorf("%s: %w", path, err)
		}
	}
	r.process.began = now
	r.file.write(0, r.process.append(nil))
	return r, nil
}

var errOthers = errors.New("it is not a file of this user, or another broker has it")

// How long a lock that somebody else has is waited for.
const (
	lockTries = 20
	lockGap   = 25 * time.Millisecond
)

// lock locks a file; it reports whether that is still the one at the path.
func lock(fd int, path string) (same bool, err error) {
	var st, at unix.Stat_t
	switch err := unix.Fstat(fd, &st); {
	case err != nil:
		return false, err
	case st.Mode&unix.S_IFMT != unix.S_IFREG || int(st.Uid) != os.Geteuid():
		return false, errOthers
	}
	err = unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB)
	// A hook that was just being started when its broker was killed has the lock until it is a program of its own.
	for try := 0; err == unix.EWOULDBLOCK && try < lockTries; try++ {
		time.Sleep(lockGap)
		err = unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB)
	}
	switch {
	case err == unix.EWOULDBLOCK:
		return false, errOthers
	case err != nil:
		return false, err
	}
	// Its owner may have removed it since it was opened.
	same = unix.Lstat(path, &at) == nil && at.Ino == st.Ino && at.Dev == st.Dev
	return same, unix.Fchmod(fd, 0o600)
}

// empty begins the file anew.
func (r *Record) empty() error {
	r.left, r.process = false, process{boot: bootID()}
	return unix.Ftruncate(int(r.file), 0)
}

// open begins to keep tunnels in a record.
func (r *Record) open(log *logline.Logger, key [16]byte) (st *Store, left []Left) {
	st = newStore(log)
	st.file, st.path, st.process = r.file, r.path, r.process
	if r.why != "" {
		log.Warn("the record of tunnels is thrown away", "file", r.path, "error", r.why)
	}
	if !r.left || st.process.key == [16]byte{} {
		st.process.key = key
	}
	if r.left {
		st.file.each(func(id uint32, record []byte) {
			l := Left{ID: id, FD: -1}
			l.read(record)
			left = append(left, l)
			st.stored[id] = true
		})
	}
	st.file.write(0, st.process.append(nil))
	return st, left
}

// Pause is how long this process should wait before it does anything: nothing, unless
// the last ones have died within a minute, and longer with each.
func (r *Record) Pause() time.Duration {
	if r.process.short < 2 {
		return 0
	}
	return min(time.Second<<min(r.process.short-2, 10), longestPause)
}

// Close leaves the record to the next process.
func (r *Record) Close() { _ = unix.Close(int(r.file)) }

func (p *process) append(dst []byte) []byte {
	dst = tlv.AppendString(dst, tagStoredBoot, p.boot)
	dst = tlv.AppendBytes(dst, tagStoredKey, p.key[:])
	dst = tlv.AppendTime(dst, tagStoredAlive, p.alive)
	dst = tlv.AppendTime(dst, tagStoredBegan, p.began)
	dst = tlv.AppendUint(dst, tagStoredShort, uint64(p.short))
	return tlv.AppendBool(dst, tagStoredHurry, p.hurry)
}

func (p *process) read(record []byte) error {
	f := tlv.Read(record)
	for f.Next() {
		switch f.Tag() {
		case tagStoredBoot:
			p.boot = f.String()
		case tagStoredKey:
			copy(p.key[:], f.Bytes())
		case tagStoredAlive:
			p.alive = f.Time()
		case tagStoredBegan:
			p.began = f.Time()
		case tagStoredHurry:
			p.hurry = f.Bool()
		case tagStoredShort:
			p.short = int(f.Uint16())
		}
	}
	return f.Err()
}

func bootID() string {
	text, _ := files.Read("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(text)
}
