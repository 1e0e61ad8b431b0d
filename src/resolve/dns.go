package resolve

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"tunneldigger/src/phrase"
	"tunneldigger/src/poll"
	"tunneldigger/src/sock"
)

const (
	typeA    = 1
	typeAAAA = 28
	patience = 2 * time.Second // for one server, before the next is asked
	rounds   = 2
)

// query asks the servers in turn for the addresses of a complete name, until one
// knows. An error is the last server's; a name without addresses gives
// ErrNotFound.
func query(servers []netip.AddrPort, name string) (found []netip.Addr, err error) {
	last := ErrNotFound
	for range rounds {
		for _, server := range servers {
			found, err := ask(server, name)
			if err == nil {
				if len(found) == 0 {
					err = ErrNotFound
				}
				return found, err
			}
			last = err
		}
	}
	return nil, last
}

// ask asks one server for both kinds of addresses at once. One that fails for one
// kind, as some do for IPv6, has told enough when it has addresses of the other.
func ask(server netip.AddrPort, name string) (found []netip.Addr, err error) {
	any := netip.IPv4Unspecified()
	if server.Addr().Is6() {
		any = netip.IPv6Unspecified()
	}
	fd, err := sock.Connect(netip.AddrPortFrom(any, 0), server, "")
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	first := uint16(rand.Uint32())
	for i, kind := range []uint16{typeA, typeAAAA} {
		q, err := question(first+uint16(i), name, kind)
		if err != nil {
			return nil, err
		}
		if err := sock.Send(fd, q); err != nil {
			return nil, phrase.Errorf("ask %s: %w", server, err)
		}
	}
	var buffer [4096]byte
	var answered [2]bool
	var refusal error
	peer := sock.NewPeer(server)
	for begin := time.Now(); !answered[0] || !answered[1]; {
		n, own, _, err := sock.Receive(fd, buffer[:], &peer)
		if err == unix.EAGAIN {
			left := patience - time.Since(begin)
			if left <= 0 {
				refusal = phrase.Errorf("%s does not answer: %w", server, unix.ETIMEDOUT)
				break
			}
			if err := poll.One(fd, left); err != nil {
				return found, err
			}
			continue
		}
		if err != nil {
			return found, phrase.Errorf("ask %s: %w", server, err)
		}
		if !own || n < 2 {
			continue
		}
		i := binary.BigEndian.Uint16(buffer[:]) - first
		if i > 1 || answered[i] {
			continue
		}
		if addresses, code := answers(buffer[:n]); code >= 0 {
			answered[i] = true
			found = append(found, addresses...)
			if code != noError && code != noSuchName {
				refusal = phrase.Errorf("%s can't answer: %s", server, codeName(code))
			}
		}
	}
	if len(found) > 0 {
		return found, nil
	}
	return nil, refusal
}

// Response codes, RFC 1035, section 4.1.1. With all but these two a server says
// that it does not know, and another may.
const (
	noError    = 0
	noSuchName = 3
)

func codeName(code int) string {
	switch code {
	case 2:
		return "SERVFAIL"
	case 5:
		return "REFUSED"
	}
	return "code " + strconv.Itoa(code)
}

// question makes the query for one name and type, RFC 1035, section 4.
func question(id uint16, name string, kind uint16) ([]byte, error) {
	b := binary.BigEndian.AppendUint16(make([]byte, 0, 64), id)
	b = append(b, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0) // recursion desired; one question
	for _, label := range strings.Split(name, ".") {
		if label == "" || len(label) > 63 || len(name) > 253 {
			return nil, phrase.Errorf("%q is no host name: %w", name, ErrNotFound)
		}
		b = append(append(b, byte(len(label))), label...)
	}
	b = append(b, 0)
	b = binary.BigEndian.AppendUint16(b, kind)
	return binary.BigEndian.AppendUint16(b, 1), nil
}

// answers collects the addresses of a response, RFC 1035, section 4.1.3. Names
// are not compared: aliases may lie between question and answer, and the server
// is trusted with the names as it is with the addresses. The code is the
// response's, below 0 if it is none.
func answers(b []byte) (found []netip.Addr, code int) {
	if len(b) < 12 || b[2]&0x80 == 0 {
		return nil, -1
	}
	code = int(b[3] & 15)
	questions, records := binary.BigEndian.Uint16(b[4:]), binary.BigEndian.Uint16(b[6:])
	at := 12
	for range questions {
		if at = skipName(b, at); at < 0 || at+4 > len(b) {
			return found, code
		}
		at += 4
	}
	for range records {
		if at = skipName(b, at); at < 0 || at+10 > len(b) {
			break
		}
		kind, length := binary.BigEndian.Uint16(b[at:]), int(binary.BigEndian.Uint16(b[at+8:]))
		at += 10
		if at+length > len(b) {
			break
		}
		data := b[at : at+length]
		at += length
		if a, ok := netip.AddrFromSlice(data); ok && (kind == typeA && a.Is4() || kind == typeAAAA && a.Is6()) {
			found = append(found, a.Unmap())
		}
	}
	return found, code
}

// skipName gives the place behind a name, -1 if it runs out of b.
func skipName(b []byte, at int) int {
	for at < len(b) {
		switch n := int(b[at]); {
		case n == 0:
			return at + 1
		case n >= 0xc0: // a pointer ends the name
			return at + 2
		default:
			at += 1 + n
		}
	}
	return -1
}
