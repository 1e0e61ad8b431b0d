// Package simulate is a small deterministic world for tests: clients, links that
// lose, repeat and reorder, and brokers on a kernel that may fail, all on one
// fake clock. Minutes of it pass in milliseconds, and equal seeds give equal
// worlds.
//
// The brokers are the real core (package broker) and the clients the real
// machine (package client); what is simulated is everything around them: the
// executor, the kernel, hooks, sockets and the network. After every step the
// world checks what must always hold; the first thing that does not ends the
// run, see [World.Run].
package simulate
