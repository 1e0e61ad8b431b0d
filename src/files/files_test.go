package files

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

func TestRead(t *testing.T) {
	dir := t.TempDir()
	whole := strings.Repeat("0123456789", 700)
	if err := os.WriteFile(dir+"/file", []byte(whole), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := Read(dir + "/file"); got != whole || err != nil {
		t.Errorf("got %d bytes, %v; want %d", len(got), err, len(whole))
	}
	for _, most := range []int{0, 1, 511, 512, 513, 6999, 7000, 7001} {
		if got, err := ReadUpTo(dir+"/file", most); got != whole[:min(most, len(whole))] || err != nil {
			t.Errorf("%d at most: got %d bytes, %v", most, len(got), err)
		}
	}
	if got, err := Read("/proc/self/status"); !strings.Contains(got, "Name:") || err != nil { // whose size is 0
		t.Errorf("got %q, %v", got, err)
	}
	_, err := Read(dir + "/missing")
	if want := "open " + dir + "/missing: no such file or directory"; !errors.Is(err, fs.ErrNotExist) || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	_, err = Read(dir)
	if want := "read " + dir + ": is a directory"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestAbsolute(t *testing.T) {
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{"/a/../b/": "/b", "/": "/", "x": here + "/x", "./x/../y": here + "/y", "": here} {
		if got, err := Absolute(path); got != want || err != nil {
			t.Errorf("%q: got %q, %v, want %q", path, got, err, want)
		}
	}
}

// From where it stands, to the end; and as much as a pipe gives bit by bit.
func TestReadFrom(t *testing.T) {
	from, to, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	go func() {
		defer to.Close()
		for range 3 {
			if _, err := to.WriteString("abc"); err != nil {
				t.Error(err)
			}
		}
	}()
	if got, err := ReadFrom(int(from.Fd()), "pipe", 4); string(got) != "abca" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	if got, err := ReadFrom(int(from.Fd()), "pipe", 100); string(got) != "bcabc" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	if _, err := ReadFrom(-1, "nothing", 1); err == nil || err.Error() != "read nothing: bad file descriptor" {
		t.Errorf("got %v", err)
	}
}

func TestStat(t *testing.T) {
	dir := t.TempDir()
	if err := errors.Join(os.WriteFile(dir+"/file", []byte("abc"), 0o640), os.Symlink("file", dir+"/link"), os.Symlink("none", dir+"/loose")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"/file", "/link"} {
		info, err := Stat(dir + name)
		if err != nil || !info.IsFile() || info.IsFolder() || info.Size != 3 || info.Permissions() != 0o640 || int(info.Uid) != os.Getuid() {
			t.Errorf("%s: got %+v, %v", name, info, err)
		}
	}
	if info, err := Stat(dir); err != nil || info.IsFile() || !info.IsFolder() {
		t.Errorf("a folder: got %+v, %v", info, err)
	}
	if info, err := Stat("/dev/null"); err != nil || info.IsFile() || info.IsFolder() {
		t.Errorf("a device: got %+v, %v", info, err)
	}
	_, err := Stat(dir + "/loose")
	if want := "stat " + dir + "/loose: no such file or directory"; !errors.Is(err, fs.ErrNotExist) || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	for name, want := range map[string]bool{"/file": false, "/link": true, "/loose": true, "/none": false, "": false} {
		if IsLink(dir+name) != want {
			t.Errorf("%s: want %v", name, want)
		}
	}
}
