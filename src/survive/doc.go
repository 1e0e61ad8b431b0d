// Package survive carries tunnels from one process of the broker to the next. An
// upgrade hands over everything: a State, and descriptors that stay open across
// exec. For a crash a Store keeps a record of each tunnel and of the process, and
// copies of the tunnels' sockets where systemd takes them.
package survive
