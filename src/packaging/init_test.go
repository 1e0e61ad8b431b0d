package packaging

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const script = "../../files/tunneldigger-broker.init"

// router is what an OpenWrt script finds and does: files, a network, and a procd that restarts what it is told to when
// its description changes.
type router struct {
	*testing.T
	root, state string
	running     string // the description of the running instance
	record      []string
	log         string
}

func newRouter(t *testing.T) *router {
	r := &router{T: t, root: t.TempDir(), state: t.TempDir()}
	r.write("etc/config/network", "config interface 'wan'\nconfig interface 'wan6'\nconfig interface 'mesh'\nconfig device 'lan4'\n")
	r.write("proc/meminfo", "MemTotal:         256000 kB\nMemFree:          1000 kB\n")
	r.write("usr/bin/tunneldigger-broker", "#!/bin/sh\n[ \"$1 $2 $3\" = \"check -c $ROOT/etc/config\" ] || exit 2\n"+
		"! cat \"$STATE/faults\" >&2 2>/dev/null\n")
	r.network("wan eth1")
	return r
}

func (r *router) write(name, text string) {
	r.Helper()
	path := filepath.Join(r.root, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		r.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		r.Fatal(err)
	}
}

func (r *router) config(text string) { r.write("etc/config/tunneldigger-broker", text) }

// set writes or, when text is empty, removes a file of what the scripts' surroundings know.
func (r *router) set(name, text string) {
	r.Helper()
	path := filepath.Join(r.state, name)
	err := os.WriteFile(path, []byte(text), 0o644)
	if text == "" {
		err = os.RemoveAll(path)
	}
	if err != nil {
		r.Fatal(err)
	}
}

// network says which device stands for which interface, "wan eth1".
func (r *router) network(lines ...string) { r.set("devices", strings.Join(lines, "\n")+"\n") }

// faults makes the configuration wrong, or with "" right.
func (r *router) faults(text string) { r.set("faults", text) }

func (r *router) ash(args ...string) {
	r.Helper()
	cmd := exec.Command("busybox", append([]string{"ash"}, args...)...)
	cmd.Env = append(os.Environ(), "ROOT="+r.root, "STATE="+r.state)
	out, _ := cmd.CombinedOutput() // procd does not look at the status either
	if len(out) > 0 {
		r.Errorf("%v printed: %s", args, out)
	}
}

// do runs an action of the init script and gives what procd makes of it.
func (r *router) do(action string) string {
	r.Helper()
	r.set("record", "")
	r.set("log", "")
	r.set("running", r.running)
	r.ash("testdata/openwrt/rc.common", script, action)
	text, _ := os.ReadFile(filepath.Join(r.state, "record"))
	log, _ := os.ReadFile(filepath.Join(r.state, "log"))
	r.record, r.log = strings.Split(strings.TrimSpace(string(text)), "\n"), string(log)

	before, told, description := r.running, false, ""
	inside := false
	for _, line := range r.record {
		words := strings.Fields(line)
		switch {
		case len(words) == 0:
		case words[0] == "kill":
			before, told = "", true
		case words[0] == "open_service":
			description = ""
		case words[0] == "open_instance":
			if description != "" {
				r.Error("more than one instance")
			}
			inside = true
		case words[0] == "close_instance":
			inside = false
		case words[0] == "close_service":
			told = true
		case inside:
			description += line + "\n"
			if words[0] == "file" {
				for _, path := range words[1:] {
					content, err := os.ReadFile(path)
					if err != nil {
						r.Error(err)
					}
					description += string(content)
				}
			}
		}
	}
	if !told {
		return "nothing"
	}
	r.running = description
	switch {
	case description == before && before != "":
		return "nothing"
	case description == "":
		return "stopped"
	case before == "":
		return "started"
	}
	return "restarted"
}

func (r *router) want(action, what string) {
	r.Helper()
	if got := r.do(action); got != what {
		r.Errorf("%s: %s, want %s; the script said\n%s", action, got, what, strings.Join(r.record, "\n"))
	}
}

// has wants lines in what procd was told.
func (r *router) has(lines ...string) {
	r.Helper()
	text := "\n" + strings.Join(r.record, "\n") + "\n"
	for _, line := range lines {
		if !strings.Contains(text, "\n"+line+"\n") {
			r.Errorf("no line %q in\n%s", line, text)
		}
	}
}

func (r *router) hasNot(begin string) {
	r.Helper()
	for _, line := range r.record {
		if strings.HasPrefix(line, begin) {
			r.Errorf("there is %q", line)
		}
	}
}

func (r *router) devices(want string) {
	r.Helper()
	text, _ := os.ReadFile(filepath.Join(r.root, "var/run/tunneldigger-broker/devices"))
	if string(text) != want {
		r.Errorf("devices: %q, want %q", text, want)
	}
}

func broker(name string, options ...string) string {
	text := fmt.Sprintf("config broker '%s'\n", name)
	for _, o := range options {
		text += "\toption " + o + "\n"
	}
	return text
}

func TestDisabled(t *testing.T) {
	r := newRouter(t)
	r.config(broker("wan", "enabled '0'", "interface 'wan'"))
	r.want("start", "stopped")
	r.has("config_trigger tunneldigger-broker")
	r.hasNot("interface_trigger")
	r.config(broker("wan", "enabled '1'", "interface 'wan'"))
	r.want("reload", "started")
	r.config(broker("wan", "enabled '0'", "interface 'wan'"))
	r.want("reload", "stopped")
}

func TestStart(t *testing.T) {
	r := newRouter(t)
	r.config(broker("wan", "interface 'wan'"))
	r.want("start", "started")
	devices := r.root + "/var/run/tunneldigger-broker/devices"
	r.has("command "+r.root+"/usr/bin/tunneldigger-broker -c "+r.root+"/etc/config --devices "+devices,
		"file "+r.root+"/etc/config/tunneldigger-broker "+devices,
		"respawn 3600 10 0", "term_timeout 15", "limits nofile=65535 65535", "stderr 1",
		"config_trigger tunneldigger-broker", "interface_trigger wan")
	r.hasNot("reload_signal")
	r.hasNot("env")
	r.hasNot("jail")
	r.devices("wan eth1\n")
	r.want("stop", "stopped")
}

func TestSmallRouterWithJail(t *testing.T) {
	r := newRouter(t)
	r.write("proc/meminfo", "MemTotal:          60000 kB\n")
	r.write("sbin/ujail", "")
	r.config(broker("wan"))
	r.want("start", "started")
	r.has("env GOGC=50 GOMEMLIMIT=15000KiB", "jail tunneldigger-broker", "no_new_privs 1",
		"capabilities /etc/capabilities/tunneldigger-broker.json")
	r.hasNot("interface_trigger")
	r.devices("")
}

func TestTwoSections(t *testing.T) {
	r := newRouter(t)
	r.network("wan pppoe-wan", "lan br-lan")
	r.config(broker("one", "interface 'wan'") + broker("", "interface 'mesh'") + broker("off", "enabled 'no'", "interface 'lan'") +
		broker("two", "interface 'eth0.2'") + "config bridge\n\toption interface 'br-mesh'\n")
	r.want("start", "started")
	r.has("interface_trigger wan", "interface_trigger mesh", "interface_trigger eth0.2")
	r.hasNot("interface_trigger lan")
	r.devices("wan pppoe-wan\nmesh\n")
}

func TestInterfaceChanges(t *testing.T) {
	r := newRouter(t)
	r.network("lan br-lan")
	r.config(broker("wan", "interface 'wan'"))
	r.want("start", "started")
	r.devices("wan\n")
	r.network("lan br-lan", "wan pppoe-wan")
	r.want("reload", "restarted")
	r.devices("wan pppoe-wan\n")
	r.want("reload", "nothing") // a new address
	r.network("wan eth1")
	r.want("reload", "restarted")
}

func TestConfigurationChanges(t *testing.T) {
	r := newRouter(t)
	r.config(broker("wan", "interface 'wan'"))
	r.want("start", "started")
	r.want("reload", "nothing")
	r.config(broker("wan", "interface 'wan'", "max_tunnels '10'"))
	r.want("reload", "restarted")
}

func TestWrongConfiguration(t *testing.T) {
	const fault = "/etc/config/tunneldigger-broker:3: broker 'wan': port '70000': want 1–65535\n"
	r := newRouter(t)
	r.config(broker("wan", "interface 'wan'", "port '70000'"))
	r.faults(fault)
	r.want("start", "stopped")
	if r.log != fault {
		t.Errorf("log: %q", r.log)
	}
	r.has("config_trigger tunneldigger-broker", "interface_trigger wan") // or nothing would start it when it is mended
	r.faults("")
	r.want("reload", "started")
	r.config(broker("wan", "interface 'wan'", "port '70001'"))
	r.faults(fault)
	for _, action := range []string{"reload", "start"} {
		r.want(action, "nothing")
		if r.log != fault {
			t.Errorf("log: %q", r.log)
		}
	}
}

// The package manager stops the old program and starts the new one.
func TestUpgrade(t *testing.T) {
	t.Setenv("PKG_UPGRADE", "1")
	r := newRouter(t)
	r.config(broker("wan", "interface 'wan'"))
	r.want("start", "started")
	r.want("stop", "stopped")
	r.want("start", "started")
}
