package rttables

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestNumber(t *testing.T) {
	etc, usr := t.TempDir(), t.TempDir()
	write := func(folder, name, text string) {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(folder, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write(usr, "rt_tables", "# reserved\n255\tlocal\n254 main # the usual one\n0 unspec\n100 mesh\n0x80 hex\n300 a b\n4294967296 large\nx odd\n")
	write(etc, "rt_tables.d/mesh.conf", "101\tmesh\r\n")
	write(etc, "rt_tables.d/other", "7 ignored\n")
	folders := []string{etc, usr, filepath.Join(usr, "none")}
	for name, want := range map[string]uint32{"mesh": 101, "main": 254, "default": 253, "hex": 128, "42": 42, "4294967295": 4294967295} {
		if n, err := number(folders, name); n != want || err != nil {
			t.Errorf("%s: %d, %v", name, n, err)
		}
	}
	for _, name := range []string{"unspec", "a", "b", "large", "odd", "ignored", "reserved", "0", ""} {
		if n, err := number(folders, name); err == nil || !strings.Contains(err.Error(), "/etc/iproute2/rt_tables") {
			t.Errorf("%s: %d, %v", name, n, err)
		}
	}
}
