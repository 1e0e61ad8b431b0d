package daemon

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"tunneldigger/src/config"
	"tunneldigger/src/wire"
)

// A client comes back on another port: it takes its own place, and its old socket
// is told.
func TestReplace(t *testing.T) {
	r := serve(t, func(c *config.Config) { c.Brokers[0].UUIDPolicy = config.UUIDReplace })
	r.log.await(t, "listening")
	one, two := r.dial(), r.dial()
	one.connect("node")
	two.connect("node")
	one.ask(nil, wire.TypeError)
	two.ask(wire.AppendPMTUD(nil, 1300), wire.TypePMTUDAck)
	r.log.await(t, "a new client with its UUID took its place")
}

// Two nodes have one UUID: the second is told at once, and the log, once, of both.
func TestRefuse(t *testing.T) {
	r := serve(t, func(c *config.Config) { c.Brokers[0].UUIDPolicy = config.UUIDRefuse })
	r.log.await(t, "listening")
	one, two := r.dial(), r.dial()
	one.connect("node")
	for range 3 {
		two.ask(two.prepare("node"), wire.TypeError)
	}
	one.ask(wire.AppendPMTUD(nil, 1300), wire.TypePMTUDAck)
	r.log.await(t, "two nodes have the same UUID")
	r.log.await(t, two.LocalAddr().String())
	if n := r.log.count("two nodes have the same UUID"); n != 1 {
		t.Errorf("said %d times", n)
	}
}

// Over the limit of a UUID: told so, then held off; the status shows it.
func TestHeldOff(t *testing.T) {
	r := serve(t, func(c *config.Config) { c.Brokers[0].PerUUID = config.Rate{Count: 1, Time: time.Minute} })
	r.log.await(t, "listening")
	one, two := r.dial(), r.dial()
	one.connect("node")
	for range 3 {
		two.ask(two.prepare("node"), wire.TypeError)
	}
	two.connect("other")
	r.log.await(t, "too many connections with this UUID")
	r.log.await(t, "it came again too soon after it was refused")
	r.says("held off: 1: UUIDs that came too often", "status")
}

// A hook that is of no tunnel ends as those of tunnels do, and the broker goes on.
func TestHookOfNoTunnel(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "10-say"), []byte("#!/bin/sh\necho \"$ACTION of $UUID\"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	r := serve(t, func(c *config.Config) {
		c.Brokers[0].PerUUID, c.Hooks.Directory = config.Rate{Count: 1, Time: time.Minute}, dir
	})
	r.log.await(t, "listening")
	one, two := r.dial(), r.dial()
	one.connect("node")
	two.ask(two.prepare("node"), wire.TypeError)
	r.log.await(t, "line=\"broker.connection-rate-limit of node\"")
	two.connect("other") // whose hook ends after that one
	r.log.await(t, "line=\"session.up of other\"")
	r.says("tunnels: 2 of 16", "status")
}
