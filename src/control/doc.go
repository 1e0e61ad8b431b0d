// Package control is the socket by which commands reach a running broker: a
// Unix stream socket, served in the broker's own loop without a goroutine, and
// the side of the one who calls.
//
// A request is one line of words. The answer is a line "ok" or "error: TEXT",
// then a body until the end of file. A caller that makes no progress is
// dropped, and only a few are served at once; the others wait in the socket's
// backlog. So nothing that callers do, or leave undone, costs the broker more
// than a fixed amount of memory and one piece of an answer in a turn.
package control
