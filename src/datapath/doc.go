// Package datapath carries tunnels' frames, and knows nothing of who wants them.
//
// A Path makes tunnels: socket, tunnel and interface, which is down at first. What
// an interface is to be from then on is a wish, a Want: Interfaces compares it with
// what is, does what differs, remembers what it could not do, and tries that
// again by Tick. Wish and fact are never one field. What happened comes back as
// Events.
//
// The paths are kernel.Path, which has the kernel's L2TP carry the frames,
// user.Path, which does it itself, and None, which carries none; package carriers
// chooses. There can be several at once; their interfaces are all in one Interfaces,
// as they share bridges and IDs. Nothing here is safe for concurrent use.
package datapath
