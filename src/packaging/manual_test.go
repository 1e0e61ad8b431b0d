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

// TestManual wants every option that the README's configuration shows to be in bold in the manual page, and every command
// and option of the program's own help in the other.
func TestManual(t *testing.T) {
	plain := func(path string) string { return strings.NewReplacer(`\-`, "-", `\~`, " ").Replace(read(t, path)) }
	for _, test := range []struct{ source, page, pattern, heading string }{
		{"README.md", "tunneldigger-broker.5", `(?m)^\t(?:option|list) ([a-z_]+)`, `(?m)^\.B(?:R? .*[ ,]| )%s\b`},
		{"src/cmd/tunneldigger-broker/main.go", "tunneldigger-broker.8", `(?m)^  (?:tunneldigger-broker )?(-[a-z-]+|[a-z]+) `, `(?m)^\.B[RI]* (?:.*[ "[|])?%s(?:$|[^a-z-])`},
	} {
		page := plain("files/server/" + test.page)
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
