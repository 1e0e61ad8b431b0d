// Package client is the state machine of a Tunneldigger client: it asks its
// brokers for their load, chooses one, sets a tunnel up, keeps it, and starts
// again when it is lost (protocol.md). Its habits and times are those of the C
// client in the field, so that it can stand for one in a test.
//
// A Machine is pure. It takes events with the time at which they happened, and
// appends effects, which the caller carries out in order: package agent with
// sockets and the kernel, tests and simulations with whatever they like.
//
// The caller's duties: Open is answered by Opened or OpenFailed, CreateTunnel by
// TunnelUp or TunnelFailed, RunHook of PreDown by HookDone, each once, unless a
// Close of that broker comes before the answer to Open. When Due has come, the
// caller hands in Tick.
package client
