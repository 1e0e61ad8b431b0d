package wire_test

import (
	"encoding/hex"
	"errors"
	"reflect"
	"testing"

	"tunneldigger/src/wire"
	"tunneldigger/src/wire/vectors"
)

// TestVectors makes and understands every datagram of the file.
func TestVectors(t *testing.T) {
	f, err := vectors.Load("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	understand := func(what string, d *vectors.Datagram) {
		t.Helper()
		if name, fields, err := vectors.Describe(d.From, d.Bytes()); err != nil || name != d.Type || !reflect.DeepEqual(fields, d.Fields) {
			t.Errorf("%s: understood as %s %v, %v; want %s %v", what, name, fields, err, d.Type, d.Fields)
		}
	}
	build := func(what string, d *vectors.Datagram) {
		t.Helper()
		if b, err := vectors.Build(d.From, d.Type, d.Fields); err != nil || hex.EncodeToString(b) != hex.EncodeToString(d.Bytes()) {
			t.Errorf("%s: %x, %v; want %x", what, b, err, d.Bytes())
		}
	}
	for i := range f.Messages {
		understand(f.Messages[i].Name, &f.Messages[i])
		build(f.Messages[i].Name, &f.Messages[i])
	}
	for i := range f.Understood {
		understand(f.Understood[i].Name, &f.Understood[i])
	}
	for _, c := range f.Conversations {
		for i := range c.Steps {
			understand(c.Name, &c.Steps[i].Datagram)
			build(c.Name, &c.Steps[i].Datagram)
		}
	}
	faults := map[string]error{"short": wire.ErrShort, "magic": wire.ErrMagic, "version": wire.ErrVersion, "length": wire.ErrLength, "payload": wire.ErrPayload}
	for _, m := range f.Malformed {
		b, err := hex.DecodeString(m.Hex)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := vectors.Describe(m.From, b); err == nil || !errors.Is(err, faults[m.Fault]) {
			t.Errorf("%s: %v, want %v", m.Name, err, faults[m.Fault])
		}
	}
	for _, m := range f.MTUs {
		v6 := m.Family == 6
		if m.Path-wire.UDPOverhead(v6) != m.Payload || max(m.Path-wire.TunnelOverhead(v6), wire.MinTunnelMTU) != m.Tunnel {
			t.Errorf("%+v: %d %d", m, m.Path-wire.UDPOverhead(v6), m.Path-wire.TunnelOverhead(v6))
		}
	}
	for _, u := range f.UUIDs {
		if wire.ValidUUID([]byte(u.UUID)) != u.Valid {
			t.Errorf("%q: want %v", u.UUID, u.Valid)
		}
	}
}
