package packaging

import (
	"encoding/json"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the template of translations anew")

const app = "luci-app-tunneldigger-broker"

// appFiles are the files of the app's package, with their modes.
var appFiles = []string{
	"755 usr/libexec/rpcd/luci.tunneldigger-broker",
	"644 usr/share/luci/menu.d/" + app + ".json",
	"644 usr/share/rpcd/acl.d/" + app + ".json",
	"644 www/luci-static/resources/tunneldigger-broker/options.js",
	"644 www/luci-static/resources/tunneldigger-broker/settings.js",
	"644 www/luci-static/resources/tunneldigger-broker/tunneldigger.css",
	"644 www/luci-static/resources/tunneldigger-broker/tunneldigger.js",
	"644 www/luci-static/resources/view/tunneldigger-broker/nodes.js",
	"644 www/luci-static/resources/view/tunneldigger-broker/settings.js",
	"644 www/luci-static/resources/view/tunneldigger-broker/status.js",
}

// installedApp is a folder with what the app's package has.
func installedApp(t *testing.T) string {
	t.Helper()
	built, root := t.TempDir(), t.TempDir()
	for _, target := range []string{"prepare", "install-" + app} {
		recipeOf(t, app, "PKG_BUILD_DIR="+built, "DESTDIR="+root, target)
	}
	return root
}

// TestApp holds the app's package to its files and to 20 kB.
func TestApp(t *testing.T) {
	root := installedApp(t)
	out, err := exec.Command("find", root, "-type", "f", "-printf", "%m %P\n").Output()
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Split(strings.TrimSpace(string(out)), "\n")
	sortPaths(got)
	if !slices.Equal(got, appFiles) {
		t.Errorf("it installs\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(appFiles, "\n"))
	}
	if folder, err := os.Stat(root + "/etc/tunneldigger"); err != nil || !folder.IsDir() {
		t.Errorf("the lists' folder: %v", err)
	}
	packed, err := exec.Command("tar", "-C", root, "-czf", "-", ".").Output()
	if err != nil || len(packed) > 20000 {
		t.Errorf("%d bytes packed, want at most 20000: %v", len(packed), err)
	}
	for _, name := range []string{"PKG_VERSION", "PKG_RELEASE"} {
		line := regexp.MustCompile("(?m)^" + name + ": .*$")
		if a, b := line.FindString(recipeOf(t, app, "show")), line.FindString(recipe(t, "show")); a != b || a == "" {
			t.Errorf("%q, and the broker's is %q", a, b)
		}
	}
	if all := recipeOf(t, app, "show-"+app); !strings.Contains(all, "Depends: libc, luci-base, tunneldigger-broker\n") {
		t.Errorf("what it is:\n%s", all)
	}
	if text := read(t, "openwrt/"+app+"/Makefile"); !strings.Contains(text, "include $(TOPDIR)/feeds/luci/luci.mk\n") {
		t.Error("it does not take LuCI's rules")
	}
}

// TestAppRights has the menu name views that are there, and the rights no more than the plugin of rpcd knows.
func TestAppRights(t *testing.T) {
	root := installedApp(t)
	object := func(path string) (found map[string]map[string]any) {
		text, err := os.ReadFile(filepath.Join(root, path))
		if err == nil {
			err = json.Unmarshal(text, &found)
		}
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		return found
	}
	views := 0
	for name, entry := range object("usr/share/luci/menu.d/" + app + ".json") {
		action := entry["action"].(map[string]any)
		if action["type"] != "view" {
			continue
		}
		views++
		if _, err := os.Stat(filepath.Join(root, "www/luci-static/resources/view", action["path"].(string)+".js")); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if views != 3 {
		t.Errorf("%d views in the menu, want 3", views)
	}
	methods, _ := rpcd(t, t.TempDir(), "", "list")
	rights := object("usr/share/rpcd/acl.d/" + app + ".json")[app]
	for _, c := range []struct {
		access, object string
		known          map[string]any
		want           []any
	}{
		{"read", "tunneldigger-broker", methods, []any{"status", "tunnels"}},
		{"write", "tunneldigger-broker", methods, []any{"drain", "kick", "reload"}},
		{"write", "luci.tunneldigger-broker", rpcdWith(t, appPlugin, t.TempDir(), recorder, "", "list"), []any{"check"}},
	} {
		granted, _ := rights[c.access].(map[string]any)["ubus"].(map[string]any)[c.object].([]any)
		if !slices.Equal(granted, c.want) {
			t.Errorf("%s of %s: %v, want %v", c.access, c.object, granted, c.want)
		}
		for _, method := range granted {
			if c.known[method.(string)] == nil {
				t.Errorf("%s has no method %s", c.object, method)
			}
		}
	}
}

// TestAppOptions holds the settings to the documents, which architecture's TestOptions holds to the program: each option
// with its default, range and help.
func TestAppOptions(t *testing.T) {
	text, err := os.ReadFile(installedApp(t) + "/www/luci-static/resources/tunneldigger-broker/options.js")
	if err != nil {
		t.Fatal(err)
	}
	section, count := "", 0
	for _, line := range strings.Split(read(t, "files/doc/configuration.md"), "\n") {
		if strings.HasPrefix(line, "## ") {
			section, _ = strings.CutPrefix(line, "## config ")
		}
		m := regexp.MustCompile("^\\| `([a-z_]+)`( \\(list\\))? \\| (.*?) \\| (.*?) \\| (.*) \\|$").FindStringSubmatch(line)
		if m == nil {
			continue
		}
		count++
		plain := strings.NewReplacer("`", "", "'", `\'`)
		want := "\t\t['" + m[1] + "', " + map[bool]string{true: "true", false: "false"}[m[2] != ""] + ", '" + plain.Replace(m[3]) + "', '" + plain.Replace(m[4]) + "', "
		_, rest, _ := strings.Cut(string(text), "\n\t"+section+": [\n")
		rest, _, _ = strings.Cut(rest, "\n\t],\n")
		if !strings.Contains(rest+"\n", want) {
			t.Errorf("section %s has no %q", section, want)
		}
	}
	if count < 30 {
		t.Errorf("only %d options", count)
	}
	if left := regexp.MustCompile("[`]|\\]\\(").FindString(strings.Join(regexp.MustCompile(`(?m)^\t\t\[.*$`).FindAllString(string(text), -1), "\n")); left != "" {
		t.Errorf("what is only for a page is left: %q", left)
	}
}

// TestAppTranslations holds the template of translations to what the views say.
func TestAppTranslations(t *testing.T) {
	root := installedApp(t)
	template := "msgid \"\"\nmsgstr \"Content-Type: text/plain; charset=UTF-8\"\n"
	seen := map[string]bool{}
	add := func(path, text string) {
		if !seen[text] {
			template += "\n#: " + path + "\nmsgid \"" + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text) + "\"\nmsgstr \"\"\n"
		}
		seen[text] = true
	}
	for _, line := range appFiles {
		path := line[4:]
		text, err := os.ReadFile(filepath.Join(root, path))
		if err != nil {
			t.Fatal(err)
		}
		words := regexp.MustCompile(`\b_\('((?:[^'\\]|\\.)*)'\)`)
		if strings.Contains(path, "menu.d") {
			words = regexp.MustCompile(`"title": "(.*)"`)
		} else if strings.Contains(path, "acl.d") {
			words = regexp.MustCompile(`"description": "(.*)"`)
		}
		for _, m := range words.FindAllStringSubmatch(string(text), -1) {
			add(path, strings.NewReplacer(`\'`, `'`, `\\`, `\`).Replace(m[1]))
		}
	}
	path := "../../openwrt/" + app + "/po/templates/tunneldigger-broker.pot"
	if *update {
		if err := os.WriteFile(path, []byte(template), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != template {
		t.Errorf("%s is not what the views say: go test ./src/packaging -run TestAppTranslations -update writes it anew: %v", path, err)
	}
}

// TestAppMinified keeps the app's scripts to what the minifier of LuCI's build knows, which takes the blanks out of all else.
// It takes a template within another one for the end of that, and knows a regular expression by the character before it.
func TestAppMinified(t *testing.T) {
	for text, want := range map[string]bool{
		"a = `x ${b ? 'c' : d} y`;\nb = c / 2; // `${`": true, "a = `${b ? ` c` : ''}`": false, "a = `${b}` + `${c}`": true,
		"f((x) => /a, b/.test(x))": false, "f((x) => (/a`[/]b/).test(x))": true, "return /a b/;": false, "g(a[0] / b) // c": true,
	} {
		if got := unfitForMinifier(text); (got == "") != want {
			t.Errorf("%s: %q", text, got)
		}
	}
	root := installedApp(t)
	for _, line := range appFiles {
		text, err := os.ReadFile(filepath.Join(root, line[4:]))
		if err != nil {
			t.Fatal(err)
		}
		if found := unfitForMinifier(string(text)); strings.HasSuffix(line, ".js") && found != "" {
			t.Errorf("%s: %s", line[4:], found)
		}
	}
}

// unfitForMinifier is the first thing in a script that the minifier takes for something else.
func unfitForMinifier(text string) string {
	comment := regexp.MustCompile(`^(?s://[^\n]*|/\*.*?\*/)`)
	expression := regexp.MustCompile(`^/(?:\\.|\[(?:\\.|[^\]\\])*\]|[^/\\\n\[])+/`)
	quoted := regexp.MustCompile(`^(?:'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*")`)
	template := regexp.MustCompile("^`(?:\\\\.|[^`\\\\])*`")
	before := "" // what stands before, without blanks
	for text != "" {
		skip := 1
		switch c := text[0]; {
		case comment.MatchString(text):
			text = text[len(comment.FindString(text)):]
			continue
		case c == '/' && before != "" && strings.ContainsAny(before[len(before)-1:], "(,=:[!&|?+-~*/{};"):
			skip = len(expression.FindString(text))
		case c == '/' && regexp.MustCompile(`(^|\W)return$|[^\w)\]]$`).MatchString(before):
			return "a regular expression after " + before[max(0, len(before)-10):]
		case c == '\'' || c == '"':
			skip = len(quoted.FindString(text))
		case c == '`':
			said := template.FindString(text)
			if strings.Count(said, "${") != len(regexp.MustCompile(`\$\{[^{}]*\}`).FindAllString(said, -1)) {
				return "a template in " + said
			}
			skip = len(said)
		}
		if skip == 0 {
			return "cannot be read from " + text[:min(len(text), 40)]
		}
		before += strings.TrimSpace(text[:skip])
		text = text[skip:]
	}
	return ""
}
