//go:build vm || native

package e2e

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tunneldigger/src/wire"
)

// A session.verify program that hangs, crashes, floods its output or takes its time, by what the UUID says.
const verifyScript = `#!/bin/sh
case $UUID in
hang*) exec sleep 4321 ;;
crash*) kill -SEGV $$ ;;
flood*) while :; do echo "and on it goes"; done ;;
late*) sleep 1 ;;
esac
`

// Whatever session.verify does, tunnels stand, the broker answers, who is known gets in, and everybody gets an answer.
func TestVerifyMisbehaves(t *testing.T) {
	w := New(t)
	server, router := w.Host("broker"), w.Host("client")
	script := filepath.Join(t.TempDir(), "verify")
	if err := os.WriteFile(script, []byte(verifyScript), 0o755); err != nil {
		t.Fatal(err)
	}
	b := server.StartBroker("config broker 'wan'\n\tlist port '8942'\n\toption connection_rate_limit '0'\n\toption max_tunnels '100'\n"+
		"\nconfig hooks\n\toption session_verify '"+script+"'\n\toption timeout '6'\n", 8942)
	at := netip.AddrPortFrom(server.Addr4, 8942)
	standing := router.peer(0, at)
	standing.connect("good", 1, wire.UniqueSessionID)

	// Slow, but not too slow; before the others take the places.
	began := time.Now()
	router.peer(0, at).connect("late", 2, wire.UniqueSessionID)
	alone := time.Since(began)
	var waiting []*peer
	for i, uuid := range []string{"crash", "flood", "hang", "crash", "flood", "hang", "hang", "hang", "hang", "hang", "hang", "hang"} {
		p := router.peer(0, at)
		p.send(p.prepare(fmt.Sprint(uuid, i), uint32(10+i), wire.UniqueSessionID))
		waiting = append(waiting, p)
	}
	// Nobody waits for them.
	began = time.Now()
	standing.ask(wire.AppendPMTUD(nil, 1300), wire.TypePMTUDAck)
	router.peer(0, at).connect("good", 3, wire.UniqueSessionID)
	router.peer(0, at).connect("late", 4, wire.UniqueSessionID)
	if took := time.Since(began); took > 3*time.Second+2*alone {
		t.Errorf("known clients waited for %v, one of them alone for %v", took, alone)
	}
	for i, p := range waiting {
		w.Wait(soon, fmt.Sprintf("an answer to client %d", i), func() bool { return len(p.times(wire.TypeError)) > 0 })
		if len(p.times(wire.TypeTunnel)) > 0 {
			t.Errorf("client %d was let in", i)
		}
	}
	b.WaitLog("no answer from session.verify in time: the client is refused", soon)
	w.Wait(soon, "no process left", func() bool { return len(running("4321")) == 0 })
	if n := len(b.Log()); n > 200<<10 {
		t.Errorf("%d bytes of log", n)
	}
	if !strings.Contains(b.Log(), "hook output left out") {
		t.Error("the log does not say that output was left out")
	}
	standing.ask(wire.AppendPMTUD(nil, 1300), wire.TypePMTUDAck)
	router.peer(0, at).connect("good-again", 5, wire.UniqueSessionID)
}
