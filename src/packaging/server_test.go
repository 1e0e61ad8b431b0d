package packaging

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// serverTools stand in the place of systemctl and the new program, and note what they are asked for.
var serverTools = map[string]string{
	"systemctl": `echo "systemctl $*" >>"$STATE/asked"
[ "$1" != list-units ] || printf '%s\n' 'tunneldigger-broker.service loaded active running The broker' 'tunneldigger-broker@a-b.service loaded active running Another'
`,
	"tunneldigger-broker": `echo "$*" >>"$STATE/asked"
[ ! -e "$STATE/$1" ] || { echo "$1 failed" >&2; exit 1; }
echo "$1 done"
`,
}

// TestServerInstall runs the script of the .deb and .rpm.
func TestServerInstall(t *testing.T) {
	const (
		listed   = "systemctl daemon-reload|systemctl list-units --plain --no-legend --state=active tunneldigger-broker.service tunneldigger-broker@*.service"
		first    = "|upgrade --socket /run/tunneldigger-broker.sock"
		second   = "|upgrade --socket /run/tunneldigger-broker@a-b/socket"
		restart1 = "|systemctl try-restart tunneldigger-broker.service"
		restart2 = "|systemctl try-restart tunneldigger-broker@a-b.service"
	)
	for _, test := range []struct{ args, fails, want string }{
		{"configure", "", "systemctl daemon-reload"},
		{"1", "", "systemctl daemon-reload"},
		{"abort-upgrade 1.0", "", "systemctl daemon-reload"},
		{"configure 1.0", "", listed + first + second},
		{"2", "", listed + first + second},
		{"configure 1.0", "upgrade", listed + first + "|check --start" + restart1 + second + "|check --start /etc/tunneldigger/a-b.cfg" + restart2},
		{"configure 1.0", "upgrade check", listed + first + "|check --start" + second + "|check --start /etc/tunneldigger/a-b.cfg"}, // nor would a restart work
	} {
		state := t.TempDir()
		for name, text := range serverTools {
			if err := os.WriteFile(filepath.Join(state, name), []byte("#!/bin/sh\n"+text), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		for _, name := range strings.Fields(test.fails) {
			says(t, state, name, "")
		}
		script := strings.Replace(read(t, "src/packaging/scripts/server-install"), "/run/systemd/system", state, 1)
		cmd := exec.Command("busybox", append([]string{"ash", "-c", script, "postinst"}, strings.Fields(test.args)...)...)
		cmd.Env = append(os.Environ(), "STATE="+state, "PATH="+state+":"+os.Getenv("PATH"))
		out, err := cmd.CombinedOutput()
		text, _ := os.ReadFile(filepath.Join(state, "asked"))
		if got := strings.Join(strings.Split(strings.TrimSpace(string(text)), "\n"), "|"); err != nil || got != test.want {
			t.Errorf("%s, %q failing: %v: %s\nasked %s\nwant  %s", test.args, test.fails, err, out, got, test.want)
		}
	}
}
