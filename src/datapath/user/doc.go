// Package user has this program carry tunnels' frames, by TAP devices and package
// forward: a data path for the broker where the kernel has no L2TP. Tunnels have
// no sockets of their own; what their clients say comes to listeners, whose sockets
// the path reads, and is handed in as mail.
package user
