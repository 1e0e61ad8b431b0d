package occupant

import "testing"

func TestString(t *testing.T) {
	for _, c := range []struct {
		o    Occupant
		want string
	}{
		{Occupant{Name: "dnsmasq", PID: 812, User: "x"}, "dnsmasq (process 812)"},
		{Occupant{User: "ntp"}, "another program, of user ntp (ss -lunp shows which)"},
		{Occupant{}, "another program (ss -lunp shows which)"},
	} {
		if got := c.o.String(); got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}

func TestUserName(t *testing.T) {
	if got := userName("0"); got != "root" {
		t.Errorf("user 0 is %q", got)
	}
	if got := userName("4000000000"); got != "4000000000" {
		t.Errorf("a user without a name is %q", got)
	}
}

func FuzzParse(f *testing.F) {
	f.Add("0100007F:0035")
	f.Add("00000000000000000000000000000000:22EE")
	f.Add("0000000:22EE")
	f.Add("g:")
	f.Fuzz(func(t *testing.T, word string) {
		if at, ok := parse(word); ok && !at.IsValid() {
			t.Errorf("%q gives %v", word, at)
		}
	})
}
