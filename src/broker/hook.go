package broker

import (
	"strconv"

	"tunneldigger/src/config"
)

// HookFacts are the arguments and the environment of the hooks of an EffectHook of a
// section, as existing scripts expect them.
func (e *Effect) HookFacts(section string) (args, env []string) {
	id, session := strconv.Itoa(int(e.Tunnel)), strconv.Itoa(int(e.Session))
	mtu, old := strconv.Itoa(e.MTU), strconv.Itoa(e.OldMTU)
	peer, peerPort := e.Peer.Addr().String(), strconv.Itoa(int(e.Peer.Port()))
	port := strconv.Itoa(int(e.Local.Port()))
	env = []string{
		"ACTION=" + e.Hook.String(), "UUID=" + e.UUID, "BROKER=" + section,
		"ENDPOINT_IP=" + peer, "ENDPOINT_PORT=" + peerPort, "LOCAL_PORT=" + port,
	}
	switch e.Hook {
	case config.EventRateLimit:
		return []string{peer, peerPort, e.UUID}, env
	case config.EventVerify:
		return []string{peer, peerPort, port, e.UUID}, env
	}
	name := e.Interface()
	env = append(env, "TUNNEL_ID="+id, "SESSION_ID="+session, "INTERFACE="+name, "MTU="+mtu)
	if e.Hook == config.EventMTUChanged {
		return []string{id, session, name, old, mtu, e.UUID}, append(env, "OLD_MTU="+old)
	}
	return []string{id, session, name, mtu, peer, peerPort, port, e.UUID, port}, env
}
