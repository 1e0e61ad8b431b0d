package file

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tunneldigger/src/config"
)

// Both kinds of file: none, a good one, one with a fault, one that is too large.
func TestFiles(t *testing.T) {
	dir := t.TempDir()
	for _, kind := range []struct {
		path, good, wrong string
		read              func() (*config.Config, error)
	}{
		{filepath.Join(dir, Name), "config broker 'broker'\n", "\nbroker\n", func() (*config.Config, error) { return UCI(dir) }},
		{filepath.Join(dir, "l2tp_broker.cfg"), "[broker]\n", "\nbroker\n", func() (*config.Config, error) { return Classic(filepath.Join(dir, "l2tp_broker.cfg")) }},
	} {
		write := func(text string) {
			t.Helper()
			if err := os.WriteFile(kind.path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := kind.read(); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("no file: got %v", err)
		}
		write(kind.good)
		if c, err := kind.read(); err != nil || len(c.Brokers) != 1 || c.Brokers[0].Name != "broker" {
			t.Errorf("%s: got %+v, %v", kind.path, c, err)
		}
		write(kind.wrong)
		_, err := kind.read()
		if faults, ok := err.(config.Faults); !ok || len(faults) != 1 || faults[0].File != kind.path || faults[0].Line != 2 {
			t.Errorf("%s: got %v", kind.path, err)
		}
		write(strings.Repeat("#", MaxSize))
		if _, err := kind.read(); err != nil {
			t.Errorf("the largest file: %v", err)
		}
		write(strings.Repeat("#", MaxSize+1))
		if _, err := kind.read(); err == nil || !strings.Contains(err.Error(), "larger than 1048576 bytes") {
			t.Errorf("too large: %v", err)
		}
	}
	if _, err := UCI(filepath.Join(dir, Name)); err == nil {
		t.Error("a file instead of a directory: no error")
	}
}

// What a file names without a leading / is beside it, also where the file itself is named so.
func TestFolder(t *testing.T) {
	here := t.TempDir()
	before, err := os.Getwd()
	if err == nil {
		err = os.Chdir(here)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer os.Chdir(before)
	if err := os.Mkdir("broker", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("broker/l2tp_broker.cfg", []byte("[broker]\n[hooks]\nsession.up=scripts/up.sh\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"broker/l2tp_broker.cfg", "./broker/../broker/l2tp_broker.cfg", here + "/broker/l2tp_broker.cfg"} {
		c, err := Classic(path)
		if want := here + "/broker/scripts/up.sh"; err != nil || c.Hooks.Program[config.EventSessionUp] != want {
			t.Errorf("%s: got %+v, %v, want %s", path, c, err, want)
		}
	}
}
