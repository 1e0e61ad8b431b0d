package wire

import "bytes"

// MaxValidUUID is the longest UUID, in bytes, that a broker accepts.
const MaxValidUUID = 128

// ValidUUID reports whether a UUID may be handed to hooks and logs. UUIDs come
// from strangers, so protocol.md allows 1–128 bytes of printable ASCII without
// space and without what means something to a shell or in a path, and no
// leading hyphen; nor may it be the name that every folder has for itself or for
// the one above.
func ValidUUID(uuid []byte) bool { return UUIDFault(uuid) == "" }

// UUIDFault says in words what makes a UUID unacceptable, "" if nothing does.
func UUIDFault(uuid []byte) string {
	switch {
	case len(uuid) == 0:
		return "it is empty"
	case len(uuid) > MaxValidUUID:
		return "it is longer than 128 bytes"
	case uuid[0] == '-':
		return "it begins with a hyphen"
	case string(uuid) == "." || string(uuid) == "..":
		return "it is the name of a folder"
	}
	for _, c := range uuid {
		switch {
		case c == ' ':
			return "it has a blank"
		case c < ' ' || c == 0x7f:
			return "it has a control character"
		case c > '~':
			return "it has a character that is not ASCII"
		case bytes.IndexByte(forbidden, c) >= 0:
			return "it has a quote, or another character that means something to a shell"
		}
	}
	return ""
}

// EscapeUUID gives a UUID that is not acceptable in a form that is: printable ASCII
// without blank, with \xNN for every byte that may not be there, cut to 128 bytes
// or a few less.
func EscapeUUID(uuid []byte) string {
	const digits = "0123456789abcdef"
	var b []byte
	odd := string(uuid) == "." || string(uuid) == ".."
	for i, c := range uuid {
		if len(b) > MaxValidUUID-7 {
			return string(append(b, "..."...))
		}
		if c <= ' ' || c > '~' || bytes.IndexByte(forbidden, c) >= 0 || i == 0 && (c == '-' || odd) {
			b = append(b, '\\', 'x', digits[c>>4], digits[c&15])
		} else {
			b = append(b, c)
		}
	}
	return string(b)
}

var forbidden = []byte("\"'\\$`;&|<>/")
