//go:build native && !vm

package e2e

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"tunneldigger/src/client"
	"tunneldigger/src/test/swarm"
)

// A broker that was killed has left a record that does not fit: that is said, nothing of it is made again or stays, hooks hear of the end of what can
// be read, and the clients are told by the first word they say, and have tunnels as the configuration is now.
func TestCrashRecord(t *testing.T) {
	const clients = 3
	boot := t.TempDir() + "/boot_id"
	if err := os.WriteFile(boot, []byte("00000000-0000-4000-8000-000000000000\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	lost := func(why string) string {
		return fmt.Sprintf("tunnels_made_again=0 tunnels_lost=%d because=\"%d %s\"", clients, clients, why)
	}
	const misfit = "not as the section is configured now"
	for _, c := range []struct {
		name   string
		damage int                 // the place of a byte of the record that is another one then, 0: none
		under  []string            // what the next broker starts under
		change func(string) string // of the configuration, nil: none
		says   string
		unread bool   // nobody knows what hooks are to hear of
		broker string // the section that clients come back to
		base   int    // the least ID that they have then
	}{
		{"a damaged byte", 20, nil, nil, "the record of tunnels is thrown away … error=\"it is damaged\"", true, "load", 100},
		{"another boot", 0, []string{"sh", "-c", "mount --bind " + boot + " /proc/sys/kernel/random/boot_id && exec \"$@\"", "sh"}, nil,
			"the record of tunnels is thrown away … error=\"it is of another boot\"", true, "load", 100},
		{"older than tunnel_timeout", 0, []string{"unshare", "--time", "--monotonic", "120", "--fork", "--kill-child"}, nil, lost("older than tunnel_timeout"), false, "load", 100},
		{"another port", 0, nil, func(text string) string {
			other := strings.NewReplacer("broker 'load'", "broker 'other'", "max_tunnels", "tunnel_id_base '2000'\n\toption max_tunnels").Replace(text)
			return other + strings.Replace(text, "8942", "8943", 1)
		}, lost(misfit), false, "other", 2000},
		{"another address", 0, nil, func(text string) string {
			other := strings.NewReplacer("broker 'load'", "broker 'other'", "max_tunnels", "tunnel_id_base '2000'\n\toption max_tunnels").Replace(text)
			return other + strings.Replace(text, "192.0.2.2", "192.0.2.3", 1)
		}, lost(misfit), false, "other", 2000},
		{"another tunnel_id_base", 0, nil, func(text string) string {
			return strings.Replace(text, "max_tunnels", "tunnel_id_base '2000'\n\toption max_tunnels", 1)
		}, lost(misfit), false, "load", 2000},
		{"another section", 0, nil, func(text string) string { return strings.Replace(text, "broker 'load'", "broker 'other'", 1) },
			lost("of a section that is gone"), true, "other", 100},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLoad(t)
			l.broker.IP("addr add 192.0.2.3/29 dev eth0")
			folder, log := l.hook("echo $ACTION $UUID >>$LOG\n")
			hooks := "config hooks\n\toption directory '" + folder + "'\n"
			section := l.config("\toption max_tunnels '100'\n")
			b := l.broker.StartBroker(section+hooks, loadPort)
			s := l.swarm(swarm.Options{Clients: clients, Client: func(i int) client.Options {
				o := swarm.Client(i)
				o.Timers.Keepalive, o.Timers.Pause = 500*time.Millisecond, 300*time.Millisecond
				return o
			}})
			l.connect(s, clients, soon)
			l.Wait(soon, "hooks", func() bool { return strings.Count(readFile(t, log), "session.up") == clients })
			b.Signal(syscall.SIGKILL)
			b.Wait(soon)

			record := b.socket() + ".state"
			state := []byte(readFile(t, record))
			if len(state) == 0 {
				t.Fatal("no record")
			}
			if c.damage != 0 {
				state[c.damage] ^= 1
				if err := os.WriteFile(record, state, 0); err != nil {
					t.Fatal(err)
				}
			}
			if c.change != nil {
				section = c.change(section)
			}
			b.Write(l.World, section+hooks)
			b.Process = l.broker.Start("broker", append(c.under, l.Program("tunneldigger-broker"), "-c", b.Config, "--socket", b.socket())...)
			l.broker.WaitBound(b.Process, loadPort)
			first, more, _ := strings.Cut(c.says, " … ")
			if line := b.WaitLog(first, soon); !strings.Contains(line, more) {
				t.Errorf("it says %q, not %q", line, c.says)
			} else {
				t.Log(line)
			}
			if strings.Contains(strings.ReplaceAll(b.Log(), "tunnels_kept=0", ""), "tunnels_kept") {
				t.Errorf("tunnels are kept:\n%s", b.tail())
			}
			// The clients are silent until they are let live.
			l.waitTunnels(soon, 0)
			if r := b.status(l.World); len(r.Tunnels) != 0 {
				t.Errorf("tunnels before anybody has asked for one: %+v", r.Tunnels)
			}

			began := time.Now()
			l.run(s, soon, "told, and back", func(now swarm.Totals) bool { return now.Connected == clients && now.Closed == clients })
			t.Logf("%d clients are back after %.1f s", clients, time.Since(began).Seconds())
			if now := s.Totals(); now.Refusals != 0 {
				t.Errorf("%d were refused", now.Refusals)
			}
			for i := range clients {
				if id := int(s.Result(i).Tunnel.PeerID); id < c.base || id >= c.base+100 {
					t.Errorf("client %d has tunnel %d, want one from %d on", i, id, c.base)
				}
			}
			l.waitTunnels(soon, clients)
			if text := b.Call(l.World, "status", "--prometheus"); !strings.Contains(text, fmt.Sprintf("tunneldigger_clients_told_total{broker=%q} %d\n", c.broker, clients)) {
				t.Errorf("not every one was told, once, by %s:\n%s", c.broker, text)
			}
			want := " session.up session.down session.up"
			if c.unread {
				want = " session.up session.up"
			}
			l.Wait(soon, "all hooks", func() bool { return strings.Count(readFile(t, log), "session.up") == 2*clients })
			heard := make(map[string]string)
			for _, line := range strings.Split(strings.TrimSpace(readFile(t, log)), "\n") {
				action, of, _ := strings.Cut(line, " ")
				heard[of] += " " + action
			}
			for i := range clients {
				if got := heard[fmt.Sprint("client-", i)]; got != want {
					t.Errorf("client %d: hooks heard%s, want%s", i, got, want)
				}
			}
		})
	}
}
