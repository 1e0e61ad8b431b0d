package simulate

import (
	"net/netip"

	"tunneldigger/src/wire"
)

// stranger sends what no client does.
func (f *Fleet) stranger(sv *Server) {
	from := pair{netip.AddrPortFrom(netip.AddrFrom4([4]byte{203, 0, 113, byte(f.Random.IntN(256))}), uint16(f.Random.IntN(65536))), sv.V4}
	cookie := make([]byte, 8)
	for i := 0; i < 30; i++ {
		var data []byte
		switch f.Random.IntN(5) {
		case 0:
			data = make([]byte, f.Random.IntN(40))
		case 1:
			data = wire.AppendPrepare(nil, cookie, []byte("x"), 1, 0)
		case 2:
			data = wire.AppendCookieRequest(nil)
		case 3:
			data = wire.AppendUsageRequest(nil, wire.Features(f.Random.Uint32()))
		case 4:
			data = wire.AppendClientKeepalive(nil, f.Random.Uint32())
		}
		for j := range data { // some of it garbled
			if f.pick(20) {
				data[j] = byte(f.Random.Uint32())
			}
		}
		sv.deliver(from, data)
	}
}
