package journal

import (
	"strings"
	"testing"
	"time"

	"tunneldigger/src/logline"
)

func TestLimitedLog(t *testing.T) {
	var out strings.Builder
	l := limited{log: logline.New(&out, logline.Debug, false), kinds: make(map[string]*kindLines)}
	count := func(n int, allow func() bool) (allowed int) {
		for range n {
			if allow() {
				allowed++
			}
		}
		return allowed
	}
	const now = 100 * time.Second
	for name, c := range map[string]struct {
		allow func() bool
		want  int
	}{
		"a":           {func() bool { return l.allow(now, "a") }, burst},
		"b":           {func() bool { return l.allow(now, "b") }, burst},
		"up":          {func() bool { return l.upTo(now, "up", 50) }, 50},
		"one tunnel":  {func() bool { return l.allowTunnel(now, "mtu", 1) }, burst},
		"another one": {func() bool { return l.allowTunnel(now, "mtu", 2) }, burst},
	} {
		if got := count(100, c.allow); got != c.want {
			t.Errorf("%s: %d lines, want %d", name, got, c.want)
		}
	}
	l.flush(now + window - 1)
	if out.Len() != 0 {
		t.Errorf("within the window: %s", out.String())
	}
	l.flush(now + window)
	for _, want := range []string{"kind=a count=80\n", "kind=b count=80\n", "kind=up count=50\n", "kind=mtu count=160\n"} {
		if !strings.Contains(out.String(), "warning: lines held back "+want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
	if !l.allow(now+window, "a") || !l.allowTunnel(now+window, "mtu", 1) {
		t.Error("nothing in the next window")
	}
}
