// Package wire parses and appends the messages of the Tunneldigger control
// protocol, as files/doc/protocol.md states them: six bytes of header, at most 255 bytes
// of payload, zero padding to at least twelve bytes, big-endian throughout.
//
// It also holds the few numbers and rules that both ends must agree on: the
// feature flags, the reasons of ERROR, the MTU arithmetic and which UUIDs are
// acceptable.
//
// Nothing in here keeps state or does input or output. Parsing does not copy:
// what a parsed message refers to belongs to the datagram and is valid as long
// as that buffer is left alone. Appending allocates only when the destination
// is too small.
package wire
