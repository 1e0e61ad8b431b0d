package broker

import (
	"fmt"
	"net/netip"
	"runtime"
	"strings"
	"testing"

	"tunneldigger/src/config"
)

// Three hundred thousand addresses and UUIDs, the longest there are, all with
// good cookies and some of them held off: what a broker remembers of them fits
// into the 4 MB that a flood may cost.
func TestFloodFootprint(t *testing.T) {
	c := quiet
	c.MaxTunnels = 4
	c.PerIP, c.PerUUID = config.Rate{Count: 1, Time: 60 * s}, config.Rate{Count: 1, Time: 60 * s}
	r := newRig(t, c, Options{})
	r.alone = true
	heap := func() int {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int(m.HeapAlloc)
	}
	before := heap()
	long := strings.Repeat("x", 120)
	for i := range 300000 {
		addr := netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
		p := pair{netip.AddrPortFrom(addr, uint16(1+i%3)), here}
		r.prepare(p, fmt.Sprintf("%s%d", long, i/3), 1, unique)
		for id := range uint32(4) {
			r.failed(100+id, FaultOther)
		}
		r.now += s / 1000
	}
	if got := heap() - before; got > 4<<20 {
		t.Errorf("%d kB more than before", got>>10)
	} else {
		t.Logf("%d kB more than before", got>>10)
	}
	if l := r.Limits(r.now); l.Addresses != limiterKeys || l.UUIDs != limiterKeys || l.HeldAddresses+l.HeldUUIDs == 0 {
		t.Errorf("%+v", l)
	}
	runtime.KeepAlive(r)
}
