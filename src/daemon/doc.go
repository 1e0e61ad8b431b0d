// Package daemon runs broker cores: it owns the loop, the sockets, the kernel's
// tunnels and the hooks, turns what happens into the core's events and carries
// out the effects that come back.
//
// There is one loop, on one goroutine, with one clock read a turn. Only hooks
// and signals have goroutines; they come back into the loop by an eventfd.
package daemon
