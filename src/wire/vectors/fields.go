package vectors

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"

	"tunneldigger/src/wire"
)

// Data is the Type of a frame in L2TPv3, which is no message.
const Data = "data"

// dataHeader is what goes before a frame: flags and version, two reserved bytes, the receiver's session ID, and the default
// L2-specific sublayer, which is zero.
const dataHeader = 4 + 4 + 4

// Describe takes a datagram of a client or a broker apart with package wire: the name of its type, and its fields. The error
// is one of package wire's.
func Describe(from string, datagram []byte) (name string, fields map[string]any, err error) {
	fields = map[string]any{}
	number := func(key string, v uint64) { fields[key] = json.Number(strconv.FormatUint(v, 10)) }
	if len(datagram) > dataHeader && datagram[0] == 0 && datagram[1] == 3 {
		number("session_id", uint64(datagram[4])<<24|uint64(datagram[5])<<16|uint64(datagram[6])<<8|uint64(datagram[7]))
		fields["frame"] = hex.EncodeToString(datagram[dataHeader:])
		return Data, fields, nil
	}
	m, err := wire.Parse(datagram)
	if err != nil {
		return "", nil, err
	}
	client := from == "client"
	// small is a field of two bytes that the payload begins with.
	small := func(key string) {
		v, ok := wire.ParseUint16(m.Payload)
		if !ok {
			err = wire.ErrPayload
		}
		number(key, uint64(v))
	}
	switch m.Type {
	case wire.TypeCookie:
		if !client {
			cookie, ok := wire.ParseCookie(m.Payload)
			if !ok {
				return "", nil, wire.ErrPayload
			}
			fields["cookie"] = hex.EncodeToString(cookie[:])
		}
	case wire.TypePrepare:
		var p wire.PrepareMsg
		p, err = wire.ParsePrepare(m.Payload)
		fields["cookie"], fields["uuid"] = hex.EncodeToString(p.Cookie[:]), string(p.UUID)
		number("tunnel_id", uint64(p.TunnelID))
		number("features", uint64(p.Features))
		if 9+len(p.UUID) == len(m.Payload) {
			delete(fields, "tunnel_id") // it means 1
		}
	case wire.TypeError:
		if r, ok := wire.ParseError(m.Payload); ok {
			number("reason", uint64(r))
		}
	case wire.TypeTunnel:
		var id uint32
		var f wire.Features
		id, f, err = wire.ParseTunnel(m.Payload)
		number("tunnel_id", uint64(id))
		number("features", uint64(f))
	case wire.TypeKeepalive:
		n := uint64(0)
		for _, b := range m.Payload {
			n = n<<8 | uint64(b)
		}
		number("sequence", n)
	case wire.TypePMTUD:
		number("size", uint64(m.Size))
	case wire.TypePMTUDAck:
		small("size")
	case wire.TypeRelAck:
		small("sequence")
	case wire.TypePMTUNtfy:
		small("mtu")
	case wire.TypeUsage:
		if client {
			number("features", uint64(wire.ParseUsageRequest(m.Payload)))
		} else {
			small("load")
		}
	case wire.TypeLimit:
		var l wire.LimitMsg
		l, _, err = wire.ParseLimit(m.Payload)
		kbit, ok := l.Bandwidth()
		if err == nil && !ok {
			err = wire.ErrPayload
		}
		number("sequence", uint64(l.Seq))
		number("kbit", uint64(kbit))
	}
	if fields["features"] == json.Number("0") {
		delete(fields, "features")
	}
	return m.Type.String(), fields, err
}

// Build makes the datagram of a client or a broker from its type and fields. The error says what the fields lack.
func Build(from, name string, fields map[string]any) (b []byte, err error) {
	number := func(key string, bits int) uint64 {
		text, _ := fields[key].(json.Number)
		v, e := strconv.ParseUint(string(text), 10, bits)
		if e != nil && err == nil {
			err = fmt.Errorf("%s: field %s: %w", name, key, e)
		}
		return v
	}
	small := func(key string) uint16 { return uint16(number(key, 16)) }
	octets := func(key string) []byte {
		text, _ := fields[key].(string)
		v, e := hex.DecodeString(text)
		if e != nil && err == nil {
			err = fmt.Errorf("%s: field %s: %w", name, key, e)
		}
		return v
	}
	features := wire.Features(0)
	if _, has := fields["features"]; has {
		features = wire.Features(number("features", 32))
	}
	switch client := from == "client"; {
	case name == "COOKIE" && client:
		b = wire.AppendCookieRequest(nil)
	case name == "COOKIE":
		var cookie [8]byte
		copy(cookie[:], octets("cookie"))
		b = wire.AppendCookie(nil, cookie)
	case name == "PREPARE":
		uuid, _ := fields["uuid"].(string)
		if _, has := fields["tunnel_id"]; has {
			b = wire.AppendPrepare(nil, octets("cookie"), []byte(uuid), uint32(number("tunnel_id", 32)), features)
		} else {
			b = wire.AppendPrepareNoID(nil, octets("cookie"), []byte(uuid))
		}
	case name == "ERROR":
		if _, has := fields["reason"]; has {
			b = wire.AppendErrorReason(nil, wire.Reason(number("reason", 8)))
		} else {
			b = wire.AppendError(nil)
		}
	case name == "TUNNEL":
		b = wire.AppendTunnel(nil, uint32(number("tunnel_id", 32)), features)
	case name == "KEEPALIVE" && client:
		b = wire.AppendClientKeepalive(nil, uint32(number("sequence", 32)))
	case name == "KEEPALIVE":
		b = wire.AppendKeepalive(nil, small("sequence"))
	case name == "PMTUD":
		b = wire.AppendPMTUD(nil, int(small("size")))
	case name == "PMTUD_ACK":
		b = wire.AppendPMTUDAck(nil, small("size"))
	case name == "REL_ACK":
		b = wire.AppendRelAck(nil, small("sequence"))
	case name == "PMTU_NTFY":
		b = wire.AppendPMTUNtfy(nil, small("mtu"))
	case name == "USAGE" && client:
		b = wire.AppendUsageRequest(nil, features)
	case name == "USAGE":
		b = wire.AppendUsage(nil, small("load"))
	case name == "LIMIT":
		b = wire.AppendLimit(nil, small("sequence"), uint32(number("kbit", 32)))
	case name == Data:
		id := number("session_id", 32)
		b = append([]byte{0, 3, 0, 0, byte(id >> 24), byte(id >> 16), byte(id >> 8), byte(id), 0, 0, 0, 0}, octets("frame")...)
	default:
		err = fmt.Errorf("unknown type %q", name)
	}
	return b, err
}
