package wire

import "bytes"

// MaxValidUUID is the longest UUID, in bytes, that a broker accepts.
const MaxValidUUID = 128

// ValidUUID tells whether a UUID may be handed to hooks and logs. UUIDs come
// from strangers, so REFERENCE.md allows 1–128 bytes of printable ASCII without
// space and without what means something to a shell or in a path, and no
// leading hyphen; nor may it be the name that every folder has for itself or for
// the one above.
func ValidUUID(uuid []byte) bool {
	if len(uuid) == 0 || len(uuid) > MaxValidUUID || uuid[0] == '-' ||
		string(uuid) == "." || string(uuid) == ".." {
		return false
	}
	for _, c := range uuid {
		if c <= ' ' || c > '~' || bytes.IndexByte(forbidden, c) >= 0 {
			return false
		}
	}
	return true
}

var forbidden = []byte("\"'\\$`;&|<>/")
