package packaging

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// A program in the place of the broker's: it notes its arguments, one a line, and says what is in the file "says", on
// standard error and with status 1 if there is a file "fails".
const recorder = `#!/bin/sh
for word; do echo "$word"; done >>"$STATE/asked"
[ ! -e "$STATE/fails" ] || { cat "$STATE/fails" >&2; exit 1; }
cat "$STATE/says"
`

// rpcd runs the plugin as rpcd does and gives what it answers, as JSON, and what it asked the program.
func rpcd(t *testing.T, state, input string, args ...string) (answer map[string]any, asked string) {
	t.Helper()
	os.Remove(filepath.Join(state, "asked"))
	answer = rpcdWith(t, "files/tunneldigger-broker.rpcd", state, recorder, input, args...)
	text, _ := os.ReadFile(filepath.Join(state, "asked"))
	return answer, strings.Join(strings.Split(strings.TrimSuffix(string(text), "\n"), "\n"), "|")
}

// rpcdWith runs a plugin with a script in the place of the broker's program.
func rpcdWith(t *testing.T, plugin, state, script, input string, args ...string) (answer map[string]any) {
	t.Helper()
	tools, err := filepath.Abs("testdata/openwrt/bin")
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(state, "program")
	if err := os.WriteFile(program, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("busybox", append([]string{"ash", "../../" + plugin}, args...)...)
	cmd.Env = append(os.Environ(), "PATH="+tools+":"+os.Getenv("PATH"), "STATE="+state, "PROGRAM="+program)
	cmd.Stdin = strings.NewReader(input)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%q with %q: %v", args, input, err)
	}
	if err := json.Unmarshal(out, &answer); err != nil {
		t.Fatalf("%q with %q: %v: %s", args, input, err, out)
	}
	return answer
}

func says(t *testing.T, state, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(state, name), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestRPCDList(t *testing.T) {
	methods, asked := rpcd(t, t.TempDir(), "", "list")
	if asked != "" {
		t.Errorf("it asked %q", asked)
	}
	var acl map[string]map[string]any
	if err := json.Unmarshal([]byte(read(t, "files/tunneldigger-broker.acl.json")), &acl); err != nil {
		t.Fatal(err)
	}
	granted := map[string]bool{}
	for _, access := range []string{"read", "write"} {
		ubus := acl["tunneldigger-broker"][access].(map[string]any)["ubus"].(map[string]any)
		for _, method := range ubus["tunneldigger-broker"].([]any) {
			granted[method.(string)] = true
			if _, there := methods[method.(string)].(map[string]any); !there {
				t.Errorf("the ACL has %s, list has not", method)
			}
		}
	}
	if len(granted) != len(methods) {
		t.Errorf("the ACL has %v, list %v", granted, methods)
	}
}

func TestRPCDCall(t *testing.T) {
	// As the program has it: a line for each tunnel. See package status.
	const head, list = `{"version":"1.2","brokers":[{"name":"a","tunnels":2}]`, "\n{\"id\":100,\"uuid\":\"a\"},\n{\"id\":101,\"uuid\":\"b\"}"
	const status = head + `,"tunnels":[` + list + "]}"
	for _, test := range []struct{ method, input, asked, want string }{
		{"status", "{ }", "status|--json", head + "}"},
		{"tunnels", "{ }", "status|--json", `{"tunnels":[` + list + `]}`},
		{"drain", "{ }", "drain", ""},
		{"drain", `{"off":false}`, "drain", ""},
		{"drain", `{"off":true}`, "drain|off", ""},
		{"drain", `{"off":true,"close_rate":0}`, "drain|off", ""},
		{"drain", `{"close_rate":30,"ubus_rpc_session":"0123"}`, "drain|--close-rate|30", ""},
		{"drain", `{"off":true,"close_rate":30}`, "", "error"},
		{"drain", `{"off":"perhaps"}`, "", "error"},
		{"drain", `{"off":[true]}`, "", "error"},
		{"drain", `{"close_rate":"1; reboot"}`, "", "error"},
		{"drain", `{"close_rate":-1}`, "", "error"},
		{"drain", `{"close_rate":1e9}`, "", "error"},
		{"drain", `{"close_rate":99999}`, "", "error"},
		{"drain", `drain`, "", "error"},
		{"kick", `{"id":"100"}`, "kick|100", ""},
		{"kick", `{"id":100}`, "kick|100", ""},
		{"kick", `{"id":"00:11:22-a_b.c=d%e#f~"}`, "kick|00:11:22-a_b.c=d%e#f~", ""},
		{"kick", `{ }`, "", "error"},
		{"kick", ``, "", "error"},
		{"kick", `{"id"`, "", "error"},
		{"kick", `{"id":""}`, "", "error"},
		{"kick", `{"id":"1 2"}`, "", "error"},
		{"kick", `{"id":"1\ndrain"}`, "", "error"},
		{"kick", `{"id":"--help"}`, "", "error"},
		{"kick", `{"id":"'; touch $STATE/pwned; '"}`, "", "error"},
		{"kick", `{"id":"$(touch $STATE/pwned)"}`, "", "error"},
		{"kick", "{\"id\":\"`touch pwned`\"}", "", "error"},
		{"kick", `{"id":"a\"b"}`, "", "error"},
		{"kick", `{"id":"a\\b"}`, "", "error"},
		{"kick", `{"id":"$HOME"}`, "", "error"},
		{"kick", `{"id":"*"}`, "kick|*", ""},
		{"kick", `{"id":"ü"}`, "", "error"},
		{"kick", `{"id":{"id":"1"}}`, "", "error"},
		{"kick", `{"id":"` + strings.Repeat("a", 129) + `"}`, "", "error"},
		{"reload", "{ }", "reload", ""},
		{"reload", "", "reload", ""},
		{"frobnicate", "{ }", "", "error"},
		{"$(touch $STATE/pwned)", "{ }", "", "error"},
	} {
		state := t.TempDir()
		want := map[string]any{"result": "tunnel \"1\" \\ closed\nbye"}
		says(t, state, "says", "tunnel \"1\" \\ closed\nbye\n")
		if strings.HasPrefix(test.want, "{") {
			says(t, state, "says", status+"\n")
			want = nil
			if err := json.Unmarshal([]byte(test.want), &want); err != nil {
				t.Fatal(err)
			}
		}
		got, asked := rpcd(t, state, test.input, "call", test.method)
		if asked != test.asked {
			t.Errorf("%s %s: asked %q, want %q", test.method, test.input, asked, test.asked)
		}
		if test.want == "error" {
			if text, ok := got["error"].(string); len(got) != 1 || !ok || text == "" {
				t.Errorf("%s %s: %v, want an error", test.method, test.input, got)
			}
		} else if !reflect.DeepEqual(got, want) {
			t.Errorf("%s %s: %v, want %v", test.method, test.input, got, want)
		}
		if _, err := os.Stat(filepath.Join(state, "pwned")); err == nil {
			t.Errorf("%s %s was carried out", test.method, test.input)
		}
	}
}

func TestRPCDStatusWithoutTunnels(t *testing.T) {
	state := t.TempDir()
	for text, want := range map[string]map[string]any{
		`{"a":1,"tunnels":[]}`:           {"a": 1.0},
		"{\n\"a\":1,\n\"tunnels\":\n[]}": {"a": 1.0, "tunnels": []any{}}, // written in another way, it comes whole
	} {
		says(t, state, "says", text+"\n")
		if got, _ := rpcd(t, state, "", "call", "status"); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v, want %v", text, got, want)
		}
		if got, _ := rpcd(t, state, "", "call", "tunnels"); !reflect.DeepEqual(got, map[string]any{"tunnels": []any{}}) {
			t.Errorf("%s: %v, want no tunnels", text, got)
		}
	}
}

// TestRPCDSplitsTheStatus does that with one of the program's own.
func TestRPCDSplitsTheStatus(t *testing.T) {
	text := read(t, "src/status/testdata/status.json")
	var want, got map[string]any
	if err := json.Unmarshal([]byte(text), &want); err != nil {
		t.Fatal(err)
	}
	tunnels := map[string]any{"tunnels": want["tunnels"]}
	if list, ok := want["tunnels"].([]any); !ok || len(list) < 2 {
		t.Fatalf("tunnels: %v", want["tunnels"])
	}
	delete(want, "tunnels")
	state := t.TempDir()
	says(t, state, "says", text)
	if got, _ = rpcd(t, state, "", "call", "status"); !reflect.DeepEqual(got, want) {
		t.Errorf("status: %v, want %v", got, want)
	}
	if got, _ = rpcd(t, state, "", "call", "tunnels"); !reflect.DeepEqual(got, tunnels) {
		t.Errorf("tunnels: %v, want %v", got, tunnels)
	}
}

// appPlugin is that of LuCI's pages.
const appPlugin = "openwrt/" + app + "/root/usr/libexec/rpcd/luci.tunneldigger-broker"

// TestAppCheck has a text checked that is nowhere in force, and leaves none of it behind.
func TestAppCheck(t *testing.T) {
	for _, test := range []struct{ input, seen string }{
		{`{"config":"config broker 'wan'\n\toption port '7'\n","list":""}`, "config broker 'wan'\n\toption port '7'\n"},
		{`{"config":"it'\\''s $(touch pwned) \"","list":"","ubus_rpc_session":"0123"}`, "it'\\''s $(touch pwned) \"\n"},
		{`{"config":"","list":"node-1\n192.0.2.0/24"}`, "config broker\n\toption allow_list 'DIR/list'\nnode-1\n192.0.2.0/24\n"},
		{`{"config":"","list":""}`, ""},
		{`{"list":""}`, ""},
	} {
		state := t.TempDir()
		tmp := filepath.Join(state, "tmp")
		if err := os.Mkdir(tmp, 0o755); err != nil {
			t.Fatal(err)
		}
		t.Setenv("TMPDIR", tmp)
		// The program's place is taken by one that shows what it is given, and finds a fault.
		says(t, state, "says", "")
		program := "#!/bin/sh\nset -- \"$3\"\nfor f in \"$1/tunneldigger-broker\" \"$1/list\"; do grep . \"$f\" | sed \"s|$1|DIR|\" >>\"$STATE/seen\"; done\n" +
			"echo \"$1/tunneldigger-broker:3: port '70000'\" >&2; echo \"$1/list:1: it is wrong\" >&2; exit 1\n"
		got := rpcdWith(t, appPlugin, state, program, test.input, "call", "check")
		if want := map[string]any{"error": "line 3: port '70000'\nline 1: it is wrong"}; !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %q, want %q", test.input, got, want)
		}
		if seen, _ := os.ReadFile(filepath.Join(state, "seen")); string(seen) != test.seen {
			t.Errorf("%s: the program has seen %q, want %q", test.input, seen, test.seen)
		}
		if left, _ := os.ReadDir(tmp); len(left) != 0 {
			t.Errorf("%s leaves %v", test.input, left)
		}
	}
	state := t.TempDir()
	says(t, state, "says", "The configuration is good.\n")
	got := rpcdWith(t, appPlugin, state, recorder, `{"config":"config log","list":""}`, "call", "check")
	if asked, err := os.ReadFile(filepath.Join(state, "asked")); err != nil || got["result"] != "The configuration is good." || !strings.HasPrefix(string(asked), "check\n-c\n/") {
		t.Errorf("a good one: %q, asked %q", got, asked)
	}
	says(t, state, "fails", "")
	if got := rpcdWith(t, appPlugin, state, recorder, `{"config":""}`, "call", "check"); got["error"] != "it failed and did not say why" {
		t.Errorf("a program that says nothing: %q", got)
	}
	// Where nothing could be read, nothing is good.
	os.Remove(filepath.Join(state, "fails"))
	for _, input := range []string{"", "{}", `{"config":`, "check"} {
		if got := rpcdWith(t, appPlugin, state, recorder, input, "call", "check"); got["error"] != "want a config or a list" {
			t.Errorf("%q: %q, want an error", input, got)
		}
	}
	if got := rpcdWith(t, appPlugin, state, recorder, "", "call", "kick"); got["error"] == nil {
		t.Errorf("another method: %q", got)
	}
}

// What the program says when it fails is the error, whatever is in it.
func TestRPCDFault(t *testing.T) {
	const fault = "no broker runs \"here\":\tC:\\run\x01\nstart it – now\n"
	for _, method := range []string{"status", "tunnels", "drain", "kick", "reload"} {
		state := t.TempDir()
		says(t, state, "fails", fault)
		got, _ := rpcd(t, state, `{"id":"1"}`, "call", method)
		if want := map[string]any{"error": "no broker runs \"here\":\tC:\\run\nstart it – now"}; !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %q, want %q", method, got, want)
		}
		says(t, state, "fails", "")
		if got, _ := rpcd(t, state, `{"id":"1"}`, "call", method); got["error"] == "" {
			t.Errorf("%s: %q for a program that says nothing", method, got)
		}
	}
	// Another awk than busybox's takes backslashes in another way.
	state := t.TempDir()
	says(t, state, "program", "#!/bin/sh\necho >&2 'not a \\ \"here\"'\nexit 1\n")
	os.Chmod(state+"/program", 0o755)
	cmd := exec.Command("sh", "../../files/tunneldigger-broker.rpcd", "call", "status")
	cmd.Env = append(os.Environ(), "PROGRAM="+state+"/program")
	if out, err := cmd.Output(); err != nil || string(out) != `{"error": "not a \\ \"here\""}`+"\n" {
		t.Errorf("with the machine's own shell and awk: %s, %v", out, err)
	}
	got, _ := rpcd(t, t.TempDir(), "", "frobnicate")
	if got["error"] == nil {
		t.Errorf("neither list nor call: %q", got)
	}
}
