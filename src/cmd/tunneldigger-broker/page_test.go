package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestPage has files/doc/configuration.md show what check says of a file with those faults, word for word.
func TestPage(t *testing.T) {
	page, err := os.ReadFile("../../../files/doc/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	_, want, _ := strings.Cut(string(page), "$ tunneldigger-broker check -c /etc/config\n")
	want, _, found := strings.Cut(want, "```")
	if !found {
		t.Fatal("configuration.md does not show check")
	}
	dir := t.TempDir()
	text := "config broker 'wan'\n\tlist port '8942'\n\tlist port '70000'\n\toption max_tunnel '10'\n"
	if err := os.WriteFile(filepath.Join(dir, "tunneldigger-broker"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	status := run([]string{"check", "-c", dir}, &out, &errs)
	if got := strings.ReplaceAll(out.String()+errs.String(), dir, "/etc/config"); status != 1 || got != want {
		t.Errorf("status %d, check says\n%swant\n%s", status, got, want)
	}
}
