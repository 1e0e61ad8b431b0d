package broker

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"unsafe"

	"tunneldigger/src/config"
	"tunneldigger/src/wire"
)

// handOver gives a successor of b, which must know all that b knows.
func handOver(t *testing.T, b *Broker) *Broker {
	t.Helper()
	state := b.AppendState(nil)
	next, err := Restore(b.config, b.options, state)
	if err != nil {
		t.Fatalf("restore: %v", err)
	}
	next.lists, next.shed, next.strangers = b.lists, b.shed, b.strangers // see below
	check(t, next)
	if again := next.AppendState(nil); !bytes.Equal(state, again) {
		t.Fatalf("restored, the state is\n%x\ninstead of\n%x", again, state)
	}
	type plain struct {
		stats                    Stats
		serial                   uint64
		careful, stopping, noOld bool
		why                      Reason
	}
	if is, was := (plain{next.stats, next.serial, next.careful, next.stopping, next.noOld, next.why}), (plain{b.stats, b.serial, b.careful, b.stopping, b.noOld, b.why}); is != was {
		t.Fatalf("restored, the broker has\n%+v\ninstead of\n%+v", is, was)
	}
	b.tunnels.each(func(old *tunnel) {
		if now := next.tunnels.get(old.id); now != nil {
			now.misfit = old.misfit // begins anew: it is about the last seconds
			a, b := *old, *now
			a.place, b.place = 0, 0 // equal times may stand in any order
			if !reflect.DeepEqual(a, b) {
				t.Fatalf("restored, the tunnel is\n%+v\ninstead of\n%+v", b, a)
			}
		}
	})
	return next
}

// fill gives every field of the struct that v is a value of another value than
// zero.
func fill(v reflect.Value, n *uint64) {
	for i := range v.NumField() {
		f := reflect.NewAt(v.Field(i).Type(), unsafe.Pointer(v.Field(i).UnsafeAddr())).Elem()
		*n++
		switch f.Kind() {
		case reflect.Int, reflect.Int64:
			f.SetInt(int64(*n))
		case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
			f.SetUint(*n)
		case reflect.Bool:
			f.SetBool(true)
		case reflect.Struct:
			if f.Type() != reflect.TypeOf(alice.peer) {
				fill(f, n)
			}
		}
	}
}

// Every field of a tunnel is handed over. Who adds one finds it here.
func TestTunnelFieldsAreCarried(t *testing.T) {
	var n uint64
	var want tunnel
	fill(reflect.ValueOf(&want).Elem(), &n)
	want.pair, want.uuid, want.state, want.mtu = alice6, "a", answered, 1300
	want.successor = &request{pair: bob, listener: 1, peerTunnel: 2, features: 3, uuid: "b", heard: 4, since: 5}
	want.rivalry = &rivalry{1, 2, true, alice, 3, 4}
	path := reflect.ValueOf(&want.prober).Elem()
	for _, name := range []string{"path", "best"} { // sizes that are probed
		reflect.NewAt(path.FieldByName(name).Type(), unsafe.Pointer(path.FieldByName(name).UnsafeAddr())).Elem().SetInt(1492)
	}
	reflect.NewAt(path.FieldByName("hints").Type(), unsafe.Pointer(path.FieldByName("hints").UnsafeAddr())).Elem().SetInt(3)
	want.place = -1
	v := reflect.ValueOf(want)
	for i := range v.NumField() {
		if name := v.Type().Field(i).Name; v.Field(i).IsZero() && name != "misfit" && name != "_" {
			t.Errorf("the test leaves %s empty", name)
		}
	}
	got, err := restoreTunnel(want.append(nil))
	if err != nil || !reflect.DeepEqual(*got, want) {
		t.Fatalf("%v\n%+v\ninstead of\n%+v", err, *got, want)
	}
}

// Every field of a Broker is handed over, or it is known why not.
func TestBrokerFieldsAreCarried(t *testing.T) {
	known := []string{
		"tunnels", "pairs", "deadlines", "ids", "serial", "queue", "perIP", "perUUID", "hooked", "careful", "stopping", "why", "noOld", "stats", "drain", "recent",
		"config", "options", "limit", // given to Restore
		"lists",             // read from their files again
		"shed",              // begins anew: it is about this second
		"strangers",         // begins anew: it is about the last seconds
		"probeSizes", "out", // empty between two calls
	}
	for i, typ := 0, reflect.TypeOf(Broker{}); i < typ.NumField(); i++ {
		if name := typ.Field(i).Name; !slices.Contains(known, name) {
			t.Errorf("Broker.%s: hand it over in AppendState and Restore, or say here why not", name)
		}
	}
	var n uint64
	var want, got Stats
	fill(reflect.ValueOf(&want).Elem(), &n)
	for i := range want.Drops {
		want.Drops[i] = uint64(100 + i)
	}
	for i := range want.Reasons {
		want.Reasons[i] = uint64(200 + i)
	}
	for i := range want.Setup.Buckets {
		want.Setup.Buckets[i] = uint64(300 + i)
	}
	if err := got.restore(want.append(nil)); err != nil || got != want {
		t.Errorf("%v: %+v instead of %+v", err, got, want)
	}
}

// The configuration changed with the program: what has no place is left out,
// and the rest is sound.
func TestRestoreIntoAnotherRange(t *testing.T) {
	r := newRig(t, quiet, Options{})
	a, b := r.up(alice, "a", 1, unique), r.up(bob, "b", 1, unique)
	c := quiet
	c.TunnelIDBase, c.MaxTunnels = b, 2
	next, err := Restore(c, r.options, r.AppendState(nil))
	if err != nil {
		t.Fatal(err)
	}
	check(t, next)
	if next.Holds(a) || !next.Holds(b) || next.Tunnels() != 1 {
		t.Errorf("holds %d: %v, %d: %v", a, next.Holds(a), b, next.Holds(b))
	}
}

// The MTU was fixed, and is to be discovered from now on.
func TestRestoreIntoDiscovery(t *testing.T) {
	r := newRig(t, quiet, Options{})
	r.up(alice, "a", 1, unique)
	c := quiet
	c.PMTU = 0
	next, err := Restore(c, r.options, r.AppendState(nil))
	if err != nil {
		t.Fatal(err)
	}
	r.Broker = next
	if lines := only(r.run(2*s), "PMTUD"); len(lines) == 0 {
		t.Error("no probe")
	}
}

// A broker that was killed: its tunnels' records bring them back.
func TestAdopt(t *testing.T) {
	r := newRig(t, probing, Options{})
	a, b := r.up(alice, "a", 7, unique), r.up(bob, "b", 8, 0)
	r.socket(a, wire.AppendPMTUNtfy(nil, 1300))
	r.socket(b, wire.AppendLimit(nil, 1, 500))
	r.hookDone(b, config.EventSessionUp)
	records := [][]byte{r.AppendTunnel(nil, a), {1, 2}, r.AppendTunnel(nil, b), nil}
	records = append(records, records[0]) // the same one twice
	want := []tunnel{*r.tunnels.get(a), *r.tunnels.get(b)}

	r.now += 50 * s
	r.Broker = New(probing, r.options)
	if ids := r.Adopt(r.now, records); !slices.Equal(ids, []uint32{a, b}) {
		t.Fatalf("adopted %v", ids)
	}
	check(t, r.Broker)
	for _, w := range want {
		g := r.tunnels.get(w.id)
		if !g.same([]byte(w.uuid), w.peerTunnel, w.features) || g.mtu != w.mtu || g.bandwidth != w.bandwidth || g.heard != r.now {
			t.Errorf("adopted %+v instead of %+v", g, w)
		}
	}
	// Of a, hooks may not have heard.
	for id, want := range map[uint32][]string{a: {fmt.Sprint("hook session.up ", a)}, b: nil} {
		if got := r.event(Event{Kind: EventAdopted, Tunnel: id}).lines(); !slices.Equal(got, want) {
			t.Errorf("tunnel %d is adopted: %q instead of %q", id, got, want)
		}
	}
	// It answers a repeated PREPARE as it did, keeps the tunnels alive, and takes others.
	r.prepare(alice, "a", 7, unique)
	if got := r.lines()[0]; got != "100 ← TUNNEL 100 features 1" {
		t.Errorf("a repeated PREPARE: %s", got)
	}
	if lines := only(r.run(11*s), "KEEPALIVE", "PMTUD 1472"); len(lines) < 5 {
		t.Errorf("after Adopt: %q", lines)
	}
	if id := r.up(carol, "c", 1, unique); id == a || id == b {
		t.Errorf("tunnel %d is given twice", id)
	}
}

// FuzzRestore: whatever it reads, the books are in order.
func FuzzRestore(f *testing.F) {
	f.Add([]byte{})
	c := config.Broker{Name: "wan", MaxTunnels: 4, TunnelIDBase: 100, TunnelTimeout: 60 * s, RateInterval: s, PerIP: config.Rate{Count: 9, Time: s}}
	f.Fuzz(func(t *testing.T, state []byte) {
		r := newRig(t, c, Options{})
		b, err := Restore(c, r.options, state)
		if err != nil {
			return
		}
		for _, tun := range b.tunnels.slots {
			if tun != nil && tun.mtu > wire.DefaultTunnelMTU {
				return // a fixed one of another configuration
			}
		}
		check(t, b)
		handOver(t, b)
		r.Broker = New(c, r.options)
		if tun, err := restoreTunnel(state); err != nil || tun.mtu > wire.DefaultTunnelMTU {
			return
		}
		r.Adopt(r.now, [][]byte{state})
		check(t, r.Broker)
	})
}

// A state with all that there is, as a seed for FuzzRestore and as a check that
// states which are cut off anywhere are refused or sound.
func TestCutOff(t *testing.T) {
	c := probing
	c.RateInterval, c.PerIP = 2*s, config.Rate{Count: 2, Time: 30 * s}
	r := newRig(t, c, Options{Verify: true})
	r.prepare(alice, "a", 1, unique)
	r.hookDone(100, config.EventVerify)
	r.made(100)
	r.prepare(bob, "b", 1, unique)
	r.prepare(alice, "x", 1, unique)
	r.prepare(carol, "c", 1, unique)
	r.run(2 * s)
	r.hookDone(101, config.EventVerify)
	r.failed(101, FaultExists)
	state := r.AppendState(nil)
	refused := 0
	for n := range state {
		if b, err := Restore(c, r.options, state[:n]); err != nil {
			refused++
		} else {
			check(t, b)
		}
	}
	if refused < len(state)/2 {
		t.Errorf("%d of %d cuts were refused", refused, len(state))
	}
}
