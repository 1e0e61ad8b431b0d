package probe

import (
	"errors"
	"net"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"tunneldigger/src/wire"
)

// answer serves one broker on loopback until the test ends; f makes the answer
// to each message, nil: none.
func answer(t *testing.T, f func(m wire.Message) []byte) string {
	t.Helper()
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	go func() {
		buffer := make([]byte, 2048)
		for {
			n, from, err := c.ReadFromUDP(buffer)
			if err != nil {
				return
			}
			if m, err := wire.Parse(buffer[:n]); err == nil {
				_, _ = c.WriteToUDP([]byte("noise"), from)
				_, _ = c.WriteToUDP(f(m), from)
			}
		}
	}()
	return c.LocalAddr().String()
}

func good(load uint16, tunnel []byte) func(wire.Message) []byte {
	return func(m wire.Message) []byte {
		switch m.Type {
		case wire.TypeUsage:
			return wire.AppendUsage(nil, load)
		case wire.TypeCookie:
			return wire.AppendCookie(nil, [8]byte{1, 2, 3, 4, 5, 6, 7, 8})
		case wire.TypePrepare:
			return tunnel
		}
		return nil
	}
}

func TestRun(t *testing.T) {
	for _, c := range []struct {
		name, uuid string
		broker     func(wire.Message) []byte
		out        []string
		fault      string
	}{
		{"without set-up", "", good(6553, nil), []string{"usage   9 % (6553 of 65535)", "cookie  0102030405060708"}, ""},
		{"full", "", good(65535, nil), []string{"100 %", "it takes no new tunnels"}, ""},
		{"set-up", "abc", good(0, wire.AppendTunnel(nil, 105, wire.UniqueSessionID)), []string{"tunnel  ID 105, unique session IDs"}, ""},
		{"old broker", "abc", good(0, wire.AppendTunnel(nil, 105, 0)), []string{"session ID 1,"}, ""},
		{"refused", "abc", good(0, wire.AppendError(nil)), []string{"cookie"}, "the broker refused it"},
		{"not a UUID", "a b", nil, nil, `UUID "a b": want`},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out strings.Builder
			err := Run(&out, answer(t, c.broker), c.uuid)
			if (err != nil) != (c.fault != "") || err != nil && !strings.Contains(err.Error(), c.fault) {
				t.Errorf("got %v, want %q", err, c.fault)
			}
			for _, want := range c.out {
				if !strings.Contains(out.String(), want) {
					t.Errorf("no %q in\n%s", want, out.String())
				}
			}
		})
	}
}

func TestNobodyThere(t *testing.T) {
	if err := Run(new(strings.Builder), "127.0.0.1:1", ""); !errors.Is(err, unix.ECONNREFUSED) {
		t.Errorf("got %v", err)
	}
	if err := Run(new(strings.Builder), "127.0.0.1:0", ""); err == nil {
		t.Error("port 0 was taken")
	}
}
