package watch

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// try does something to files and tells which of them are said to have changed.
func (w *Watcher) try(t *testing.T, do func() error) map[string]bool {
	t.Helper()
	if err := do(); err != nil {
		t.Fatal(err)
	}
	// An event is in the queue when the call that caused it returns.
	seen := make(map[string]bool)
	if err := w.Read(func(path string) { seen[path] = true }); err != nil {
		t.Fatal(err)
	}
	return seen
}

func write(path, text string) func() error {
	return func() error { return os.WriteFile(path, []byte(text), 0o644) }
}

func TestWatch(t *testing.T) {
	dir := t.TempDir()
	allow, deny, other := filepath.Join(dir, "allow"), filepath.Join(dir, "deny"), filepath.Join(dir, "other")
	w, err := New()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if err := w.Set([]string{allow, deny, filepath.Join(dir, "later", "list")}); err != nil {
		t.Fatal(err)
	}
	var open *os.File
	for _, step := range []struct {
		name string
		do   func() error
		want string // "": nothing
	}{
		{"not there yet", write(allow, "a"), allow},
		{"in place", write(allow, "b"), allow},
		{"another file", write(other, "x"), ""},
		{"renamed over", func() error { return os.Rename(other, allow) }, allow},
		{"moved away", func() error { return os.Rename(allow, other) }, allow},
		{"a link", func() error { return os.Symlink(other, deny) }, deny},
		{"removed", func() error { return os.Remove(deny) }, deny},
		{"begun", func() (err error) { open, err = os.Create(deny); return err }, ""},
		{"half", func() error { _, err := open.WriteString("half"); return err }, ""},
		{"whole", func() error { return open.Close() }, deny},
		{"closed to readers", func() error { return os.Chmod(deny, 0) }, deny},
		{"the folder is moved", func() error { return os.Rename(dir, dir+"-old") }, deny},
	} {
		seen := w.try(t, step.do)
		if step.want == "" && len(seen) != 0 || step.want != "" && !seen[step.want] {
			t.Errorf("%s: %v changed, want %q", step.name, seen, step.want)
		}
	}
	defer os.RemoveAll(dir + "-old")
	// Another folder takes its place, and one that was not there comes.
	if err := os.MkdirAll(filepath.Join(dir, "later"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := w.Set([]string{allow, filepath.Join(dir, "later", "list")}); err != nil {
		t.Fatal(err)
	}
	if seen := w.try(t, write(allow, "c")); !seen[allow] {
		t.Errorf("in the new folder: %v", seen)
	}
	if seen := w.try(t, write(filepath.Join(dir, "later", "list"), "d")); len(seen) != 1 {
		t.Errorf("in the folder that came later: %v", seen)
	}
	if seen := w.try(t, write(deny, "d")); len(seen) != 0 {
		t.Errorf("a file that is not watched any more: %v", seen)
	}
	// More events than the kernel keeps: everything may have changed.
	seen := make(map[string]bool)
	event := binary.NativeEndian.AppendUint32(nil, ^uint32(0))
	event = append(binary.NativeEndian.AppendUint32(event, unix.IN_Q_OVERFLOW), make([]byte, 8)...)
	if w.parse(event, func(path string) { seen[path] = true }); len(seen) != 2 {
		t.Errorf("an overflow: %v", seen)
	}
}

func TestParseBroken(t *testing.T) {
	w := &Watcher{files: map[string]bool{"/a": true}, folders: map[int32]string{1: "/"}}
	for n := range 40 {
		w.parse(make([]byte, n), func(string) { t.Error("nothing has changed") })
	}
	w.parse([]byte{1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 127, 127, 127, 127}, func(string) { t.Error("longer than it is") })
}
