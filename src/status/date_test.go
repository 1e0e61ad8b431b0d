package status

import (
	"math/rand/v2"
	"testing"
	"time"
)

func TestDate(t *testing.T) {
	moments := []uint64{0, 86399, 86400, 951782400, 951868800, 1456704000, 1709164800, 1735689599, 1735689600, 4107542400, 253402300799}
	for range 10000 {
		moments = append(moments, rand.Uint64N(1<<33))
	}
	for _, at := range moments {
		if got, want := string(appendDate(nil, at)), time.Unix(int64(at), 0).UTC().Format("2006-01-02 15:04:05 UTC"); got != want {
			t.Fatalf("%d: got %s, want %s", at, got, want)
		}
	}
}
