//go:build bench

package bench

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const (
	carryRounds  = 3
	carrySeconds = "2" // of each transfer
	transfers    = 5   // of one TCP stream, one after the other: where the scheduler places those who take part differs by a fifth
)

// What carries frames between two namespaces, and the figures of each, in one order everywhere.
var (
	carriers = []string{"veth", "vxlan", "fastd", "ours"}
	measured = []string{"TCP, one stream, Gbit/s", "  processor seconds per GB", "TCP, four streams, Gbit/s", "UDP of 64 bytes, thousands a second", "ping, ms"}
)

// How fast the program's own data path carries frames, beside the bare link, the kernel's VXLAN and fastd without encryption, which moves one packet at
// a time as most programs do: over veth as it is, and as a plain network card is, which takes no more than a packet. Rounds are interleaved, and
// medians are compared: the machine may have something else to do.
func TestNativeCarry(t *testing.T) {
	needs(t, "fastd", "iperf3", "ethtool", "iproute2", "iputils-ping")
	brokerProgram(t)
	for _, model := range []string{"veth with all its offloads", "like a plain network card"} {
		results := make(map[string][][]float64) // by carrier, by figure, of each round
		for range carryRounds {
			for _, carrier := range carriers {
				all := apart(t, "carry", carrier, model)
				if results[carrier] == nil {
					results[carrier] = make([][]float64, len(measured))
				}
				for i := range measured {
					results[carrier][i] = append(results[carrier][i], all[i])
				}
			}
		}
		fmt.Printf("\nframes over %s, medians of %d rounds\n%-40s", model, carryRounds, "")
		for _, carrier := range carriers {
			fmt.Printf("%9s", carrier)
		}
		fmt.Println()
		median := func(carrier string, figure int) float64 { return middle(results[carrier][figure]) }
		for i, name := range measured {
			fmt.Printf("%-40s", name)
			for _, carrier := range carriers {
				fmt.Printf("%9.3g", median(carrier, i))
			}
			fmt.Println()
		}
		times, part := 8.0, 0.4
		if model != "veth with all its offloads" {
			times, part = 5, 0.45
		}
		ours := median("ours", 0)
		figures.ratio(t, fmt.Sprintf("TCP beside %.0f × fastd, %s", times, model), "Gbit/s", ours, times*median("fastd", 0), 1, 0)
		figures.ratio(t, "TCP beside VXLAN, "+model, "Gbit/s", ours, median("vxlan", 0), part, 0)
	}
}

// apart plays a role in namespaces of its own and gives the numbers that it prints last.
func apart(t *testing.T, name string, args ...string) (all []float64) {
	t.Helper()
	cmd := exec.Command("unshare", append([]string{"-mnpf", "--mount-proc"}, role(t, name, args...)...)...)
	cmd.SysProcAttr = &unix.SysProcAttr{Pdeathsig: unix.SIGKILL}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v: %s", name, args, err, out)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	for _, field := range strings.Fields(lines[len(lines)-1]) {
		v, err := strconv.ParseFloat(field, 64)
		if err != nil {
			t.Fatalf("%s %q: %s", name, args, out)
		}
		all = append(all, v)
	}
	return all
}

// needs installs Debian's packages where they are missing.
func needs(t *testing.T, packages ...string) {
	t.Helper()
	need := exec.Command(filepath.Join(filepath.Dir(filepath.Dir(self(t))), "src/test/e2e/vm/need"), packages...)
	if out, err := need.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

// middle is the median of an odd number of figures.
func middle(all []float64) float64 {
	return slices.Sorted(slices.Values(all))[len(all)/2]
}

// carry is the role that measures one carrier over one model of a link, in namespaces that end with it.
func carry(args []string) error {
	carrier, model := args[0], args[1]
	if err := twoHosts(model); err != nil {
		return err
	}
	names, err := connect(carrier)
	if err != nil {
		return err
	}
	if err := address(names); err != nil {
		return err
	}
	before := busy()
	one, received, err := steady()
	if err != nil {
		return err
	}
	spent := busy() - before
	four, _, err := iperf("-P", "4")
	if err != nil {
		return err
	}
	small, _, err := iperf("-u", "-b", "0", "-l", "64")
	if err != nil {
		return err
	}
	out, err := within("b", "ping", "-q", "-c", "20", "-i", "0.01", "198.51.100.1").Output()
	fields := strings.Split(string(out), "/") // rtt min/avg/max/mdev = 1/2/3/4 ms
	if err != nil || len(fields) < 5 {
		return fmt.Errorf("ping: %w: %s", err, out)
	}
	fmt.Println(one/1e9, spent/(received/1e9), four/1e9, small/64/8/1e3, fields[4])
	return nil
}

// twoHosts makes the namespaces a and b, with a link between them.
func twoHosts(model string) error {
	if err := unix.Mount("tmpfs", "/run", "tmpfs", 0, ""); err != nil {
		return err
	}
	for _, line := range []string{"netns add a", "netns add b", "-n a link add e0 type veth peer name e0 netns b"} {
		if err := ip(line); err != nil {
			return err
		}
	}
	for i, at := range []string{"a", "b"} {
		for _, line := range []string{"link set lo up", fmt.Sprintf("addr add 192.0.2.%d/24 dev e0", i+1), "link set e0 up"} {
			if err := ip("-n " + at + " " + line); err != nil {
				return err
			}
		}
		if model != "veth with all its offloads" {
			if err := within(at, "ethtool", "-K", "e0", "tso", "off", "gso", "off", "tx-udp-segmentation", "off", "gro", "on").Run(); err != nil {
				return fmt.Errorf("ethtool: %w", err)
			}
		}
	}
	return nil
}

// address gives both ends of a tunnel addresses, and waits until it passes frames.
func address(names [2]string) error {
	for i, at := range []string{"a", "b"} {
		if err := ip(fmt.Sprintf("-n %s addr add 198.51.100.%d/24 dev %s", at, i+1, names[i])); err != nil {
			return err
		}
	}
	for end := time.Now().Add(20 * time.Second); within("b", "ping", "-c", "1", "-W", "1", "198.51.100.1").Run() != nil; {
		if time.Now().After(end) {
			return errors.New("no frame passes")
		}
	}
	return nil
}

func init() { roles["carry"] = carry }

func ip(line string) error {
	if out, err := exec.Command("ip", strings.Fields(line)...).CombinedOutput(); err != nil {
		return fmt.Errorf("ip %s: %w: %s", line, err, out)
	}
	return nil
}

func within(namespace string, argv ...string) *exec.Cmd {
	return exec.Command("ip", append([]string{"netns", "exec", namespace}, argv...)...)
}

// connect has a carrier connect the namespaces, and gives the names of its interfaces.
func connect(carrier string) (names [2]string, err error) {
	names = [2]string{"t0", "t0"}
	switch carrier {
	case "veth":
		return [2]string{"e0", "e0"}, nil
	case "vxlan":
		for i, at := range []string{"a", "b"} {
			err = errors.Join(err, ip(fmt.Sprintf("-n %s link add t0 mtu 1446 type vxlan id 5 local 192.0.2.%d remote 192.0.2.%d dstport 4789", at, i+1, 2-i)),
				ip("-n "+at+" link set t0 up"))
		}
		return names, err
	case "fastd":
		return names, connectFastd()
	}
	datapath := "user"
	if carrier == "kernel" {
		datapath = carrier
	}
	names[0] = "l2tp100-100"
	_, err = connectOurs(datapath)
	return names, errors.Join(err, await2(names))
}

// connectOurs starts a broker and a client, each with a data path.
func connectOurs(datapath string) (broker *exec.Cmd, err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	folder := "/run/broker"
	text := "config broker 'wan'\n\tlist port '8942'\n\toption datapath '" + datapath + "'\n\toption pmtu '1446'\n" +
		"\toption max_tunnels '2048'\n\toption connection_rate_limit '0'\n\toption tunnel_timeout '600'\n"
	if err = os.Mkdir(folder, 0o755); err == nil {
		err = os.WriteFile(folder+"/tunneldigger-broker", []byte(text), 0o644)
	}
	broker = within("a", filepath.Join(filepath.Dir(self), "tunneldigger-broker"), "-c", folder, "--socket", folder+"/socket")
	if err == nil {
		err = broker.Start()
	}
	if err == nil {
		err = within("b", filepath.Join(filepath.Dir(self), "tunneldigger-client"), "-f", "--datapath", datapath, "-u", "bench", "-b", "192.0.2.1:8942", "-i", "t0").Start()
	}
	return broker, err
}

// await2 waits until both interfaces are there.
func await2(names [2]string) error {
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		a, b := ip("-n a link show "+names[0]), ip("-n b link show "+names[1])
		if err := errors.Join(a, b); err == nil || time.Now().After(end) {
			return err
		}
	}
}

func connectFastd() error {
	var secret, public [2]string
	for i := range secret {
		out, err := exec.Command("fastd", "--generate-key").Output()
		if err != nil {
			return err
		}
		for scan := bufio.NewScanner(bytes.NewReader(out)); scan.Scan(); {
			if name, key, _ := strings.Cut(scan.Text(), ": "); name == "Secret" {
				secret[i] = key
			} else if name == "Public" {
				public[i] = key
			}
		}
	}
	for i, at := range []string{"a", "b"} {
		text := fmt.Sprintf("mode tap; interface \"t0\"; mtu 1446; method \"null\"; bind 192.0.2.%d:10000; secret %q;\npeer \"other\" { key %q; remote 192.0.2.%d:10000; }\n",
			i+1, secret[i], public[1-i], 2-i)
		file := "/run/fastd-" + at
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			return err
		}
		if err := within(at, "fastd", "-c", file).Start(); err != nil {
			return err
		}
	}
	err := await2([2]string{"t0", "t0"})
	return errors.Join(err, ip("-n a link set t0 up"), ip("-n b link set t0 up"))
}

// iperf tells what arrives, in bits a second, and how many bytes that were.
func iperf(options ...string) (rate, received float64, err error) {
	server := within("a", "iperf3", "-s", "-1")
	if err := server.Start(); err != nil {
		return 0, 0, err
	}
	defer func() { _ = server.Process.Kill(); _ = server.Wait() }()
	for try := 0; try < 50 && received == 0; try++ { // the server takes a moment
		var out []byte
		out, err = within("b", append([]string{"iperf3", "-J", "-c", "198.51.100.1", "-t", carrySeconds}, options...)...).Output()
		if rate, received = parseIperf(out); received == 0 {
			err = fmt.Errorf("iperf3 %q: %w: %.300s", options, err, out)
			time.Sleep(50 * time.Millisecond)
		} else {
			err = nil
		}
	}
	return rate, received, err
}

// steady is iperf several times: the middle rate, and what was received in all.
func steady() (rate, received float64, err error) {
	var rates []float64
	for range transfers {
		one, bytes, err := iperf()
		if err != nil {
			return 0, 0, err
		}
		rates, received = append(rates, one), received+bytes
	}
	return middle(rates), received, nil
}

// parseIperf reads what arrived from a report, 0 where there is an error in it.
func parseIperf(out []byte) (rate, received float64) {
	var report struct {
		End struct {
			Sum struct {
				Rate  float64 `json:"bits_per_second"`
				Bytes float64
				Lost  float64 `json:"lost_percent"`
			} `json:"sum"`
			Received struct {
				Rate  float64 `json:"bits_per_second"`
				Bytes float64
			} `json:"sum_received"`
		}
	}
	if json.Unmarshal(out, &report) != nil {
		return 0, 0
	}
	r := report.End.Received
	if r.Rate == 0 { // older versions have the sender's figure and the loss
		r.Rate, r.Bytes = report.End.Sum.Rate*(1-report.End.Sum.Lost/100), report.End.Sum.Bytes
	}
	return r.Rate, r.Bytes
}

// busy is how many seconds the machine's processors have worked so far.
func busy() (seconds float64) {
	text, _ := os.ReadFile("/proc/stat")
	line, _, _ := strings.Cut(string(text), "\n") // cpu user nice system idle iowait irq softirq, in hundredths
	for i, field := range strings.Fields(line) {
		if v, err := strconv.ParseFloat(field, 64); err == nil && i != 4 && i != 5 && i < 8 {
			seconds += v / 100
		}
	}
	return seconds
}
