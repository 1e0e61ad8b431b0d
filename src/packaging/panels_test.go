//go:build prometheus

package packaging

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// inside marks the process that is in a network namespace of its own.
const inside = "TUNNELDIGGER_PROMETHEUS_INSIDE"

// TestDashboardsOfABroker has the real Prometheus scrape the page of a real broker with a real tunnel, and asks it for each panel. It takes root and
// /dev/net/tun, for tunnels that the program carries itself; all of it is in a network namespace of its own.
func TestDashboardsOfABroker(t *testing.T) {
	if os.Getenv(inside) == "" {
		cmd := exec.Command("unshare", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", "--", "sh", "-c", `ip link set lo up && exec "$0" "$@"`, os.Args[0],
			"-test.run=^TestDashboardsOfABroker$", "-test.v", "-test.timeout=9m")
		cmd.Env = append(os.Environ(), inside+"=1")
		if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS: TestDashboardsOfABroker") {
			t.Fatalf("in a namespace of its own, which takes root: %v\n%s", err, out)
		}
		return
	}
	dir := t.TempDir()
	build := exec.Command("go", "build", "-o", dir, "../cmd/tunneldigger-broker", "../cmd/tunneldigger-client", "../cmd/tunneldigger-web")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	config, socket, denied := filepath.Join(dir, "config"), filepath.Join(dir, "socket"), filepath.Join(dir, "denied")
	text := fmt.Sprintf("config broker 'wan'\n\tlist address '127.0.0.1'\n\tlist port '8942'\n\toption datapath 'user'\n\toption deny_list '%s'\n", denied)
	for path, text := range map[string]string{filepath.Join(config, "tunneldigger-broker"): text, denied: "stranger\n"} {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	const page = "127.0.0.1:9142"
	launch(t, dir+"/tunneldigger-broker", "-c", config, "--socket", socket)
	launch(t, dir+"/tunneldigger-web", "--socket", socket, "--listen", page)
	awaited(t, "the page", func() error {
		r, err := http.Get("http://" + page + "/healthz")
		if err != nil {
			return err
		}
		r.Body.Close()
		if r.StatusCode != http.StatusOK {
			return fmt.Errorf("status %d", r.StatusCode)
		}
		return nil
	})
	api := prometheus(t, page)
	// Prometheus has seen the broker without a tunnel before there is one: so what is counted from now on it sees grow.
	awaited(t, "a broker without tunnels", func() error { return number(api, `tunneldigger_tunnels{broker="wan"} == 0`) })
	launch(t, dir+"/tunneldigger-client", "-f", "-u", "stranger", "-b", "127.0.0.1:8942", "-i", "td1", "-t", "2", "--datapath", "user")
	launch(t, dir+"/tunneldigger-client", "-f", "-u", "node", "-b", "127.0.0.1:8942", "-i", "td0", "--datapath", "user")
	awaited(t, "the tunnel", func() error {
		_, err := net.InterfaceByName("td0")
		return err
	})
	panels(t, api, page)
	awaited(t, "the one tunnel", func() error { return number(api, `tunneldigger_tunnels{broker="wan"} == 1`) })
	awaited(t, "who was refused", func() error { return number(api, `sum(tunneldigger_clients_refused_total) > 0`) })
}

// launch starts a program and ends it with the test.
func launch(t *testing.T, argv ...string) {
	t.Helper()
	cmd := exec.Command(argv[0], argv[1:]...)
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		if t.Failed() {
			t.Logf("%s said:\n%s", filepath.Base(argv[0]), &said)
		}
	})
}
