package admission

import (
	"bytes"
	"net/netip"
	"slices"
	"strings"

	"tunneldigger/src/config"
	"tunneldigger/src/phrase"
	"tunneldigger/src/wire"
)

const (
	// MaxListSize is the largest text, in bytes, that [ParseList] takes: some
	// 50 000 UUIDs. A reader need not read more than one byte beyond it.
	MaxListSize = 2 << 20
	// maxListFaults bounds what is said about a file that is none at all.
	maxListFaults = 20
)

// List is an allow or deny list: UUIDs and ranges of addresses. It is not
// changed after [ParseList] has returned it. A nil List has nothing.
type List struct {
	uuids []string // sorted, parts of one string
	// ranges are the keys of a first and a last address, one behind the other,
	// sorted, apart from one another. (As strings they share the sorting code.)
	ranges []string
	lines  int
}

// keySize is the length of an address as a key, which orders addresses: 4 or 6
// for the family, so that ::/0 is all of IPv6 only, then the address, IPv4 mapped
// to IPv6.
const keySize = 17

func keyOf(a netip.Addr) (k [keySize]byte) {
	k[0] = 6
	if a = a.Unmap(); a.Is4() {
		k[0] = 4
	}
	addr := a.As16()
	copy(k[1:], addr[:])
	return k
}

// ParseList reads a list: one UUID, IP address or prefix (192.0.2.0/24,
// 2001:db8::/32) a line; blank lines, blanks around it, and comments from a # at
// the beginning or after a blank are left out. A UUID is compared as it is sent,
// byte by byte. What can be read as an address is one, and what can only be
// meant as one, but is none, is a fault, not a UUID.
//
// file is the name that messages carry. The error is a [config.Faults] with the
// first faults, and says how many more there are; one fault and there is no
// list, since half of one could let in who is to be kept out.
func ParseList(file string, text []byte) (*List, error) {
	if len(text) > MaxListSize {
		return nil, config.Faults{{File: file, Line: 1, Text: phrase.Sprintf("larger than %d bytes", MaxListSize)}}
	}
	l, faults, more := &List{}, config.Faults(nil), 0
	rest := string(bytes.TrimPrefix(text, []byte("\ufeff")))
	for number := 1; rest != ""; number++ {
		var line string
		line, rest, _ = strings.Cut(rest, "\n")
		entry := strings.Trim(uncommented(line), " \t\r")
		if entry == "" {
			continue
		}
		if l.add(entry) {
			l.lines++
			continue
		}
		if len(faults) == maxListFaults {
			more++
			continue
		}
		faults = append(faults, config.Fault{File: file, Line: number, Text: config.Quote(entry) + ": want a UUID (1–128 bytes of printable " +
			"ASCII without blanks, quotes and \\ $ ` ; & | < > /, no hyphen first), an IP address or a prefix like 192.0.2.0/24, one a line"})
	}
	if more > 0 {
		last := &faults[len(faults)-1]
		last.Text += phrase.Sprintf("; and %d more lines like it", more)
	}
	if faults != nil {
		return nil, faults
	}
	slices.Sort(l.uuids)
	l.uuids = slices.Clip(slices.Compact(l.uuids))
	l.merge()
	return l, nil
}

// uncommented cuts a comment off. A UUID may have a # inside.
func uncommented(line string) string {
	for i := range line {
		if line[i] == '#' && (i == 0 || line[i-1] == ' ' || line[i-1] == '\t') {
			return line[:i]
		}
	}
	return line
}

// add takes in what a line has; false if that is nothing which can be in a list.
func (l *List) add(entry string) bool {
	if a, err := netip.ParseAddr(entry); err == nil {
		if a.Zone() != "" {
			return false
		}
		k := keyOf(a)
		l.ranges = append(l.ranges, string(k[:])+string(k[:]))
		return true
	}
	if p, err := netip.ParsePrefix(entry); err == nil {
		if p.Addr().Is4In6() && p.Bits() < 96 { // the length of an IPv4 prefix, very likely
			return false
		}
		l.ranges = append(l.ranges, spanOf(p))
		return true
	}
	// Digits and dots, or two colons in a row, are an address with a slip in it.
	if strings.Contains(entry, ".") && strings.Trim(entry, "0123456789.,") == "" || strings.Contains(entry, "::") {
		return false
	}
	if !wire.ValidUUID([]byte(entry)) {
		return false
	}
	l.uuids = append(l.uuids, entry)
	return true
}

func spanOf(p netip.Prefix) string {
	bits := p.Bits()
	first := keyOf(p.Addr())
	if p.Addr().Is4() {
		bits += 96
	}
	last := first
	for i := 1; i < keySize; i++ {
		host := byte(0xff)
		if fixed := bits - 8*(i-1); fixed >= 8 {
			host = 0
		} else if fixed > 0 {
			host >>= fixed
		}
		first[i] &^= host
		last[i] |= host
	}
	return string(first[:]) + string(last[:])
}

// merge sorts the ranges and makes one of those that overlap, so that a look-up
// is a search in halves.
func (l *List) merge() {
	slices.Sort(l.ranges)
	kept := l.ranges[:0]
	for _, r := range l.ranges {
		n := len(kept)
		switch {
		case n == 0 || r[:keySize] > kept[n-1][keySize:]:
			kept = append(kept, r)
		case r[keySize:] > kept[n-1][keySize:]:
			kept[n-1] = kept[n-1][:keySize] + r[keySize:]
		}
	}
	l.ranges = slices.Clip(kept)
}

// Has reports whether the list has the UUID or the address.
func (l *List) Has(uuid string, addr netip.Addr) bool {
	if l == nil {
		return false
	}
	if _, found := slices.BinarySearch(l.uuids, uuid); found {
		return true
	}
	k := keyOf(addr)
	i, _ := slices.BinarySearch(l.ranges, string(k[:])) // the first one that begins at k or after it
	return i < len(l.ranges) && l.ranges[i][:keySize] == string(k[:]) || i > 0 && string(k[:]) <= l.ranges[i-1][keySize:]
}

// Lines is how many lines said something.
func (l *List) Lines() int {
	if l == nil {
		return 0
	}
	return l.lines
}
