package survive

import (
	"bytes"
	"maps"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tunneldigger/src/logline"
	"tunneldigger/src/notify"
)

// manager plays systemd: it keeps what it is told to keep once it is asked to read.
type manager struct {
	*testing.T
	conn  *net.UnixConn
	kept  map[string]int
	twice []string // names that were put in while they were there
}

func newManager(t *testing.T) *manager {
	t.Helper()
	path := t.TempDir() + "/notify"
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("NOTIFY_SOCKET", path)
	t.Setenv("FDSTORE", "100")
	m := &manager{t, conn, make(map[string]int), nil}
	t.Cleanup(func() {
		conn.Close()
		for _, fd := range m.kept {
			unix.Close(fd)
		}
	})
	return m
}

// read takes in what it was told so far, and gives the names of all that it keeps.
func (m *manager) read() []string {
	m.Helper()
	message, control := make([]byte, 4096), make([]byte, 4096)
	for m.conn.SetReadDeadline(time.Now().Add(20 * time.Millisecond)); ; {
		n, c, _, _, err := m.conn.ReadMsgUnix(message, control)
		if err != nil {
			return slices.Sorted(maps.Keys(m.kept))
		}
		_, name, _ := strings.Cut(string(message[:n]), "FDNAME=")
		fd, there := m.kept[name]
		if strings.HasPrefix(string(message[:n]), "FDSTOREREMOVE=1") {
			if there {
				unix.Close(fd)
			}
			delete(m.kept, name)
			continue
		}
		if there {
			m.twice = append(m.twice, name)
		}
		messages, err := unix.ParseSocketControlMessage(control[:c])
		if err != nil || len(messages) != 1 {
			m.Fatal(err, len(messages))
		}
		fds, err := unix.ParseUnixRights(&messages[0])
		if err != nil || len(fds) != 1 {
			m.Fatal(err, fds)
		}
		m.kept[name] = fds[0]
	}
}

func (m *manager) want(names ...string) {
	m.Helper()
	if got := m.read(); !slices.Equal(got, names) {
		m.Errorf("systemd keeps %q, want %q", got, names)
	}
}

// open opens a store with what systemd hands over.
func (m *manager) open(key [16]byte, list ...notify.Stored) (*Store, []Left) {
	m.Helper()
	systemd, err := notify.OpenStore()
	if err != nil || systemd == nil {
		m.Fatal(systemd, err)
	}
	return openStore(quiet, key, systemd, list)
}

// hand opens a store as the process after a crash does, which systemd gave copies of what it keeps.
func (m *manager) hand() (*Store, []Left) {
	m.Helper()
	var list []notify.Stored
	for _, name := range m.read() {
		fd, err := unix.FcntlInt(uintptr(m.kept[name]), unix.F_DUPFD_CLOEXEC, 3)
		if err != nil {
			m.Fatal(err)
		}
		list = append(list, notify.Stored{Name: name, FD: fd})
	}
	return m.open([16]byte{9}, list...)
}

// socket is any descriptor.
func socket(t *testing.T) int {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}

var quiet = logline.New(new(bytes.Buffer), logline.Error, false)

// book is what there is to be kept, by tunnel.
type book map[uint32]int

func (b book) look(id uint32) (string, []byte, int) {
	if fd, there := b[id]; there {
		return "wan", []byte{1, 1, byte(id)}, fd
	}
	return "", nil, -1
}

// What was kept comes back after a crash, with the cookies' key; what was dropped, released, or damaged does not.
func TestStoreThroughACrash(t *testing.T) {
	m := newManager(t)
	st, left := m.open([16]byte{1})
	if len(left) != 0 || st.Key() != [16]byte{1} {
		t.Errorf("left %v, key %v", left, st.Key())
	}
	tunnels := book{100: socket(t), 101: socket(t), 102: socket(t), 103: socket(t)}
	for id := range tunnels {
		st.Keep(id)
	}
	st.Keep(104) // has gone since
	st.Tick(0, tunnels.look)
	m.want("state", "tunnel-100", "tunnel-101", "tunnel-102", "tunnel-103")
	st.Keep(100)
	st.Tick(0, tunnels.look) // a record alone
	st.Drop(101)             // its client was told
	st.Release(102)
	st.Keep(102)
	st.Tick(0, tunnels.look) // another tunnel of the same ID
	st.Release(103)
	st.Tick(0, tunnels.look)
	m.want("state", "tunnel-100", "tunnel-101", "tunnel-102")
	if len(m.twice) != 0 {
		t.Errorf("put in twice: %q", m.twice)
	}

	next, left := m.hand()
	if next.Key() != [16]byte{1} {
		t.Errorf("the key of cookies is %v", next.Key())
	}
	whole := make(map[uint32]byte)
	for i := range left {
		l := &left[i]
		if l.Section == "wan" {
			whole[l.ID] = l.Record[2]
		}
		unix.Close(l.FD)
	}
	if want := map[uint32]byte{100: 100, 102: 102}; len(left) != 3 || !maps.Equal(whole, want) {
		t.Errorf("%d are left, whole are %v, want %v", len(left), whole, want)
	}
	for i := range left {
		next.Release(left[i].ID)
	}
	next.Tick(0, tunnels.look)
	m.want("state")
	next.Close(0)
	m.want()

	// A file of another boot is nobody's.
	st, _ = m.open([16]byte{1})
	st.Keep(100)
	st.Tick(0, tunnels.look)
	st.file.write(0, []byte("damaged"))
	m.want("state", "tunnel-100")
	next, left = m.hand()
	if len(left) != 0 || next.Key() != [16]byte{9} {
		t.Errorf("left %v, key %v", left, next.Key())
	}
	next.Keep(101)
	next.Tick(0, tunnels.look)
	m.want("state", "tunnel-101")
}

// A systemd that does not read makes nobody wait; a socket that was closed meanwhile is not put in.
func TestStoreWaitsForSystemd(t *testing.T) {
	m := newManager(t)
	st, _ := m.open([16]byte{1})
	tunnels := make(book)
	for id := uint32(1); id <= 3*storePerTry; id++ {
		tunnels[id] = socket(t)
		st.Keep(id)
	}
	now := time.Duration(0)
	st.Tick(now, tunnels.look)
	if at, ok := st.Due(); !ok || at != storeRetry {
		t.Fatalf("due %v, %v", at, ok)
	}
	waiting := len(st.told)
	for id := range tunnels {
		if len(m.kept) == 0 && id%2 == 1 {
			st.Release(id)
			delete(tunnels, id)
		}
	}
	if waiting == 0 {
		t.Fatal("nobody waits")
	}
	want := []string{"state"}
	for id := range tunnels {
		want = append(want, tunnelName(id))
	}
	slices.Sort(want)
	for tries := 0; ; tries++ {
		at, ok := st.Due()
		if !ok {
			break
		}
		if tries > 1000 {
			t.Fatal("it never ends")
		}
		now = at
		m.read()
		st.Tick(now, tunnels.look)
	}
	m.want(want...)
}

// A store goes through an upgrade, also with what systemd had not been told yet.
func TestStoreThroughAnUpgrade(t *testing.T) {
	m := newManager(t)
	st, _ := m.open([16]byte{1})
	tunnels := make(book)
	for id := uint32(1); id <= 2*storePerTry; id++ {
		tunnels[id] = socket(t)
		st.Keep(id)
	}
	st.Tick(0, tunnels.look)
	m.read()
	st.Release(1)
	delete(tunnels, 1)
	s := &State{Key: st.Key()}
	st.Write(0, s, tunnels.look)
	for id := range tunnels {
		s.Tunnels = append(s.Tunnels, Tunnel{ID: id, Stored: st.Stored(id)})
	}
	next := ResumeStore(quiet, s, "")
	if next.Key() != [16]byte{1} {
		t.Errorf("the key of cookies is %v", next.Key())
	}
	for id := range tunnels {
		if !next.Stored(id) {
			next.Keep(id)
		}
	}
	for now := time.Duration(0); ; {
		next.Tick(now, tunnels.look)
		m.read()
		at, ok := next.Due()
		if !ok {
			break
		}
		now = at
	}
	want := []string{"state"}
	for id := range tunnels {
		want = append(want, tunnelName(id))
	}
	slices.Sort(want)
	m.want(want...)
	if len(m.twice) != 0 {
		t.Errorf("put in twice: %q", m.twice)
	}
	// Without systemd nothing is kept, and the file is closed.
	t.Setenv("FDSTORE", "")
	s.Store = socket(t)
	if none := ResumeStore(quiet, s, ""); none.file != -1 || none.Stored(2) {
		t.Error("a store without systemd")
	}
	if none, left := OpenStore(quiet, [16]byte{1}, nil); len(left) != 0 || none.file != -1 || none.Key() != [16]byte{1} {
		t.Error("a store without systemd")
	}
}

// A record that does not fit, or was cut or changed, is none.
func TestSlots(t *testing.T) {
	fd, err := memory("test", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	f := slots(fd)
	long := bytes.Repeat([]byte{7}, slotSize-slotHead)
	if f.write(5, append(long, 7)) || f.read(5) != nil {
		t.Error("a record that is too long is there")
	}
	if !f.write(5, long) || !f.write(6, []byte("six")) || !bytes.Equal(f.read(5), long) || string(f.read(6)) != "six" {
		t.Error("read something else")
	}
	if f.read(4) != nil || f.read(7) != nil {
		t.Error("a record that nobody wrote")
	}
	if f.write(5, nil); f.read(5) != nil || string(f.read(6)) != "six" {
		t.Error("it was not emptied, or more than that")
	}
	for at := range int64(slotHead + 3) {
		var b [1]byte
		if _, err := unix.Pread(fd, b[:], 6*slotSize+at); err != nil {
			t.Fatal(err)
		}
		b[0] ^= 0x10
		if _, err := unix.Pwrite(fd, b[:], 6*slotSize+at); err != nil {
			t.Fatal(err)
		}
		if f.read(6) != nil {
			t.Errorf("byte %d is another and nobody sees it", at)
		}
		b[0] ^= 0x10
		if _, err := unix.Pwrite(fd, b[:], 6*slotSize+at); err != nil {
			t.Fatal(err)
		}
	}
	if slots(-1).write(1, nil) || slots(-1).read(1) != nil {
		t.Error("without a file")
	}
}
