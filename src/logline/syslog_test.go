package logline

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// listener is a syslog that takes what it is asked for.
func listener(t *testing.T, path string) *net.UnixConn {
	t.Helper()
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func heard(t *testing.T, c *net.UnixConn) string {
	t.Helper()
	buffer := make([]byte, 4096)
	c.SetReadDeadline(time.Now().Add(10 * time.Second))
	n, err := c.Read(buffer)
	if err != nil {
		t.Fatal(err)
	}
	return string(buffer[:n])
}

// Each level has its severity; without a syslog lines go elsewhere, and to the next one
// that comes.
func TestSyslog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	var other strings.Builder
	log := New(&Syslog{Path: path, Name: "broker", Else: &other}, Debug, true)
	log.Info("before")
	log.Error("it broke", "line", "a\nb")
	if got := other.String(); got != "info: before\nerror: it broke line=\"a\\nb\"\n" {
		t.Errorf("without a syslog: %q", got)
	}
	other.Reset()
	for range 2 { // it is started anew
		c := listener(t, path)
		log.Debug("d")
		log.Info("i")
		log.Warn("w")
		log.Error("e", "n", 1)
		for _, want := range []string{"<31>broker[%d]: debug: d", "<30>broker[%d]: info: i", "<28>broker[%d]: warning: w", "<27>broker[%d]: error: e n=1"} {
			if want, got := fmt.Sprintf(want, os.Getpid()), heard(t, c); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		}
		c.Close()
		os.Remove(path)
	}
	log.Warn("after")
	if got := other.String(); got != "warning: after\n" {
		t.Errorf("elsewhere: %q", got)
	}
}

// A syslog that takes nothing costs one wait, and lines are counted.
func TestSyslogThatIsBehind(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	c := listener(t, path)
	s := &Syslog{Path: path, Name: "broker"}
	log := New(s, Debug, true)
	sent := 0
	for ; s.lost == 0 && sent < 100_000; sent++ {
		log.Info("line")
	}
	log.Info("another")
	if s.lost != 2 {
		t.Fatalf("%d lines lost after %d", s.lost, sent+1)
	}
	for range sent - 1 {
		heard(t, c)
	}
	log.Info("taken")
	if got := heard(t, c); !strings.HasSuffix(got, "info: taken") {
		t.Errorf("got %q", got)
	}
	if got := heard(t, c); !strings.HasPrefix(got, "<28>") || !strings.HasSuffix(got, "count=2") {
		t.Errorf("got %q", got)
	}
}
