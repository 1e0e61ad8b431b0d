//go:build bench

package bench

import (
	"bufio"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tunneldigger/src/wire"
)

// nothingPasses is for how long the processor's time is taken while no frame passes.
const nothingPasses = 5 * time.Second

// crowds are how many tunnels there are, one after the other.
var crowds = []int{1, 100, 1000}

// What tunnels that stand beside it cost the traffic in one of them, on the program's own data path, and what they cost by themselves. In each round
// they join one broker, and what they cost is the middle of the rounds' ratios: rounds differ by more than that, as the scheduler has it.
func TestNativeCrowd(t *testing.T) {
	needs(t, "iperf3", "iproute2", "iputils-ping")
	brokerProgram(t)
	var rates, beside, idle [3][]float64 // by crowd: Gbit/s, part of what one tunnel alone has, per cent of a processor
	var memory []float64
	for range carryRounds {
		all := apart(t, "crowd")
		for i := range crowds {
			rates[i], idle[i] = append(rates[i], all[3*i]), append(idle[i], all[3*i+2])
			beside[i] = append(beside[i], all[3*i]/all[0])
		}
		memory = append(memory, all[3*2+1])
	}
	for i, n := range crowds[1:] {
		figures.ratio(t, fmt.Sprintf("TCP, %d tunnels beside 1", n), "Gbit/s", middle(rates[1+i]), middle(rates[1+i])/middle(beside[1+i]), 0.9, 0)
	}
	figures.most(t, "resident memory, 1000 tunnels carried", "MB", middle(memory), 25, 50)
	figures.note("  nothing passes, 1 tunnel / 1000", fmt.Sprintf("%.2f %%", middle(idle[0])), fmt.Sprintf("%.2f %%", middle(idle[2])))
}

// The two data paths in the virtual machine, whose emulation makes a program's own code dear.
func TestVMCarry(t *testing.T) {
	brokerProgram(t)
	if out, err := exec.Command("modprobe", "-a", "l2tp_eth", "tun").CombinedOutput(); err != nil {
		t.Fatalf("modprobe: %v: %s", err, out)
	}
	results := make(map[string][3][]float64)
	for range carryRounds {
		for _, carrier := range []string{"kernel", "ours"} {
			all := apart(t, "carry", carrier, "veth with all its offloads")
			r := results[carrier]
			for i, of := range []int{0, 1, 3} {
				r[i] = append(r[i], all[of])
			}
			results[carrier] = r
		}
	}
	for i, name := range []string{"frames, the program / the kernel: TCP, Gbit/s", "  processor seconds per GB", "  UDP of 64 bytes, thousands a second"} {
		figures.ratio(t, name, "", middle(results["ours"][i]), middle(results["kernel"][i]), 0, 0)
	}
}

func init() { roles["crowd"], roles["stand"] = among, stand }

// among is the role that measures one tunnel among more and more, in namespaces that end with it.
func among([]string) error {
	if err := twoHosts("veth with all its offloads"); err != nil {
		return err
	}
	broker, err := connectOurs("user")
	names := [2]string{"l2tp100-100", "t0"}
	if err = errors.Join(err, await2(names)); err == nil {
		err = address(names)
	}
	if err != nil {
		return err
	}
	var all []any
	for i, standing := 0, 1; i < len(crowds); standing, i = crowds[i], i+1 {
		if err := join(standing, crowds[i]); err != nil {
			return err
		}
		one, err := measure(broker.Process.Pid)
		if err != nil {
			return err
		}
		all = append(all, one...)
	}
	fmt.Println(all...)
	return nil
}

// join has clients join, from one number to another, in a process that stays.
func join(from, to int) error {
	if from == to {
		return nil
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	clients := within("b", self, "role", "stand", strconv.Itoa(from), strconv.Itoa(to))
	clients.Stderr = os.Stderr
	said, err := clients.StdoutPipe()
	if err == nil {
		err = clients.Start()
	}
	if err != nil {
		return err
	}
	if line, err := bufio.NewReader(said).ReadString('\n'); err != nil {
		return fmt.Errorf("stand: %w: %s", err, line)
	}
	return nil
}

// measure gives the rate of one tunnel in Gbit/s, a broker's resident MB, and what it takes of a processor while nothing passes, in per cent.
func measure(broker int) ([]any, error) {
	// New interfaces have the kernel say a lot at first.
	for began, calm := time.Now(), false; !calm && time.Since(began) < 30*time.Second; {
		spent, err := spends(broker, time.Second)
		if err != nil {
			return nil, err
		}
		calm = spent < time.Second/50 // a thousand tunnels take half of that for keepalives
	}
	rate, _, err := steady()
	if err != nil {
		return nil, err
	}
	spent, err := spends(broker, nothingPasses)
	if err != nil {
		return nil, err
	}
	kb, _, err := resident(broker)
	return []any{rate / 1e9, float64(kb) / 1000, 100 * float64(spent) / float64(nothingPasses)}, err
}

// spends is what a process takes of the processors within a time.
func spends(pid int, within time.Duration) (time.Duration, error) {
	before, err := used(pid)
	if err != nil {
		return 0, err
	}
	time.Sleep(within)
	after, err := used(pid)
	return after.total - before.total, err
}

// stand is the role of clients that have tunnels made and say nothing more, for as long as the namespaces are there.
func stand(args []string) error {
	from, err := strconv.Atoi(args[0])
	to, fault := strconv.Atoi(args[1])
	if err = errors.Join(err, fault); err != nil {
		return err
	}
	at := netip.MustParseAddrPort("192.0.2.1:8942")
	for i := from; i < to; i++ {
		fd, err := bareSocket(netip.AddrPortFrom(netip.MustParseAddr("192.0.2.2"), uint16(20000+i)), at)
		if err != nil {
			return err
		}
		m, err := asked(fd, wire.AppendCookieRequest(nil), wire.TypeCookie)
		if err == nil {
			_, err = asked(fd, wire.AppendPrepare(nil, m.Payload, []byte("standing"+strconv.Itoa(i)), uint32(1+i), wire.UniqueSessionID), wire.TypeTunnel)
		}
		if err != nil {
			return fmt.Errorf("client %d: %w", i, err)
		}
	}
	fmt.Println("ready")
	return unix.Pause() // their sockets stay open: the broker's words to them are no errors
}

// asked sends a request and waits for the answer of a type.
func asked(fd int, request []byte, want wire.Type) (wire.Message, error) {
	send(fd, request)
	buf := make([]byte, 2048)
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 5000)
		if err == unix.EINTR {
			continue
		}
		if err != nil || n == 0 {
			return wire.Message{}, fmt.Errorf("no answer within five seconds: %v", err)
		}
		if n := receive(fd, buf); n > 0 {
			if m, err := wire.Parse(buf[:n]); err == nil && m.Type == want {
				return m, nil
			}
		}
	}
}
