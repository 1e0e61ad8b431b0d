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

// A wrong file keeps the running broker, of the old version, going.
func TestUpgradeWithWrongConfiguration(t *testing.T) {
	r := newRouter(t)
	r.config(broker("wan", "interface 'wan'"))
	r.want("start", "started")
	r.faults("wrong\n")
	if got := r.upgrade(true); got != "nothing" {
		t.Errorf("%s", got)
	}
	r.hasNot("asked")
}
