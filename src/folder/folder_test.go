package folder

import (
	"errors"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// As many as take several reads, some of them long, and no "." or "..".
func TestNames(t *testing.T) {
	dir := t.TempDir()
	var want []string
	for i := range 500 {
		want = append(want, strconv.Itoa(i)+strings.Repeat("x", i%200))
	}
	for _, name := range want {
		if err := os.WriteFile(dir+"/"+name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := Names(dir)
	slices.Sort(got)
	slices.Sort(want)
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%d names, %v; want the %d that are there", len(got), err, len(want))
	}
}

func TestNamesOfNone(t *testing.T) {
	dir := t.TempDir()
	if got, err := Names(dir); got != nil || err != nil {
		t.Errorf("an empty folder: %q, %v", got, err)
	}
	_, err := Names(dir + "/missing")
	if want := "open " + dir + "/missing: no such file or directory"; !errors.Is(err, fs.ErrNotExist) || err.Error() != want {
		t.Errorf("no folder: %v; want %s", err, want)
	}
	if err := os.WriteFile(dir+"/file", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = Names(dir + "/file")
	if want := "list " + dir + "/file: not a directory"; err == nil || err.Error() != want {
		t.Errorf("a file: %v; want %s", err, want)
	}
}
