package daemon

import (
	"strings"
	"testing"
	"time"

	"tunneldigger/src/control"
	"tunneldigger/src/wire"
)

// call has the daemon carry out a command.
func (r *running) call(words ...string) (string, error) {
	body, err := control.Call(r.socket, 2*time.Minute, words...)
	return string(body), err
}

// says wants an answer, or a fault, with this text.
func (r *running) says(text string, words ...string) {
	r.Helper()
	body, err := r.call(words...)
	if err != nil {
		body = err.Error()
	}
	if !strings.Contains(body, text) {
		r.Errorf("%v: got %q, want %q", words, body, text)
	}
}

func (k *talk) usage() uint16 {
	k.t.Helper()
	load, _ := wire.ParseUint16(k.ask(wire.AppendUsageRequest(nil, wire.UniqueSessionID), wire.TypeUsage).Payload)
	return load
}

func TestCommands(t *testing.T) {
	r := serve(t, nil)
	r.log.await(t, "listening")
	one, two, three := r.dial(), r.dial(), r.dial()
	one.connect("one")
	two.connect("same")
	three.connect("same")
	r.says(`unknown command "nonsense": want one of drain, kick, reload, status, upgrade`, "nonsense")
	r.says("no tunnel has the ID or UUID \"99\"", "kick", "99")
	r.says("want kick", "kick")
	r.says("Tunnel 100 of one is being closed.", "kick", "100")
	if reason, ok := wire.ParseError(one.ask(nil, wire.TypeError).Payload); !ok || reason != wire.ReasonBrokerUndefined {
		t.Errorf("ERROR %v %v", reason, ok)
	}
	r.says("1–6000", "drain", "close-rate", "0")
	r.says("want drain", "drain", "on")
	r.says("It was not draining.", "drain", "off")
	r.says("Draining: no new tunnels; 2 stay.", "drain")
	newcomer := r.dial()
	if load := newcomer.usage(); load != 65535 {
		t.Errorf("load %d while draining", load)
	}
	newcomer.ask(newcomer.prepare("new"), wire.TypeError)
	r.log.await(t, "the broker is draining")
	r.says("taken again", "drain", "off")
	newcomer.connect("new")
	r.says("Tunnel 101 of same is being closed.\nTunnel 102 of same is being closed.\n", "kick", "same")
	two.ask(nil, wire.TypeError)
	three.ask(nil, wire.TypeError)
	r.says("1 a minute are closed", "drain", "close-rate", "1")
	if reason, _ := wire.ParseError(newcomer.ask(nil, wire.TypeError).Payload); reason != wire.ReasonBrokerShutdown {
		t.Errorf("ERROR %v", reason)
	}
}

func TestKickTakesAnIDFirst(t *testing.T) {
	r := serve(t, nil)
	r.log.await(t, "listening")
	r.dial().connect("101")
	r.dial().connect("b")
	r.says("Tunnel 101 of b is being closed.\n", "kick", "101")
	if body, err := r.call("kick", "101"); err != nil || body != "Tunnel 100 of 101 is being closed.\n" {
		t.Errorf("%q %v", body, err)
	}
}

// Of two brokers with one socket the first keeps it; both serve.
func TestTwoBrokersOneSocket(t *testing.T) {
	first := serve(t, nil)
	first.log.await(t, "listening")
	second := serve(t, nil, first.socket)
	second.log.await(t, "another broker answers there")
	second.log.await(t, "listening")
	second.dial().connect("one")
	second.stop()
	first.says("It was not draining.", "drain", "off")
}

func TestServesWithoutASocket(t *testing.T) {
	r := serve(t, nil, t.TempDir()+"/none/socket")
	r.log.await(t, "no socket for commands")
	r.log.await(t, "listening")
	r.dial().connect("one")
}
