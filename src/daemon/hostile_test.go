package daemon

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tunneldigger/src/config"
	"tunneldigger/src/wire"
)

// What clients send gets into the log, to hooks and nowhere else, and there as it is: one line an event with nothing in it that is not
// printed, one argument, one variable.
func TestHostileUUIDs(t *testing.T) {
	dir := t.TempDir()
	notes, hook := filepath.Join(dir, "notes"), filepath.Join(dir, "hooks", "10-note")
	script := "#!/bin/sh\n{ printf '%s|%s|%s|' \"$#\" \"$8\" \"$UUID\"; env | grep -c .; } >>" + notes + "\necho noted $TUNNEL_ID\n"
	if err := os.Mkdir(filepath.Dir(hook), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(hook, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	r := serve(t, func(c *config.Config) {
		c.Brokers[0].MaxTunnels = 1000
		c.Hooks.Program[config.EventSessionUp] = hook
	})
	r.log.await(t, "listening")

	refused := []string{
		"", "-rf", "a b", "ä", `a"b`, "a\nb", "a\x00b", "a\x1b[31mb", "$(reboot)", "`reboot`", "a;reboot", "a&reboot", "a|reboot", "a>b", "a<b", "a/b", "../x", "/etc/passwd",
		"a'b", `a\b`, "\r\nerror: it broke", "\xff\xfe", "\u202e", ".", "..", strings.Repeat("x", 129), strings.Repeat("x", 255),
	}
	for _, uuid := range refused {
		k := r.dial()
		k.ask(k.prepare(uuid), wire.TypeError)
	}
	for _, want := range []string{
		`uuid=a\x20b endpoint=`, `detail="it has a blank"`, `uuid=\x24(reboot) `, `uuid=\x2drf `, `detail="it begins with a hyphen"`, `detail="it is empty"`,
		`uuid=\xc3\xa4 `, `detail="it has a character that is not ASCII"`, `uuid=a\x22b `, "means something to a shell",
	} {
		if !strings.Contains(r.log.text(), want) {
			t.Errorf("the log has no %s:\n%s", want, r.log.text())
		}
	}
	// The last ones are shown, last first: the two that are too long, and before them the names of folders.
	r.says(`"last_refused":[{"uuid":"`+strings.Repeat("x", 122)+`...","endpoint":"`, "status", "json")
	r.says(`"reason":"uuid","detail":"it is longer than 128 bytes","seconds_ago":`, "status", "json")
	r.says("  refused lately: \\x2e. at ", "status")
	r.says(": the UUID is not acceptable, it is the name of a folder, ", "status")
	accepted := []string{
		"*", "?", "[a-z]", "{a,b}", "~root", "#comment", "!!", "%s%n%p", "a=b", "ACTION=x", "(a)", "^", "@file", "a:b,c+d_e.f", "...", ".hidden", strings.Repeat("x", 128),
	}
	for i, uuid := range accepted {
		r.dial().connect(uuid)
		r.log.await(t, fmt.Sprintf("line=\"noted %d\"", 100+i))
	}
	r.stop()
	text, err := os.ReadFile(notes)
	if err != nil {
		t.Fatalf("%v\n%s", err, r.log.text())
	}
	lines := strings.Split(string(text), "\n")
	variables := ""
	for _, uuid := range accepted {
		found := 0
		for _, line := range lines {
			if rest, ok := strings.CutPrefix(line, "9|"+uuid+"|"+uuid+"|"); ok {
				found++
				if variables == "" {
					variables = rest
				}
				if rest != variables {
					t.Errorf("%q: %s variables in the environment, another hook had %s", uuid, rest, variables)
				}
			}
		}
		if found != 1 {
			t.Errorf("%q: %d hooks had it as it is\n%s", uuid, found, text)
		}
	}
	if n := len(lines); n != len(accepted)+1 {
		t.Errorf("%d lines of hooks", n)
	}
	for _, line := range r.log.all {
		for i, c := range []byte(strings.TrimSuffix(line, "\n")) {
			if c < ' ' || c == 0x7f {
				t.Errorf("byte %d of the line %q", i, line)
			}
		}
		level, _, _ := strings.Cut(line, ": ")
		if level != "debug" && level != "info" && level != "warning" {
			t.Errorf("the line %q begins as no line of ours", line)
		}
		for _, raw := range []string{"$(", "`", ";", "\u202e", "\\u202e", "/etc", "-rf"} {
			if strings.Contains(line, "client refused") && strings.Contains(line, raw) {
				t.Errorf("what was refused is in the log as it came: %q", line)
			}
		}
	}
}
