package bridges

import (
	"slices"
	"strings"
	"testing"

	"tunneldigger/src/config"
)

// check tells of tables without routes, and of nothing else.
func TestCheckTables(t *testing.T) {
	c := &config.Config{Bridges: []config.Bridge{{Name: "a", Table: "142"}, {Name: "b"}, {Name: "c", Table: "143"}, {Name: "d", Table: "no-such-table"}}}
	got := CheckTables(c, func() (map[uint32]bool, error) { return map[uint32]bool{143: true, 254: true}, nil })
	if len(got) != 1 || !strings.HasPrefix(got[0], "bridge 'a': table '142' has no route now") {
		t.Errorf("%q", got)
	}
	c.Bridges = c.Bridges[1:2]
	if got := CheckTables(c, nil); got != nil {
		t.Errorf("%q", got)
	}
}

func TestCheck(t *testing.T) {
	c := &config.Config{Brokers: []config.Broker{{Name: "fixed", PMTU: 1312, Ports: []uint16{53}}, {Name: "found", Ports: []uint16{8942}}},
		Bridges: []config.Bridge{
			{Name: "all", Interface: "br0"}, {Name: "a", Interface: "br0", MTU: 1446}, {Name: "b", Interface: "br0", MTU: 1312, Broker: "fixed"},
			{Name: "port", Interface: "br0", Ports: []uint16{53}},
			{Name: "c", Interface: "br0", MTU: 1400}, {Name: "d", Interface: "br0", MTU: 1446, Broker: "fixed"},
			{Name: "e", Interface: "br0", Ports: []uint16{123}}, {Name: "f", Interface: "br0", MTU: 1312, Ports: []uint16{8942}},
		}}
	const begin = "bridge '%' (interface br0): no tunnel can ever fit it: "
	line := func(name, why string) string { return strings.Replace(begin, "%", name, 1) + why }
	const found = "1446 1438 1426 1422 1418 1402 1396 1376 1346 1326 1280"
	want := []string{
		line("b", "sections that name port, broker or mtu of the same tunnels go before it"),
		line("c", "mtu 1400 is none of "+strings.Replace(found, "1326", "1326 1312", 1)), line("d", "mtu 1446 is none of 1312"),
		line("e", "no broker section that is enabled has its name and ports"), line("f", "mtu 1312 is none of "+found),
	}
	if got := Check(c); !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
