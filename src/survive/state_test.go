package survive

import (
	"bytes"
	"net/netip"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// full is a State in which nothing is left out.
func full() *State {
	peer, local := netip.MustParseAddrPort("192.0.2.1:4711"), netip.MustParseAddrPort("[2001:db8::1]:8942")
	return &State{
		Version: "1.1", Config: "config broker 'wan'", Started: time.Hour, Key: [16]byte{1, 2}, Serial: 7, Hooks: []byte{1, 0}, Ended: 8, Failed: 9,
		Unsent: 10, Confined: true, Moved: true, Moving: true,
		Sections: []Section{{Number: 1, Name: "wan", Config: "config", Leaving: true, Complete: true, Opened: 13, Unattached: 19, Device: 20,
			Listeners: map[uint32][]int{1024: {14, 21}}, User: true, Core: []byte{1, 0}}},
		Tunnels: []Tunnel{{ID: 100, Section: 1, Listener: 1024, FD: 15, Peer: peer, Local: local, Interface: "l2tp100-100", Master: "br-mesh",
			Isolated: true, Unsettled: true, Stored: true, HookFailed: "session.up: exit status 1"}},
		Sockets: []int{22}, Control: 16, Path: "/run/socket", Caller: 17, Store: 18, Remove: []string{"tunnel-101"},
	}
}

// filled fails where a field of a struct has its zero value.
func filled(t *testing.T, value reflect.Value) {
	t.Helper()
	for i := range value.NumField() {
		if name := value.Type().Field(i).Name; name == "Unborn" || name == "NeverUp" || name == "_" { // nobody writes them any more
			continue
		}
		if value.Field(i).IsZero() {
			t.Errorf("the test leaves %v.%s empty", value.Type(), value.Type().Field(i).Name)
		}
	}
}

// Every field is handed over, and every descriptor is named.
func TestStateIsHandedOver(t *testing.T) {
	want := full()
	filled(t, reflect.ValueOf(*want))
	filled(t, reflect.ValueOf(want.Tunnels[0]))
	filled(t, reflect.ValueOf(want.Sections[0]))
	got, err := Read(want.Append(nil))
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v: read\n%+v, want\n%+v", err, got, want)
	}
	files := want.Files()
	slices.Sort(files)
	if !slices.Equal(files, []int{14, 15, 16, 17, 18, 21, 22}) {
		t.Errorf("files %v", files)
	}
	none := &State{Tunnels: []Tunnel{{FD: -1}}, Control: -1, Caller: -1, Store: -1}
	if files := none.Files(); len(files) != 0 {
		t.Errorf("files %v", files)
	}
	if got, err := Read(none.Append(nil)); err != nil || got.Tunnels[0].FD != -1 || got.Control != -1 || got.Caller != -1 || got.Store != -1 {
		t.Errorf("%v: read %+v", err, got)
	}
}

// What version 1.0 wrote reads as it was meant then.
func TestStateOfVersion1(t *testing.T) {
	text, err := os.ReadFile("testdata/state-1.0")
	if err != nil {
		t.Fatal(err)
	}
	s, err := Read(text)
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Sections) != 1 || len(s.Tunnels) != 1 {
		t.Fatalf("read %+v", s)
	}
	section, tunnel := s.Sections[0], s.Tunnels[0]
	if !strings.HasPrefix(s.Config, "config broker 'wan'\n\tlist port '8942'\n") || !strings.HasPrefix(section.Config, "config broker 'wan'\n") ||
		len(section.Core) == 0 || len(section.Listeners) != 0 {
		t.Errorf("read %+v", s)
	}
	s.Config, s.Sections, s.Tunnels, section.Config, section.Core, section.Listeners = "", nil, nil, "", nil, nil
	if want := (State{Version: "1.0", Key: [16]byte{1}, Serial: 7, Hooks: []byte{}, Unborn: []uint64{9}, Control: -1, Caller: 5, Store: -1}); !reflect.DeepEqual(*s, want) {
		t.Errorf("read %+v", s)
	}
	if want := (Section{Name: "wan"}); !reflect.DeepEqual(section, want) {
		t.Errorf("read %+v", section)
	}
	want := Tunnel{
		ID: 105, Listener: 3, FD: 9, Peer: netip.MustParseAddrPort("192.0.2.1:4711"), Local: netip.MustParseAddrPort("192.0.2.2:8942"),
		Interface: "l2tp105-105", Master: "br-mesh", Isolated: true, NeverUp: true, Stored: true,
	}
	if !reflect.DeepEqual(tunnel, want) {
		t.Errorf("read %+v", tunnel)
	}
}

// What is no state, or one of the future, is refused in words.
func TestRefusal(t *testing.T) {
	for _, c := range []struct {
		name  string
		state []byte
		want  string
	}{
		{"empty", nil, "damaged"},
		{"something else", []byte("#!/bin/sh\n"), "damaged"},
		{"no version", magic, "damaged"},
		{"the future", begin(nil, major+1), "too old"},
	} {
		if _, err := Read(c.state); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

// Whatever a state says, reading it ends, and what was read is read again as the same.
func FuzzRead(f *testing.F) {
	f.Add(full().Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := Read(b)
		if err != nil {
			return
		}
		s.Files()
		again, err := Read(s.Append(nil))
		if err != nil {
			t.Fatal(err)
		}
		if again.Hooks == nil {
			t.Fatal("no hooks")
		}
		if s.Hooks == nil {
			s.Hooks = []byte{}
		}
		if !bytes.Equal(again.Append(nil), s.Append(nil)) && len(s.Sections) == 0 {
			t.Fatalf("read %+v, then %+v", s, again)
		}
	})
}
