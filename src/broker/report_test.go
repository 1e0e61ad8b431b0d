package broker

import (
	"testing"
	"time"
)

func TestNext(t *testing.T) {
	r := newRig(t, quiet, Options{})
	if _, ok := r.Next(0); ok {
		t.Error("a tunnel in an empty broker")
	}
	r.up(alice, "a", 7, unique)
	r.up(bob, "b", 7, 0)
	r.prepare(carol, "c", 7, unique)
	r.now += s
	r.socket(100, []byte{0x80, 0x73, 0xa7, 1, 5, 0, 0, 0, 0, 0, 0, 0})
	var got []TunnelInfo
	for info, ok := r.Next(0); ok; info, ok = r.Next(info.Tunnel + 1) {
		got = append(got, info)
	}
	if len(got) != 3 {
		t.Fatalf("%d tunnels", len(got))
	}
	a, b, c := got[0], got[1], got[2]
	if a.Tunnel != 100 || a.UUID != "a" || a.State != "up" || a.Opened != 1000*s || a.Heard != 1001*s || a.Features != unique || a.MTU != 1400 {
		t.Errorf("%+v", a)
	}
	if b.Tunnel != 101 || b.Session != 1 || b.Features != 0 || b.Heard != 1000*s {
		t.Errorf("%+v", b)
	}
	if c.State != "creating" || c.Opened != 0 {
		t.Errorf("%+v", c)
	}
	for _, id := range []uint32{103, 104, 1 << 31, 1<<32 - 1} {
		if info, ok := r.Next(id); ok {
			t.Errorf("after %d: %+v", id, info)
		}
	}
	if r.Limit() != 4 {
		t.Errorf("limit %d", r.Limit())
	}
}

func TestSetupTimes(t *testing.T) {
	c := quiet
	c.RateInterval = 2 * s
	r := newRig(t, c, Options{})
	r.prepare(alice, "a", 1, unique)
	r.now += 3 * time.Millisecond
	r.made(100)
	r.prepare(bob, "b", 1, unique)
	r.now += s
	r.prepare(bob, "b", 1, unique) // the time counts from the first one
	r.run(s)
	r.made(101)
	setup := r.Stats().Setup
	if setup.Buckets[2] != 1 || setup.Buckets[11] != 1 || setup.Sum != 2003*time.Millisecond {
		t.Errorf("%+v", setup)
	}
	var edges Setup
	for _, took := range []time.Duration{-1, 0, time.Millisecond, time.Millisecond + 1, 2 * time.Millisecond, 32768 * time.Millisecond, 32769 * time.Millisecond, time.Hour} {
		edges.add(took)
	}
	if edges.Buckets[0] != 3 || edges.Buckets[1] != 2 || edges.Buckets[15] != 1 || edges.Buckets[16] != 2 {
		t.Errorf("%v", edges.Buckets)
	}
}

// Every reason and kind has a name for programs and one for people.
func TestLabels(t *testing.T) {
	seen := map[string]bool{}
	unique := func(group, label, text string) {
		t.Helper()
		if label == "" || text == "" || seen[group+label] {
			t.Errorf("%s: label %q, text %q", group, label, text)
		}
		for _, c := range label {
			if (c < 'a' || c > 'z') && c != '_' {
				t.Errorf("%s: label %q", group, label)
			}
		}
		seen[group+label] = true
	}
	for r := ReasonNone + 1; r < ReasonCount; r++ {
		group := "closed "
		if r.Refusal() {
			group = "refused "
		}
		unique(group, r.Label(), r.String())
	}
	for d := range DropCount {
		unique("dropped ", d.Label(), d.String())
	}
	if ReasonCount.Label() != "" || Reason(200).Refusal() {
		t.Error("an unknown reason has a label")
	}
}
