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

// What tunnels that stand beside it cost the traffic in one of them, on the program's own data path, and what they cost by themselves.
func TestNativeCrowd(t *testing.T) {
	needs(t, "iperf3", "iproute2", "iputils-ping")
	brokerProgram(t)
	results := make(map[int][3][]float64) // by the number of tunnels: Gbit/s, resident MB, per cent of a processor
	for range carryRounds {
		for _, n := range []int{1, 100, 1000} {
			all := apart(t, "crowd", strconv.Itoa(n))
			r := results[n]
			for i := range r {
				r[i] = append(r[i], all[i])
			}
			results[n] = r
		}
	}
	median := func(n, figure int) float64 { return middle(results[n][figure]) }
	figures.ratio(t, "TCP, 100 tunnels beside 1", "Gbit/s", median(100, 0), median(1, 0), 0.9, 0)
	figures.ratio(t, "TCP, 1000 tunnels beside 1", "Gbit/s", median(1000, 0), median(1, 0), 0.9, 0)
	figures.most(t, "resident memory, 1000 tunnels carried", "MB", median(1000, 1), 25, 50)
	figures.note("  nothing passes, 1 tunnel / 1000", fmt.Sprintf("%.2f %%", median(1, 2)), fmt.Sprintf("%.2f %%", median(1000, 2)))
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

// among is the role that measures one tunnel among so many, in namespaces that end with it.
func among(args []string) error {
	n, err := strconv.Atoi(args[0])
	if err == nil {
		err = twoHosts("veth with all its offloads")
	}
	if err != nil {
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
	self, err := os.Executable()
	if err != nil {
		return err
	}
	clients := within("b", self, "role", "stand", strconv.Itoa(n-1))
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
	// New interfaces have the kernel say a lot at first.
	for began, calm := time.Now(), false; !calm && time.Since(began) < 30*time.Second; {
		before, err := used(broker.Process.Pid)
		if err != nil {
			return err
		}
		time.Sleep(time.Second)
		after, err := used(broker.Process.Pid)
		if err != nil {
			return err
		}
		calm = after.total-before.total < time.Second/50 // a thousand tunnels take half of that for keepalives
	}
	rate, _, err := steady()
	if err != nil {
		return err
	}
	before, err := used(broker.Process.Pid)
	if err != nil {
		return err
	}
	time.Sleep(nothingPasses)
	after, err := used(broker.Process.Pid)
	if err != nil {
		return err
	}
	kb, _, err := resident(broker.Process.Pid)
	if err != nil {
		return err
	}
	fmt.Println(rate/1e9, float64(kb)/1000, 100*float64(after.total-before.total)/float64(nothingPasses))
	return nil
}

// stand is the role of clients that have tunnels made and say nothing more, for as long as the namespaces are there.
func stand(args []string) error {
	n, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	at := netip.MustParseAddrPort("192.0.2.1:8942")
	for i := range n {
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
