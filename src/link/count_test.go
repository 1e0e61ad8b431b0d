package link

import (
	"errors"
	"testing"

	"golang.org/x/sys/unix"

	"tunneldigger/src/nl"
)

func TestReceived(t *testing.T) {
	counters := make([]byte, 24*8)
	nl.Host.PutUint64(counters, 1<<40)
	var add func(m *nl.Message)
	c := &Conn{nl: nl.Fake(func(r []byte) []any {
		if kind, index := nl.Host.Uint16(r[4:]), nl.Host.Uint32(r[20:]); kind != unix.RTM_GETLINK || index != 7 {
			t.Errorf("asked for %d of %d", kind, index)
		}
		if add == nil {
			return []any{nl.Ack(r, unix.ENODEV, "")}
		}
		return []any{nl.Reply(r, unix.RTM_NEWLINK, 0, body(0, 7, 0, add)...), nl.Ack(r, 0, "")}
	})}
	if _, err := c.Received(7); !errors.Is(err, unix.ENODEV) {
		t.Errorf("no interface: %v", err)
	}
	add = func(m *nl.Message) { m.Data(unix.IFLA_STATS64, counters) }
	if n, err := c.Received(7); n != 1<<40 || err != nil {
		t.Errorf("got %d, %v", n, err)
	}
	add = func(m *nl.Message) { m.Data(unix.IFLA_STATS64, counters[:4]) }
	if _, err := c.Received(7); !errors.Is(err, nl.ErrMalformed) {
		t.Errorf("cut off: %v", err)
	}
}
