package kernel

import (
	"os"
	"path/filepath"
	"testing"
)

// What somebody else has wanted stays, and what we have wanted does not, whichever process of ours it was.
func TestHurry(t *testing.T) {
	defer func(was string) { expedited = was }(expedited)
	expedited = filepath.Join(t.TempDir(), "rcu_expedited")
	if Hurry(true) != nil {
		t.Error("there is no such file")
	}
	for _, c := range []struct {
		was        string
		ours, does bool
	}{{"0\n", false, true}, {"0\n", true, true}, {"1\n", false, false}, {"1\n", true, true}} {
		if err := os.WriteFile(expedited, []byte(c.was), 0o600); err != nil {
			t.Fatal(err)
		}
		calm := Hurry(c.ours)
		if text, _ := os.ReadFile(expedited); text[0] != '1' || (calm != nil) != c.does {
			t.Errorf("%+v: %q, to be calmed %v", c, text, calm != nil)
		}
		if calm == nil {
			continue
		}
		calm()
		if text, _ := os.ReadFile(expedited); text[0] != '0' {
			t.Errorf("%+v: %q in the end", c, text)
		}
	}
}
