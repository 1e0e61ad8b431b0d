package handoff

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// Major is the version of the state that this program writes, and the newest
// that it reads.
const Major = 1

// magic begins every state, so that nothing else is taken for one.
var magic = []byte("tunneldigger state\n")

// AppendHeader begins a state.
func AppendHeader(dst []byte) []byte { return appendHeader(dst, Major) }

func appendHeader(dst []byte, major uint64) []byte {
	return binary.AppendUvarint(append(dst, magic...), major)
}

// Open checks the beginning of a state and gives its fields. The error says in
// words for an operator why it can't be read.
func Open(state []byte) (Fields, error) {
	rest, ok := bytes.CutPrefix(state, magic)
	if !ok {
		return Fields{}, ErrMalformed
	}
	major, n := binary.Uvarint(rest)
	switch {
	case n <= 0:
		return Fields{}, ErrMalformed
	case major > Major:
		return Fields{}, fmt.Errorf("the state is of version %d, this program understands %d: it is too old to follow that one; restart instead", major, Major)
	}
	return Read(rest[n:]), nil
}
