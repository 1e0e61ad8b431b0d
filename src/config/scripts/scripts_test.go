package scripts

import (
	"errors"
	"strings"
	"testing"

	"tunneldigger/src/config"
	"tunneldigger/src/config/uci"
)

// One file for all hooks' functions, with brctl and ebtables, as installations have had it.
const library = `
make_rule() {
	ip rule del "$@" 2>/dev/null
	ip rule add "$@"
}
group()
{
	name=$1   # of the bridge
	if brctl addbr "$name" 2> /dev/null; then
		ip link set dev ${name} up
		ip addr add 198.51.100.1/24 dev $name
		ip -6 addr add 2001:db8::1/64 dev $name
		make_rule from all iif $name lookup mesh \
			prio 900
		ebtables -A FORWARD --logical-in $name -j DROP
	fi
}
`

// The whole with ip alone, and isolation by the port.
const modern = `#!/usr/bin/env bash
set -e
IF=$3; MTU=${4}
BR="br-mesh$MTU"
[ -d /sys/class/net/$BR ] || { ip link add name "$BR" type bridge; ip link set "$BR" mtu "$MTU" up; }
ip address replace 198.51.100.1/24 dev "$BR"
ip rule add iif "$BR" table 100 pref 0x2bc
ip link set "$IF" master "$BR" up
bridge link set dev "$IF" isolated on
`

func TestPropose(t *testing.T) {
	up, down, changed := config.EventSessionUp, config.EventSessionPreDown, config.EventMTUChanged
	cases := []struct {
		name  string
		hooks map[config.Event]string
		files map[string]string
		want  []string // of the section; none: there is none
		spare string
		left  []string
	}{
		{"functions, brctl and ebtables", map[config.Event]string{
			up:      "#!/bin/bash\nINTERFACE=\"$3\"\nMTU=\"$4\"\n. scripts/lib.sh\nip link set dev $INTERFACE up mtu $MTU\ngroup digger${MTU}\nbrctl addif digger${MTU} $INTERFACE\n",
			changed: "#!/bin/bash\nOLD=$4 NEW=$5\n. scripts/lib.sh\nbrctl delif digger$OLD $3\nip link set $3 mtu $NEW\ngroup digger$NEW && brctl addif digger$NEW $3\n",
			down:    "brctl delif digger$4 $3",
		}, map[string]string{"scripts/lib.sh": library},
			[]string{"interface 'digger%m'", "isolate '1'", "create '1'", "address '198.51.100.1/24'", "address '2001:db8::1/64'", "table 'mesh'", "priority '900'"},
			"session_up, session_mtu_changed, session_pre_down", nil},
		{"ip and bridge", map[config.Event]string{up: modern}, nil,
			[]string{"interface 'br-mesh%m'", "isolate '1'", "create '1'", "address '198.51.100.1/24'", "table '100'", "priority '700'"}, "session_up", nil},
		{"one bridge that is there", map[config.Event]string{up: "brctl addif mesh $INTERFACE"}, nil, []string{"interface 'mesh'"}, "session_up", nil},
		{"an address for one that is not made", map[config.Event]string{up: "ip addr add 192.0.2.1/24 dev mesh; brctl addif mesh $3"}, nil,
			[]string{"interface 'mesh'"}, "", []string{"up:1: ip addr add 192.0.2.1/24 dev mesh"}},
		{"what another device gets", map[config.Event]string{up: "brctl addbr mesh\nbrctl addif mesh $3\nip addr add 192.0.2.1/24 dev lan\n"}, nil,
			[]string{"interface 'mesh'", "create '1'"}, "", []string{"up:3: ip addr add 192.0.2.1/24 dev lan"}},
		{"more than bridges", map[config.Event]string{up: "#!/bin/sh\nbrctl addif mesh $3\ncurl https://example.org/$8 >/dev/null 2>&1\n"}, nil,
			[]string{"interface 'mesh'"}, "", []string{"up:3: curl https://example.org/$8"}},
		{"a name that only a run knows", map[config.Event]string{up: "brctl addif $(cat /etc/bridge) $3"}, nil, nil, "", []string{"up:1: brctl addif $(cat"}},
		{"a bridge for each node", map[config.Event]string{up: "ip link add br$1 type bridge; ip link set $3 master br$1"}, nil, nil, "", []string{"up:1: ip link add"}},
		{"two bridges", map[config.Event]string{up: "if true; then brctl addif a $3; else brctl addif b $3; fi"}, nil, nil, "", []string{"several bridges: a, b"}},
		{"a second table", map[config.Event]string{up: "brctl addbr m; brctl addif m $3\nip rule add iif m lookup 7\nip rule add iif m lookup 8\n"}, nil,
			[]string{"interface 'm'", "create '1'", "table '7'"}, "", []string{"up:3: ip rule add iif m lookup 8"}},
		{"a rule with a mark", map[config.Event]string{up: "brctl addif m $3; ip rule add iif m fwmark 1 lookup 7"}, nil, []string{"interface 'm'"}, "", []string{"fwmark"}},
		{"something else", map[config.Event]string{up: "#!/bin/sh\nipset add nodes $5\nbatctl if add $3\n", down: "logger gone"}, nil, nil, "", nil},
		{"another interface", map[config.Event]string{up: "brctl addif mesh eth1"}, nil, nil, "", nil},
		{"in a comment or quotes", map[config.Event]string{up: "# brctl addif mesh $3\necho 'brctl addif mesh $3; brctl addif mesh $3'\n"}, nil, nil, "", nil},
		{"Python", map[config.Event]string{up: "#!/usr/bin/env python3\nbrctl addif mesh $3\n"}, nil, nil, "", []string{"up: no shell script: what it does was not looked at"}},
		{"a program", map[config.Event]string{up: "\x7fELF\x00\x01"}, nil, nil, "", []string{"up: no script"}},
		{"cannot be read", map[config.Event]string{up: "missing"}, nil, nil, "", []string{"up: permission denied: what it does was not looked at"}},
		{"includes what cannot be read", map[config.Event]string{up: ". ./lib.sh\nbrctl addif mesh $3\n"}, nil, []string{"interface 'mesh'"}, "", []string{"up:1: . ./lib.sh: permission denied"}},
		{"calls itself for ever", map[config.Event]string{up: "f() { f; f; f; f; f; f; f; f; }\nf; f; f; f\nbrctl addif mesh $3\n"}, nil, nil, "", nil},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			p := propose(c.hooks, c.files)
			var got []string
			if p.Bridge != nil {
				for _, line := range strings.Split(strings.TrimSpace(config.FormatBridge(p.Bridge)), "\n")[1:] {
					_, option, _ := strings.Cut(strings.TrimSpace(line), " ")
					got = append(got, option)
				}
			}
			if strings.Join(got, "\n") != strings.Join(c.want, "\n") {
				t.Errorf("section:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(c.want, "\n"))
			}
			if p.Options() != c.spare {
				t.Errorf("to be taken out: %q, want %q", p.Options(), c.spare)
			}
			if c.name == "calls itself for ever" {
				return // that it ends is what counts
			}
			if len(p.Left) != len(c.left) {
				t.Fatalf("left: %q, want %q", p.Left, c.left)
			}
			for i, want := range c.left {
				if !strings.Contains(p.Left[i], want) {
					t.Errorf("left: %q, want %q", p.Left[i], want)
				}
			}
		})
	}
}

func propose(hooks map[config.Event]string, files map[string]string) Proposal {
	var h config.Hooks
	texts := map[string]string{}
	for e, text := range hooks {
		h.Program[e] = map[config.Event]string{config.EventSessionUp: "up", config.EventSessionPreDown: "down", config.EventMTUChanged: "changed"}[e]
		texts[h.Program[e]] = text
	}
	for path, text := range files {
		texts[path] = text
	}
	return Propose(&h, func(path, _ string) (string, error) {
		if text, ok := texts[path]; ok && text != "missing" {
			return text, nil
		}
		return "", errors.New("permission denied")
	})
}

// Whatever a script has in it, what is proposed is a section that the broker takes, and what is left is one line each.
func FuzzPropose(f *testing.F) {
	f.Add(library + "group digger$4; brctl addif digger$4 $3")
	f.Add(modern)
	f.Add("brctl addbr \"$x\"; ip rule add iif ${4} lookup $$; . $0; f() { f; }; f")
	f.Add("brctl addbr a; brctl addif a $3; ip addr add 192.0.2.0/24 dev a; ip rule add iif a lookup 0x")
	f.Fuzz(func(t *testing.T, text string) {
		p := propose(map[config.Event]string{config.EventSessionUp: text}, map[string]string{"x": text})
		for _, line := range p.Left {
			if strings.ContainsAny(line, "\n\r") {
				t.Fatalf("left: %q", line)
			}
		}
		if p.Bridge == nil {
			return
		}
		written := "config broker\n\tlist port '53'\n\n" + config.FormatBridge(p.Bridge)
		if c, err := uci.Parse("x", written); err != nil || len(c.Bridges) != 1 || len(c.Notices) > 0 {
			t.Fatalf("%s\n%v", written, err)
		}
	})
}
