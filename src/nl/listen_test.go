package nl

import (
	"errors"
	"testing"

	"golang.org/x/sys/unix"
)

func TestListener(t *testing.T) {
	queue := make(chan any, 2*readsPerCall)
	l := FakeListener(queue)
	note := func(kind uint16) []byte { return Reply(make([]byte, headerLen), kind, 0) }
	seen := 0
	read := func() error {
		seen = 0
		return l.Read(func(h Header, _ []byte) { seen++ })
	}
	queue <- append(note(0x10), note(0x11)...)
	queue <- unix.ENOBUFS
	queue <- append(note(0x12), note(unix.NLMSG_NOOP)...)
	if err := read(); seen != 3 || !errors.Is(err, ErrOverrun) {
		t.Errorf("%d seen, %v", seen, err)
	}
	for range readsPerCall + 1 {
		queue <- note(0x10)
	}
	if err := read(); seen != readsPerCall || err != nil {
		t.Errorf("%d seen, %v", seen, err)
	}
	if err := read(); seen != 1 || err != nil {
		t.Errorf("%d seen after the limit, %v", seen, err)
	}
	queue <- note(0x10)[:12]
	if err := read(); !errors.Is(err, ErrMalformed) {
		t.Errorf("cut short: %v", err)
	}
}
