// Package admission decides when a newcomer may have a tunnel. It paces
// instead of punishing: who comes too early waits in a bounded queue, because a
// refused client avoids the broker for up to an hour (protocol.md, "Set-up").
//
// Everything here is a plain value: time is passed in as the monotonic time
// since boot, memory is bounded when the value is made, and equal inputs give
// equal results, so that a simulation can replay them.
package admission
