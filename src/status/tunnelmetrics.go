package status

import "time"

// TunnelFamilies is how many metrics each tunnel has.
var TunnelFamilies = len(tunnelFamilies)

// tunnelFamilies are the metrics of tunnels. A value is a number, or a time.
var tunnelFamilies = []struct {
	name, kind, help string
	number           func(*Tunnel) uint64
	span             func(*Tunnel) time.Duration
}{
	{"tunnel_age_seconds", gauge, "How long the tunnel stands.", nil, (*Tunnel).age},
	{"tunnel_silence_seconds", gauge, "How long nothing was heard of the client.", nil, (*Tunnel).silence},
	{"tunnel_mtu_bytes", gauge, "MTU of the interface.", func(t *Tunnel) uint64 { return uint64(t.MTU) }, nil},
	{"tunnel_unattached", gauge, "Whether no bridge section fits the tunnel.", func(t *Tunnel) uint64 { return one(t.Unattached != "") }, nil},
	{"tunnel_hook_failed", gauge, "Whether a hook has failed for the tunnel.", func(t *Tunnel) uint64 { return one(t.HookFailed != "") }, nil},
	{"tunnel_limit_bytes_per_second", gauge, "Bandwidth limit towards the client, 0: none.", func(t *Tunnel) uint64 { return uint64(t.Bandwidth) * 125 }, nil},
	{"tunnel_receive_bytes_total", counter, "Bytes received from the client.", func(t *Tunnel) uint64 { return t.RxBytes }, nil},
	{"tunnel_receive_packets_total", counter, "Packets received from the client.", func(t *Tunnel) uint64 { return t.RxPackets }, nil},
	{"tunnel_transmit_bytes_total", counter, "Bytes sent to the client.", func(t *Tunnel) uint64 { return t.TxBytes }, nil},
	{"tunnel_transmit_packets_total", counter, "Packets sent to the client.", func(t *Tunnel) uint64 { return t.TxPackets }, nil},
}

// AppendTunnelFamily begins metric i of the tunnels, below TunnelFamilies; a
// sample of each tunnel is to follow.
func AppendTunnelFamily(b []byte, i int) []byte {
	f := &tunnelFamilies[i]
	return appendFamilyHead(b, f.name, f.kind, f.help)
}

// AppendTunnelSample appends the sample of one tunnel for metric i.
func AppendTunnelSample(b []byte, i int, t *Tunnel) []byte {
	f := &tunnelFamilies[i]
	b = appendLabel(add(b, prefix, f.name, "{"), "broker", t.Section)
	b = appendLabel(add(b, ","), "interface", t.Interface())
	b = add(appendLabel(add(b, ","), "uuid", t.UUID), "} ")
	if f.number != nil {
		return count(b, "", f.number(t), "\n")
	}
	return add(appendSeconds(b, f.span(t)), "\n")
}
