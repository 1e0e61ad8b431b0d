package packaging

import (
	"slices"
	"strings"
	"testing"
)

// upgrade does what opkg and the scripts of a package do, and gives what becomes of the running broker. apk does not
// stop it.
func (r *router) upgrade(opkg bool) string {
	r.Helper()
	r.Setenv("PKG_UPGRADE", "1")
	if running := r.running; opkg {
		want := "nothing"
		if running == "" {
			want = "stopped"
		}
		r.want("stop", want)
	}
	return r.do("start")
}

func TestUpgrade(t *testing.T) {
	for _, test := range []struct {
		name     string
		opkg     bool
		running  bool
		refuses  string
		change   bool // the new package's init script tells procd something else
		want     string
		upgrades bool
	}{
		{name: "opkg", opkg: true, running: true, want: "nothing", upgrades: true},
		{name: "apk", running: true, want: "nothing", upgrades: true},
		{name: "another command line", opkg: true, running: true, change: true, want: "HUP", upgrades: true},
		{name: "not running", opkg: true, want: "started"},
		{name: "too old to know how", opkg: true, running: true, refuses: "upgrade: no broker answers there\n", want: "restarted", upgrades: true},
		{name: "refused", running: true, refuses: "upgrade: the new program does not understand the state\n", want: "restarted", upgrades: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := newRouter(t)
			r.config(broker("wan", "interface 'wan'"))
			if test.running {
				r.want("start", "started")
			}
			if test.change {
				r.running = strings.Replace(r.running, "term_timeout 15", "term_timeout 10", 1)
			}
			r.set("refuses", test.refuses)
			if got := r.upgrade(test.opkg); got != test.want {
				t.Errorf("%s, want %s; the script said\n%s", got, test.want, strings.Join(r.record, "\n"))
			}
			if asked := slices.Contains(r.record, "asked upgrade"); asked != test.upgrades {
				t.Errorf("upgrade asked for: %v", asked)
			}
			if !strings.Contains(r.log, test.refuses) {
				t.Errorf("log: %q", r.log)
			}
		})
	}
}

// A wrong file keeps the running broker, of the old version, going: until the first reload after it is mended.
func TestUpgradeWithWrongConfiguration(t *testing.T) {
	r := newRouter(t)
	r.config(broker("wan", "interface 'wan'"))
	r.want("start", "started")
	r.faults("wrong\n")
	stays := func(got string) {
		t.Helper()
		if got != "nothing" || !strings.HasPrefix(r.log, "wrong\n") || !strings.Contains(r.log, "before the upgrade goes on") {
			t.Errorf("%s; the script said\n%s\nlog: %q", got, strings.Join(r.record, "\n"), r.log)
		}
		r.hasNot("asked")
	}
	stays(r.upgrade(true))
	t.Setenv("PKG_UPGRADE", "")
	r.config(broker("wan", "interface 'wan'", "port '70000'"))
	stays(r.do("reload"))
	r.faults("")
	r.config(broker("wan", "interface 'wan'", "port '7000'"))
	r.want("reload", "HUP")
	r.has("asked upgrade")
	if !strings.Contains(r.log, "upgraded") {
		t.Errorf("log: %q", r.log)
	}
	r.want("reload", "nothing")
	r.hasNot("asked")

	// A restart in between is an upgrade, too.
	r.faults("wrong\n")
	stays(r.upgrade(true))
	t.Setenv("PKG_UPGRADE", "")
	r.faults("")
	r.want("stop", "stopped")
	r.want("start", "started")
	r.hasNot("asked")
}
