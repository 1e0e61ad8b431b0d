//go:build !mips && !race

// Go's race detector takes cgo, with which nothing can be set for all threads (syscall.AllThreadsSyscall); our programs are without.

package privilege

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

func TestMain(m *testing.M) {
	if how := os.Getenv("PRIVILEGE_DROP"); how != "" {
		if err := Drop(how == "confine"); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		threads, _ := filepath.Glob("/proc/self/task/*/status")
		for _, path := range threads { // one that has ended meanwhile says nothing
			text, _ := os.ReadFile(path)
			fmt.Println(string(text))
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// A process that has dropped its privileges has none in effect beside those that it needs, on any thread; confined, it can't get others.
func TestDrop(t *testing.T) {
	for _, how := range []string{"plain", "confine"} {
		child := exec.Command("/proc/self/exe")
		child.Env = append(os.Environ(), "PRIVILEGE_DROP="+how)
		out, err := child.Output()
		if err != nil {
			t.Fatalf("%s: %v: %s", how, err, out)
		}
		threads := 0
		for _, line := range strings.Split(string(out), "\n") {
			name, value, _ := strings.Cut(line, ":")
			value = strings.TrimSpace(value)
			set, err := strconv.ParseUint(value, 16, 64)
			switch {
			case name == "CapEff":
				threads++
				if err != nil || set&^needed != 0 {
					t.Errorf("%s: %s is %s", how, name, value)
				}
			case how == "confine" && (name == "CapPrm" || name == "CapInh" || name == "CapAmb"):
				if err != nil || set&^needed != 0 {
					t.Errorf("%s: %s is %s", how, name, value)
				}
			case how == "confine" && name == "NoNewPrivs" && value != "1":
				t.Errorf("%s: %s is %s", how, name, value)
			}
		}
		if threads < 2 {
			t.Errorf("%s: %d threads have said what they have", how, threads)
		}
	}
}
