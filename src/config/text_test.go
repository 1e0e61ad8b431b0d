package config

import (
	"strings"
	"testing"
)

func TestDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"", "ab", 2}, {"port", "port", 0}, {"prot", "port", 1}, {"max_tunels", "max_tunnels", 1},
		{"portt", "port", 1}, {"pord", "port", 1}, {"address", "broker", 6},
	} {
		if got := distance(c.a, c.b); got != c.want {
			t.Errorf("%s → %s: got %d, want %d", c.a, c.b, got, c.want)
		}
		if got := distance(c.b, c.a); got != c.want {
			t.Errorf("%s → %s: got %d, want %d", c.b, c.a, got, c.want)
		}
	}
}

func TestHint(t *testing.T) {
	known := []string{"mtu", "interface", "isolate"}
	for word, want := range map[string]string{
		"mut": "mtu", "interfaces": "interface", "MTU": "mtu", "isolated": "isolate",
		"xxx": "", "tu": "mtu", "u": "", "": "", strings.Repeat("x", 1000): "",
	} {
		if want != "" {
			want = ", did you mean '" + want + "'?"
		}
		if got := hint(word, known); got != want {
			t.Errorf("%s: got %q, want %q", word, got, want)
		}
	}
}

func TestQuote(t *testing.T) {
	for s, want := range map[string]string{
		"": "''", "a b": "'a b'", "a\nb": `'a\nb'`, "\xff": `'\xff'`, "ü": "'ü'", "\ufeffconfig": `'\ufeffconfig'`,
		strings.Repeat("a", 61): "'" + strings.Repeat("a", 60) + "…'",
	} {
		if got := Quote(s); got != want {
			t.Errorf("%q: got %s, want %s", s, got, want)
		}
	}
}
