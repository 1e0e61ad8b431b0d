package agent

import (
	"errors"

	"golang.org/x/sys/unix"

	"tunneldigger/src/client"
	"tunneldigger/src/hook"
	"tunneldigger/src/wire"
)

func (a *Agent) carryOut(e *client.Effect) {
	b := a.brokers[e.Broker]
	switch e.Kind {
	case client.Open:
		b.round++
		go a.lookup(b, b.host, b.round)
	case client.Close:
		b.close()
	case client.Send:
		a.send(b, e.Data)
	case client.Probe:
		a.probe = wire.AppendPMTUD(a.probe[:0], e.Size)
		if err := b.socket.probe(a.probe); err != nil && !errors.Is(err, unix.EMSGSIZE) {
			b.complain(a.log, "send a probe", err)
		}
	case client.CreateTunnel:
		a.create(b, e)
	case client.DeleteTunnel:
		if err := a.tunnels.Delete(); err != nil {
			a.log.Error("remove the tunnel", "error", err)
		}
	case client.SetMTU:
		if err := a.tunnels.SetMTU(e.MTU); err != nil {
			a.log.Error("set the MTU", "error", err)
			return
		}
		a.log.Info("MTU set", "interface", a.cfg.Interface, "mtu", e.MTU)
	case client.RunHook:
		a.hooks.Run(hook.Request{
			Key: 1, Event: e.Hook.String(), Program: a.cfg.Hook, Args: []string{e.Hook.String(), a.cfg.Interface},
			Timeout: hookTimeout, Tag: uint64(e.Hook),
		})
	case client.Report:
		a.report(b, e)
	case client.Exit:
		a.exit = true
	}
}

func (a *Agent) send(b *broker, data []byte) {
	err := b.socket.send(data)
	if err == nil {
		return
	}
	b.complain(a.log, "send", err)
	// The address or the device that the socket is bound to went away.
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENODEV) || errors.Is(err, unix.ENXIO) {
		a.pending = append(a.pending, client.Event{Kind: client.SocketFailed, Broker: b.index})
	}
}

func (a *Agent) create(b *broker, e *client.Effect) {
	ev := client.Event{Kind: client.TunnelUp}
	reader, reads := a.tunnels.(Reader)
	if reads {
		s := b.socket
		reader.Deliver(func(data []byte) { s.deliver(a.arrived, b, data) })
	}
	if err := a.tunnels.Create(e.Tunnel, b.socket.fd, e.MTU); err != nil {
		a.log.Error("make the tunnel", "error", err)
		ev.Kind = client.TunnelFailed
	} else if reads {
		b.socket.leave()
	}
	a.pending = append(a.pending, ev)
}

func (a *Agent) report(b *broker, e *client.Effect) {
	switch e.Note {
	case client.Selecting:
		a.log.Info(e.Note.String())
	case client.NoBroker:
		a.log.Warn(e.Note.String())
	case client.Selected, client.Stopped:
		a.log.Info(e.Note.String(), "broker", b.name, "address", b.socket.peer)
	case client.Established:
		t, mtu, _, _ := a.machine.Tunnel()
		a.log.Info(e.Note.String(), "broker", b.name, "interface", a.cfg.Interface, "mtu", mtu,
			"tunnel", t.ID, "session", t.SessionID, "peer_tunnel", t.PeerID, "peer_session", t.PeerSessionID)
	case client.Refused, client.Closed:
		reason := "none given"
		if e.Reason != 0 {
			reason = e.Reason.String()
		}
		a.log.Warn(e.Note.String(), "broker", b.name, "reason", reason)
	default:
		a.log.Warn(e.Note.String(), "broker", b.name)
	}
}
