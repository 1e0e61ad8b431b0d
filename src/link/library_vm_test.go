//go:build vm

package link

import (
	"testing"

	"github.com/jsimonetti/rtnetlink/v2"
	"golang.org/x/sys/unix"
)

// A second opinion on what was set and what is listed: the library's.
func TestLibraryAgrees(t *testing.T) {
	c := open(t)
	bridge, port := add(t, c, "br0", "bridge"), add(t, c, "port0", "dummy")
	if err := c.UpAttach(port, 1400, bridge); err != nil {
		t.Fatal(err)
	}
	library, err := rtnetlink.Dial(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer library.Close()
	theirs, err := library.Link.List()
	if err != nil {
		t.Fatal(err)
	}
	ours := make(map[int]Link)
	if err := c.List(func(e Link) { ours[e.Index] = e }); err != nil {
		t.Fatal(err)
	}
	if len(ours) != len(theirs) {
		t.Errorf("%d interfaces, the library has %d", len(ours), len(theirs))
	}
	for _, l := range theirs {
		want := Link{Index: int(l.Index), Name: l.Attributes.Name, MTU: int(l.Attributes.MTU), Up: l.Flags&unix.IFF_UP != 0}
		if l.Attributes.Info != nil {
			want.Bridge = l.Attributes.Info.Kind == "bridge"
		}
		if l.Attributes.Master != nil {
			want.Master = int(*l.Attributes.Master)
		}
		if got := ours[want.Index]; got != want {
			t.Errorf("got %+v, the library has %+v", got, want)
		}
	}
	if e := ours[port]; e.Master != bridge || e.MTU != 1400 || !e.Up {
		t.Errorf("the port is %+v", e)
	}
}
