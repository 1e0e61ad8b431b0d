package architecture

import (
	"os"
	"strings"
	"testing"

	"tunneldigger/src/config"
	"tunneldigger/src/config/classic"
	"tunneldigger/src/config/uci"
)

// TestReadme reads the configurations that the README shows as the broker would.
func TestReadme(t *testing.T) {
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	examples := 0
	for i, block := range strings.Split(string(text), "```\n") {
		var c *config.Config
		switch {
		case i%2 == 0:
			continue
		case strings.HasPrefix(block, "config "):
			c, err = uci.Parse("README.md", []byte(block))
		case strings.HasPrefix(block, "[broker]"):
			c, err = classic.Parse("README.md", []byte(block))
		default:
			continue
		}
		examples++
		if err != nil {
			t.Errorf("%v in:\n%s", err, block)
		} else if len(c.Brokers) == 0 {
			t.Errorf("no broker in:\n%s", block)
		}
	}
	if examples != 3 {
		t.Errorf("%d examples found, want 3", examples)
	}
}
