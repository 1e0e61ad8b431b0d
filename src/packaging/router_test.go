package packaging

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const script = "../../files/tunneldigger-broker.init"

// router is what an OpenWrt script finds and does: files, a network, and a procd that restarts what it is told to when
// its description changes, or only sends it a signal if the description says so.
type router struct {
	*testing.T
	root, state string
	running     string // the description of the running instance
	record      []string
	log         string
}

// The broker's program: "faults" is what check finds, "refuses" why it does not do what it is asked for.
const program = `#!/bin/sh
if [ "$1" = check ]; then
	[ "$*" = "check -c $ROOT/etc/config" ] || [ "$*" = "check --start -c $ROOT/etc/config" ] || exit 2
	! cat "$STATE/faults" >&2 2>/dev/null
else
	echo "asked $*" >>"$STATE/record"
	! cat "$STATE/refuses" >&2 2>/dev/null || exit 1
	if [ "$1" = status ]; then cat "$STATE/status"; else echo "done $*"; fi
fi
`

func newRouter(t *testing.T) *router {
	r := &router{T: t, root: t.TempDir(), state: t.TempDir()}
	r.write("etc/config/network", "config interface 'wan'\nconfig interface 'wan6'\nconfig interface 'mesh'\nconfig device 'lan4'\n")
	r.write("proc/meminfo", "MemTotal:         256000 kB\nMemFree:          1000 kB\n")
	r.write("usr/bin/tunneldigger-broker", program)
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

// ash runs a script and gives what it printed and its status.
func (r *router) ash(args ...string) (out string, status int) {
	r.Helper()
	cmd := exec.Command("busybox", append([]string{"ash"}, args...)...)
	cmd.Env = append(os.Environ(), "ROOT="+r.root, "STATE="+r.state)
	text, err := cmd.CombinedOutput()
	if failed := (*exec.ExitError)(nil); err != nil && !errors.As(err, &failed) {
		r.Fatal(err)
	}
	return string(text), cmd.ProcessState.ExitCode()
}

// say runs a command of the init script that tells procd nothing.
func (r *router) say(command, out string, status int) {
	r.Helper()
	r.set("running", r.running)
	if got, code := r.ash("testdata/openwrt/rc.common", script, command); got != out || code != status {
		r.Errorf("%s: %q with status %d, want %q with %d", command, got, code, out, status)
	}
}

// do runs an action of the init script and gives what procd makes of it.
func (r *router) do(action string) string {
	r.Helper()
	r.set("record", "")
	r.set("log", "")
	r.set("running", r.running)
	if out, _ := r.ash("testdata/openwrt/rc.common", script, action); out != "" { // procd does not look at the status
		r.Errorf("%s printed: %s", action, out)
	}
	text, _ := os.ReadFile(filepath.Join(r.state, "record"))
	log, _ := os.ReadFile(filepath.Join(r.state, "log"))
	r.record, r.log = strings.Split(strings.TrimSpace(string(text)), "\n"), string(log)

	before, told, description := r.running, false, ""
	inside, killed := false, false
	for _, line := range r.record {
		words := strings.Fields(line)
		switch {
		case len(words) == 0:
		case words[0] == "kill":
			killed, told = before != "", true
			description = ""
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
	case description == "":
		return "stopped"
	case before == "":
		return "started"
	case killed:
		return "restarted"
	case description == before:
		return "nothing"
	case strings.Contains(description, "reload_signal HUP\n"):
		return "HUP"
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
