package survive

import (
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

func text(records [][]byte) (all []string) {
	for _, r := range records {
		all = append(all, string(r))
	}
	return all
}

// What has a descriptor is adopted by its section, the rest made again by it or lost; each counts once, and what ends is forgotten.
func TestRemains(t *testing.T) {
	m := newManager(t)
	st, _ := m.open([16]byte{1})
	keep := book{}
	for id := range uint32(10) {
		keep[100+id] = socket(t)
		st.Keep(100 + id)
	}
	st.Tick(0, keep.look)
	device, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	dup := func() int {
		fd, err := unix.Dup(socket(t))
		if err != nil {
			t.Fatal(err)
		}
		return fd
	}
	last, more := dup(), dup()
	r := Remains{
		{ID: 100, Section: "wan", Record: []byte("a"), FD: dup()}, {ID: 101, Section: "wan", Record: []byte("b"), FD: device},
		{ID: 102, Section: "gone", Record: []byte("c"), FD: last}, {ID: 103, Section: "wan", Record: []byte("d"), FD: -1},
		{ID: 104, Section: "wan", Record: []byte("e"), FD: -1}, {ID: 105, Section: "lan", Record: []byte("f"), FD: -1},
		{ID: 106, Section: "gone", Record: []byte("g"), FD: -1}, {ID: 107, FD: -1},
		{ID: 108, Section: "lan", Record: []byte("h"), FD: more},
	}
	if got := text(r.Adoptable("wan")); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("to be adopted %q", got)
	}
	fd := r.Take(100, true)
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || r.Take(100, true) >= 0 {
		t.Errorf("descriptor %d: %v", fd, err)
	}
	unix.Close(fd)
	if r.Take(101, true) >= 0 || r.Take(103, true) >= 0 || r.Take(999, true) >= 0 {
		t.Error("what is no socket was taken for one")
	}
	if r.Close(st); r.Kept() != 1 {
		t.Errorf("%d were kept", r.Kept())
	}
	for _, fd := range []int{device, last} {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != unix.EBADF {
			t.Errorf("what nobody took is open: %v", err)
		}
	}
	for section, want := range map[string][]string{"wan": {"d", "e"}, "lan": {"f", "h"}} {
		if got := text(r.Records(section)); !slices.Equal(got, want) {
			t.Errorf("to be made again in %s: %q, want %q", section, got, want)
		}
	}
	r.Lose([]uint32{104}, LostMisfit)
	r.Lose([]uint32{105}, LostOld)
	if lost := r.Forget(st); lost != [LossCount]int{LostSection: 2, LostDamaged: 1, LostMisfit: 2, LostOld: 1} {
		t.Errorf("lost %v", lost)
	}
	for id := range uint32(10) {
		ends := slices.Contains([]uint32{101, 102, 104, 105, 106, 107, 108}, 100+id)
		if forgotten := len(st.file.read(100+id)) == 0; forgotten != ends {
			t.Errorf("tunnel %d: forgotten %v", 100+id, forgotten)
		}
	}
}
