package survive

import (
	"bytes"
	"encoding/binary"

	"tunneldigger/src/phrase"
	"tunneldigger/src/tlv"
)

// major is the version of the State that this program writes, and the newest that it
// reads. It goes up where a tag or value has to change its meaning: then older
// programs refuse the state instead of misreading it.
const major = 1

// magic begins every state, so that nothing else is taken for one.
var magic = []byte("tunneldigger state\n")

// begin begins a state of a version.
func begin(dst []byte, version uint64) []byte {
	return binary.AppendUvarint(append(dst, magic...), version)
}

// open checks the beginning of a state and gives its fields. The error says in
// words for an operator why it can't be read.
func open(state []byte) (tlv.Fields, error) {
	rest, ok := bytes.CutPrefix(state, magic)
	if !ok {
		return tlv.Fields{}, tlv.ErrMalformed
	}
	version, n := binary.Uvarint(rest)
	switch {
	case n <= 0:
		return tlv.Fields{}, tlv.ErrMalformed
	case version > major:
		return tlv.Fields{}, phrase.Errorf("the state is of version %d, this program understands %d: it is too old to follow that one; restart instead", version, major)
	}
	return tlv.Read(rest[n:]), nil
}
