package broker

import (
	"slices"
	"testing"

	"tunneldigger/src/config"
)

func TestMTUs(t *testing.T) {
	// 1500, 1492, 1476, 1450, 1400 and 1334 without 54 bytes for IPv4, 74 for IPv6.
	want := []int{1446, 1438, 1426, 1422, 1418, 1402, 1396, 1376, 1346, 1326, 1280}
	if got := MTUs(&config.Broker{}); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := MTUs(&config.Broker{PMTU: 1400}); !slices.Equal(got, []int{1400}) {
		t.Errorf("fixed: got %v", got)
	}
}
