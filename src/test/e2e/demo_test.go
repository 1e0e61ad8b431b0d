//go:build (vm || native) && demo

package e2e

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The broker's UCI file. Its tunnels differ in MTU; 1280 is what every one of them carries, so the bridge has it.
const demoConfig = `config broker 'wan'
	list port '8942'

# For those behind firewalls that let little else out.
config broker 'dns'
	list port '53'
	option tunnel_id_base '2000'

config bridge
	option interface 'br-mesh'
	# Clients may reach each other.
	option isolate '0'

config log
	option log_ip_addresses '1'
`

// TestDemo is what `make demo` shows. A step that does not come out as it is told ends the tour and fails it.
func TestDemo(t *testing.T) {
	d := &tour{shown: map[*Process]int{}}
	t.Cleanup(func() { d.end(t.Failed()) }) // first, so that it runs last, when the world has gone
	d.World = New(t)
	for _, step := range []func(){d.meet, d.serve, d.connect, d.tunnels, d.bridge, d.mtus, d.probe, d.stop} {
		step()
	}
}

// tour is the demonstration: a broker, its guests, and what has been told so far.
type tour struct {
	*World
	steps  int
	server *Host
	broker *Process
	guests []*guest
	shown  map[*Process]int // bytes of its log
}

// guest is a machine with a client, and what is expected of its tunnel.
type guest struct {
	*Host
	about     string
	arguments []string // of the client
	section   string   // of the broker's configuration
	mtu       int      // of the tunnel, as discovered
	unique    bool     // session IDs
	mesh      netip.Addr

	client *Process
	port   string // the broker's end of the tunnel
}

// head begins a numbered step and says what it is about.
func (d *tour) head(title, text string) {
	d.steps++
	title = fmt.Sprintf("%d. %s", d.steps, title)
	fmt.Printf("\n%s\n%s\n%s\n\n", title, strings.Repeat("-", len(title)), text)
}

// say is for what lies between two commands.
func (d *tour) say(format string, args ...any) { fmt.Printf("\n"+format+"\n\n", args...) }

// show runs a line of shell on the host, shows it with its output, and returns that. A failure ends the tour.
func (d *tour) show(h *Host, line string) string {
	d.T.Helper()
	fmt.Printf("    %s$ %s\n", h.Name, line)
	out, err := h.Try("sh", "-c", line)
	d.print("", out)
	if err != nil {
		d.T.Fatal(err)
	}
	return out
}

// print shows what a program has printed, with a word in front of every line.
func (d *tour) print(who, text string) {
	if text = strings.TrimRight(text, "\n"); text == "" {
		return
	}
	for _, line := range strings.Split(text, "\n") {
		fmt.Println(strings.TrimRight("    "+who+line, " "))
	}
}

// start starts one of the project's programs and shows the command.
func (d *tour) start(h *Host, words ...string) *Process {
	d.T.Helper()
	fmt.Printf("    %s$ %s &\n", h.Name, strings.Join(words, " "))
	return h.Start(h.Name, words...)
}

func (d *tour) kill(h *Host, p *Process) {
	d.T.Helper()
	d.show(h, fmt.Sprintf("kill %d", p.PID()))
	d.want("exit status of "+p.name, p.Wait(soon), 0)
}

// log shows what the program has logged since the last time, up to a line with the given text at least.
func (d *tour) log(p *Process, text string) {
	d.T.Helper()
	p.WaitLog(text, soon)
	log := p.Log()
	d.print(p.name+" | ", log[d.shown[p]:])
	d.shown[p] = len(log)
}

// want ends the tour unless what was seen is what was told.
func (d *tour) want(what string, got, want any) {
	d.T.Helper()
	if g, w := fmt.Sprint(got), fmt.Sprint(want); g != w {
		d.T.Fatalf("%s: got %s, want %s", what, g, w)
	}
}

// has ends the tour unless the output has the text.
func (d *tour) has(output, text string) {
	d.T.Helper()
	if !strings.Contains(output, text) {
		d.T.Fatalf("%q is missing in the output of the last command", text)
	}
}

func (d *tour) end(failed bool) {
	if failed {
		fmt.Printf("\nTHE TOUR FAILED in step %d. What was wrong, and the logs of all programs:\n\n", d.steps)
		return
	}
	fmt.Printf("\nAll that was shown was checked, too.\n")
	os.Stdout, _ = os.Open(os.DevNull) // for the PASS of package testing
}

func (d *tour) meet() {
	d.head("Four machines", `Each is a network namespace, with routers between them. A name before $ says where a command runs,
a name before | whose log it is.`)
	d.T.Setenv("PATH", filepath.Dir(d.Program("tunneldigger-broker"))+":"+os.Getenv("PATH"))
	d.server = d.Host("broker")
	d.show(d.server, "uname -sr")
	d.guests = []*guest{
		{Host: d.Host("alice"), about: "comes over IPv6", section: "wan", mtu: 1500 - 74, unique: true,
			arguments: []string{"-b", fmt.Sprintf("[%s]:8942", d.server.Addr6)}},
		{Host: d.Host("bob"), about: "comes over a path of MTU 1400", section: "wan", mtu: 1400 - 54, unique: true,
			arguments: []string{"-b", fmt.Sprintf("%s:8942", d.server.Addr4)}},
		{Host: d.Host("carol"), about: "has a client from before feature flags", section: "dns", mtu: 1500 - 54,
			arguments: []string{"-b", fmt.Sprintf("%s:53", d.server.Addr4), "--no-features"}},
	}
	d.guests[1].SetPath(Path{MTU: 1400})
	fmt.Printf("\n    %-7s %-13s %s\n", d.server.Name, d.server.Addr4, d.server.Addr6)
	for i, g := range d.guests {
		g.mesh = netip.AddrFrom4([4]byte{198, 51, 100, byte(201 + i)})
		fmt.Printf("    %-7s %-13s %-14s %s\n", g.Name, g.Addr4, g.Addr6, g.about)
	}
}

func (d *tour) serve() {
	d.head("The broker", `It reads UCI and makes every tunnel a port of the bridge br-mesh, which has to be there.
The bridge's MTU is the least that a tunnel can have.`)
	const dir = "/etc/config"
	if err := errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile(dir+"/tunneldigger-broker", []byte(carried(demoConfig)), 0o644)); err != nil {
		d.T.Fatal(err)
	}
	d.show(d.server, "cat /etc/config/tunneldigger-broker")
	d.show(d.server, "tunneldigger-broker check -c /etc/config")
	d.show(d.server, "ip link add br-mesh mtu 1280 type bridge")
	d.show(d.server, "ip link set br-mesh up")
	d.show(d.server, "ip addr add 198.51.100.200/25 dev br-mesh")
	d.broker = d.start(d.server, "tunneldigger-broker", "-c", "/etc/config")
	d.server.WaitBound(d.broker, 8942, 53)
	d.log(d.broker, "broker=dns")
}

func (d *tour) connect() {
	d.head("Three clients", "Each asks for a tunnel, gets one, and takes an address of the mesh in it.")
	for _, g := range d.guests {
		g.client = d.start(g.Host, append(append([]string{"tunneldigger-client", "-f", "-u", g.Name, "-i", "tun0"}, clientPath...), g.arguments...)...)
		g.WaitLink("tun0", soon)
		d.log(g.client, "interface=tun0")
		d.show(g.Host, fmt.Sprintf("ip addr add %s/25 dev tun0", g.mesh))
	}
	d.say("And this is what the broker says to it:")
	for _, g := range d.guests {
		d.log(d.broker, "uuid="+g.Name+" ")
		up := regexp.MustCompile("tunnel up broker=" + g.section + " .*uuid=" + g.Name + " .*interface=(\\S+)")
		line := up.FindStringSubmatch(d.broker.Log())
		if line == nil {
			d.T.Fatalf("the broker did not log %s's tunnel", g.Name)
		}
		g.port = line[1]
	}
}

func (d *tour) tunnels() {
	if native {
		d.head("Tunnels without the kernel's L2TP", `The programs carry the frames themselves, by TAP devices. Sessions have the tunnel's ID, except with carol's old
client: there it is 1 on both sides, as the interface is called.`)
		status := d.show(d.server, "tunneldigger-broker status")
		for _, g := range d.guests {
			d.has(status, g.port)
			var tunnel, session int
			if _, err := fmt.Sscanf(g.port, "l2tp%d-%d", &tunnel, &session); err != nil {
				d.T.Fatalf("the interface %q: %v", g.port, err)
			}
			d.want("unique session ID of "+g.Name, session == tunnel, g.unique)
		}
		return
	}
	d.head("Tunnels in the kernel", `Frames go from kernel to kernel, in L2TPv3 over UDP, and through no program. Sessions have the tunnel's ID,
except with carol's old client: there it is 1 on both sides.`)
	d.has(d.show(d.server, "ip l2tp show tunnel"), fmt.Sprintf("From %s to %s\n", d.server.Addr6, d.guests[0].Addr6))
	sessions := d.show(d.server, "ip l2tp show session")
	for _, g := range d.guests {
		var tunnel, session int // as the interface is called
		if _, err := fmt.Sscanf(g.port, "l2tp%d-%d", &tunnel, &session); err != nil {
			d.T.Fatalf("the interface %q: %v", g.port, err)
		}
		d.want("unique session ID of "+g.Name, session == tunnel, g.unique)
		d.has(sessions, fmt.Sprintf("Session %d in tunnel %d\n  Peer session 1, tunnel 1\n  interface name: %s\n", session, tunnel, g.port))
	}
}

func (d *tour) bridge() {
	d.head("The bridge", "All are on one Ethernet now: clients reach each other through the bridge, and the broker reaches them.")
	for i, g := range d.guests {
		d.ping(g.Host, d.guests[(i+1)%len(d.guests)].mesh)
	}
	for _, g := range d.guests {
		d.ping(d.server, g.mesh)
	}
	d.say("The bridge has learned who is behind which tunnel:")
	table := d.show(d.server, "bridge fdb show dynamic br br-mesh")
	for _, g := range d.guests {
		address := g.WaitLink("tun0", soon).Address
		d.has(table, address+" dev "+g.port)
	}
}

func (d *tour) ping(from *Host, to netip.Addr, arguments ...string) {
	d.T.Helper()
	line := fmt.Sprintf("ping -c 3 -i 0.2 %s | tail -n 2", strings.Join(append(arguments, to.String()), " "))
	d.has(d.show(from, line), "3 received, 0% packet loss")
}

func (d *tour) mtus() {
	alice, bob := d.guests[0], d.guests[1]
	d.head("Path MTU", `Both ends of a tunnel find out what the path between them carries. The tunnel's MTU is 54 less, over IPv6
74: 1500 - 74 = 1426 for alice, 1400 - 54 = 1346 for bob, 1500 - 54 = 1446 for carol. bob's began with 1446:`)
	d.log(d.broker, fmt.Sprintf("mtu=%d old_mtu=", bob.mtu))
	d.log(bob.client, fmt.Sprintf("mtu=%d", bob.mtu))
	d.say("The broker's interfaces are the ports of the bridge, the client's are called tun0:")
	d.show(d.server, "bridge link show")
	for _, g := range d.guests {
		d.show(g.Host, "ip link show tun0")
		link := d.server.WaitLink(g.port, soon)
		d.want("master of "+g.port, link.Master, "br-mesh")
		d.want("MTU of "+g.port, link.MTU, g.mtu)
		d.want("MTU of "+g.Name+"'s tun0", g.WaitLink("tun0", soon).MTU, g.mtu)
	}
	d.want("MTU of br-mesh, which is not the broker's to change", d.server.WaitLink("br-mesh", soon).MTU, 1280)
	d.say("That 1400 is all that bob's path carries, a router has said, or says it now:")
	d.has(d.show(bob.Host, fmt.Sprintf("ping -c 1 -W 2 -M do -s 1472 %s 2>&1 | grep mtu", d.server.Addr4)), "1400")
	d.say("Packets of %d bytes, which may not be fragmented, pass from alice to bob:", bob.mtu)
	d.ping(alice.Host, bob.mesh, fmt.Sprintf("-M do -s %d", bob.mtu-28))
}

func (d *tour) probe() {
	d.head("From outside", "Anybody may ask how a broker does, without being root. With -u, a tunnel is set up and closed again.")
	out := d.show(d.guests[0].Host, fmt.Sprintf("tunneldigger-broker probe -u probe %s:8942", d.server.Addr4))
	for _, line := range []string{"usage ", "cookie ", "tunnel "} {
		d.has(out, "\n"+line)
	}
	d.say("The broker has seen it come and go:")
	d.log(d.broker, "the client closed it")
}

func (d *tour) stop() {
	d.head("The end", "The broker tells everybody that it stops, and takes back what it has made.")
	d.kill(d.server, d.broker)
	d.log(d.broker, "stopped")
	if log := d.broker.Log(); strings.Contains(log, "warning: ") || strings.Contains(log, "error: ") {
		d.T.Fatal("the broker has warned")
	}
	d.say("Clients know at once, give up their interfaces, and go on asking until they are stopped, too:")
	for _, g := range d.guests {
		d.log(g.client, "the broker closed the tunnel")
		d.kill(g.Host, g.client)
	}
	d.say("No interface, no tunnel, no socket and no process of theirs is left; br-mesh was there before them:")
	left := "ip -br link; ip l2tp show tunnel; ss -Huan"
	if native {
		left = "ip -br link; ss -Huan"
	}
	for _, h := range []*Host{d.server, d.guests[0].Host, d.guests[1].Host, d.guests[2].Host} {
		for _, line := range strings.Split(strings.TrimSpace(d.show(h, left)), "\n") {
			name, _, _ := strings.Cut(strings.Fields(line)[0], "@")
			if name != "lo" && name != "eth0" && name != "br-mesh" {
				d.T.Fatalf("left on %s: %s", h.Name, line)
			}
		}
	}
	processes := d.show(d.server, "grep -ls ^tunneldigger /proc/[0-9]*/comm | wc -l")
	d.want("processes left", strings.TrimSpace(processes), 0)
}
