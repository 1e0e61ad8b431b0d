package packaging

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile("../../" + path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestManual wants every option that files/doc/configuration.md has to be in bold in the manual page, and every command and
// option of the program's own help in the other. (What the program knows and what it takes by default, TestOptions in
// architecture holds to the tables.)
func TestManual(t *testing.T) {
	plain := func(path string) string { return strings.NewReplacer(`\-`, "-", `\~`, " ").Replace(read(t, path)) }
	for _, test := range []struct{ source, page, pattern, heading string }{
		{"files/doc/configuration.md", "files/server/tunneldigger-broker.5", "(?m)^\\| `([a-z_]+)`", `(?m)^\.B(?:R? .*[ ,]| )%s\b`},
		{"src/cmd/tunneldigger-broker/main.go", "files/server/tunneldigger-broker.8", `(?m)^  (?:tunneldigger-broker )?(-[a-z-]+|[a-z]+) `, `(?m)^\.B[RI]* (?:.*[ "[|])?%s(?:$|[^a-z-])`},
	} {
		page := plain(test.page)
		words := regexp.MustCompile(test.pattern).FindAllStringSubmatch(read(t, test.source), -1)
		if len(words) < 5 {
			t.Errorf("only %q found in %s", words, test.source)
		}
		for _, word := range words {
			if !regexp.MustCompile(fmt.Sprintf(test.heading, regexp.QuoteMeta(word[1]))).MatchString(page) {
				t.Errorf("%s does not have %s", test.page, word[1])
			}
		}
	}
}

// TestManualAndReadme holds to each other what both say of the kernel.
func TestManualAndReadme(t *testing.T) {
	manual := strings.NewReplacer(`\-`, "-", `\~`, " ", "...", "…").Replace(read(t, "files/server/tunneldigger-broker.8"))
	_, chapter, _ := strings.Cut(manual, ".SH \"KERNEL MODULES\"\n")
	chapter, _, _ = strings.Cut(chapter, "\n.SH ")
	facts := regexp.MustCompile(`[0-9]+(?:\.[0-9]+)+|[a-z]+(?:[_-][a-z0-9…]+)+`).FindAllString(chapter, -1)
	if len(facts) < 10 {
		t.Errorf("only %q found", facts)
	}
	readme := read(t, "README.md")
	for _, fact := range facts {
		if !strings.Contains(readme, fact) {
			t.Errorf("tunneldigger-broker.8 has %s, README.md has not", fact)
		}
	}
}

// TestHelp wants the programs' help in files/doc/operating.md word for word.
func TestHelp(t *testing.T) {
	page := read(t, "files/doc/operating.md")
	for _, program := range []string{"tunneldigger-broker", "tunneldigger-client"} {
		_, help, _ := strings.Cut(read(t, "src/cmd/"+program+"/main.go"), "const usage = `")
		help, _, _ = strings.Cut(help, "`")
		if block := "```\n" + help + "```\n"; help == "" || !strings.Contains(page, block) {
			t.Errorf("files/doc/operating.md does not have this block:\n%s", block)
		}
	}
}

func TestCompletion(t *testing.T) {
	for line, want := range map[string]string{
		"tunneldigger-broker ch":            "check",
		"tunneldigger-broker --lo":          "--log-priority",
		"tunneldigger-broker -datapath n":   "none",
		"tunneldigger-broker check -c /pro": "/proc",
		"tunneldigger-broker probe exa":     "",
		"tunneldigger-broker upg":           "upgrade",
		"tunneldigger-broker status --js":   "--json",
		"tunneldigger-broker reload --":     "--socket",
		"tunneldigger-broker drain o":       "off",
		"tunneldigger-broker kick 1":        "",
		"tunneldigger-broker --socket /pro": "/proc",
	} {
		cmd := exec.Command("bash", "-c", `. ../../files/server/bash-completion
			read -ra COMP_WORDS <<<"$1"; COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _tunneldigger_broker; echo "${COMPREPLY[*]}"`, "bash", line)
		out, err := cmd.CombinedOutput()
		if got := strings.TrimSpace(string(out)); err != nil || got != want {
			t.Errorf("%s: %q, %v; want %q", line, got, err, want)
		}
	}
}
