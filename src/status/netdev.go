package status

import "bytes"

// ParseDevice reads one line of /proc/net/dev (proc(5)). The name is part of
// the line.
func ParseDevice(line []byte) (name []byte, t Traffic, ok bool) {
	name, rest, found := bytes.Cut(bytes.TrimLeft(line, " "), []byte{':'})
	if !found || len(name) == 0 {
		return nil, t, false
	}
	for field := range 10 {
		rest = bytes.TrimLeft(rest, " ")
		n, digits := uint64(0), 0
		for digits < len(rest) && rest[digits] >= '0' && rest[digits] <= '9' {
			n = n*10 + uint64(rest[digits]-'0')
			digits++
		}
		if digits == 0 {
			return nil, t, false
		}
		rest = rest[digits:]
		switch field {
		case 0:
			t.RxBytes = n
		case 1:
			t.RxPackets = n
		case 8:
			t.TxBytes = n
		case 9:
			t.TxPackets = n
		}
	}
	return name, t, true
}
