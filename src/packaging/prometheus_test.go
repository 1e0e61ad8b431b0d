//go:build prometheus

package packaging

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// patience ends what hangs; nothing is held to the clock.
const patience = 2 * time.Minute

// rules is the path of the alerts.
func rules(t *testing.T) string {
	t.Helper()
	path, err := filepath.Abs("../../files/metrics/alerts.yml")
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// growing serves metrics like the broker's, whose counters have grown at each scrape, and in which something is amiss that
// each alert is about.
func growing(t *testing.T) (address string) {
	t.Helper()
	text := strings.Replace(read(t, "src/status/testdata/metrics.txt"), "tunneldigger_tunnels{broker=\"wan\"} 3\n", "tunneldigger_tunnels{broker=\"wan\"} 1000\n", 1)
	text = strings.Replace(text, "tunneldigger_clients_refused_total{", "tunneldigger_clients_refused_total{broker=\"wan\",reason=\"failure\"} 2\ntunneldigger_clients_refused_total{", 1)
	line := regexp.MustCompile(`(?m)^(tunneldigger_\w+(?:_total|_bucket|_sum|_count)(?:\{.*\})?) (.*)$`)
	var scrapes atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		n := float64(scrapes.Add(1))
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		io.WriteString(w, line.ReplaceAllStringFunc(text, func(l string) string {
			m := line.FindStringSubmatch(l)
			value, err := strconv.ParseFloat(m[2], 64)
			if err != nil {
				panic(err)
			}
			return m[1] + " " + strconv.FormatFloat(n*value, 'g', -1, 64)
		}))
	}))
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

// prometheus starts the real one, which scrapes an address, and gives the base of its API.
func prometheus(t *testing.T, target string) string {
	t.Helper()
	dir := t.TempDir()
	file := fmt.Sprintf("global: {scrape_interval: 1s, evaluation_interval: 1s}\nrule_files: ['%s']\nscrape_configs: [{job_name: broker, params: {tunnels: ['']}, static_configs: [{targets: ['%s']}]}]\n", rules(t), target)
	if err := os.WriteFile(dir+"/prometheus.yml", []byte(file), 0o644); err != nil {
		t.Fatal(err)
	}
	// A port that was free a moment ago.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	cmd := exec.Command("prometheus", "--config.file="+dir+"/prometheus.yml", "--storage.tsdb.path="+dir+"/data", "--web.listen-address="+address)
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		if t.Failed() {
			t.Logf("prometheus said:\n%s", &said)
		}
	})
	return "http://" + address + "/api/v1/"
}

// ask reads one of the API's answers.
func ask(url string, into any) error {
	response, err := http.Get(url)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != 200 {
		return fmt.Errorf("%s: %s: %w", response.Status, text, err)
	}
	return json.Unmarshal(text, into)
}

// awaited repeats what may not be so yet.
func awaited(t *testing.T, what string, is func() error) {
	t.Helper()
	var err error
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if err = is(); err == nil {
			return
		}
	}
	t.Errorf("%s: %v", what, err)
}

// number reports what a query is short of: a number, or more.
func number(api, query string) error {
	var answer struct {
		Data struct {
			Result []struct{ Value [2]any }
		}
	}
	if err := ask(api+"query?query="+url.QueryEscape(query), &answer); err != nil {
		return err
	}
	for _, r := range answer.Data.Result {
		if text, ok := r.Value[1].(string); ok && text != "NaN" {
			return nil
		}
	}
	return fmt.Errorf("no number in %v", answer.Data.Result)
}

// panels asks a Prometheus that scrapes target for each panel of the dashboards.
func panels(t *testing.T, api, target string) {
	t.Helper()
	variables := strings.NewReplacer(`="$instance"`, `="`+target+`"`, "$instance", ".*", "$broker", ".*", "$__rate_interval", "1m")
	for _, name := range []string{"grafana-broker.json", "grafana-brokers.json"} {
		var dashboard struct {
			Title      string
			UID        string
			Templating struct{ List []struct{ Name string } }
			Panels     []struct {
				ID      int
				Title   string
				GridPos struct{ X, Y, W, H int }
				Targets []struct{ Expr string }
			}
		}
		text := read(t, "files/metrics/"+name)
		if err := json.Unmarshal([]byte(text), &dashboard); err != nil || dashboard.Title == "" || dashboard.UID == "" || len(dashboard.Panels) < 10 {
			t.Fatalf("%s: %d panels: %v", name, len(dashboard.Panels), err)
		}
		var known []string
		for _, v := range dashboard.Templating.List {
			known = append(known, v.Name)
		}
		for _, m := range regexp.MustCompile(`\$\{?(\w+)`).FindAllStringSubmatch(text, -1) {
			if !slices.Contains(append(known, "__rate_interval", "__all"), m[1]) {
				t.Errorf("%s: there is no variable %s", name, m[1])
			}
		}
		for i, panel := range dashboard.Panels {
			if len(panel.Targets) == 0 || panel.GridPos.X+panel.GridPos.W > 24 {
				t.Errorf("%s: panel %q: %d queries, at %v", name, panel.Title, len(panel.Targets), panel.GridPos)
			}
			for _, other := range dashboard.Panels[:i] {
				a, b := panel.GridPos, other.GridPos
				if a.X < b.X+b.W && b.X < a.X+a.W && a.Y < b.Y+b.H && b.Y < a.Y+a.H || panel.ID == other.ID {
					t.Errorf("%s: panels %q and %q are in the same place", name, panel.Title, other.Title)
				}
			}
			for _, target := range panel.Targets {
				query := variables.Replace(target.Expr)
				awaited(t, name+": panel "+panel.Title+": "+query, func() error { return number(api, query) })
			}
		}
	}
}

// TestDashboards asks the real Prometheus for each panel of the dashboards, and has all alerts raised.
func TestDashboards(t *testing.T) {
	target := growing(t)
	api := prometheus(t, target)
	panels(t, api, target)

	wanted := regexp.MustCompile(`(?m)^ +- alert: (\w+)`).FindAllStringSubmatch(read(t, "files/metrics/alerts.yml"), -1)
	if len(wanted) < 6 {
		t.Fatalf("alerts: %v", wanted)
	}
	for _, m := range wanted {
		if m[1] == "TunneldiggerGone" { // TestAlertGone
			continue
		}
		awaited(t, "alert "+m[1], func() error { return number(api, `ALERTS{alertname="`+m[1]+`"}`) })
	}
}

// TestAlerts has promtool look at the rules, and at what takes an hour: a broker that has gone. It holds them to the list
// for operators as well.
func TestAlerts(t *testing.T) {
	promtool := func(args ...string) {
		t.Helper()
		if out, err := exec.Command("promtool", args...).CombinedOutput(); err != nil {
			t.Errorf("promtool %q: %v\n%s", args, err, out)
		}
	}
	promtool("check", "rules", rules(t))
	tests := fmt.Sprintf(`rule_files: ['%s']
evaluation_interval: 1m
tests:
- interval: 1m
  input_series:
  - {series: 'tunneldigger_build_info{instance="a",version="1"}', values: '1x60 _x60'}
  - {series: 'tunneldigger_build_info{instance="b",version="1"}', values: '1x60'}
  - {series: 'tunneldigger_build_info{instance="b",version="2"}', values: '_x60 1x60'}
  alert_rule_test:
  - {eval_time: 55m, alertname: TunneldiggerGone}
  - eval_time: 80m
    alertname: TunneldiggerGone
    exp_alerts:
    - exp_labels: {severity: critical, instance: a, version: '1'}
      exp_annotations: {summary: The broker on a gives no metrics any more.}
`, rules(t))
	path := filepath.Join(t.TempDir(), "tests.yml")
	if err := os.WriteFile(path, []byte(tests), 0o644); err != nil {
		t.Fatal(err)
	}
	promtool("test", "rules", path)

	_, list, found := strings.Cut(read(t, "files/doc/operating.md"), "\nWorth an alarm:")
	list, _, _ = strings.Cut(list, "\n## ")
	expressions := regexp.MustCompile("`((?:tunneldigger_|rate\\()[^`]*[<>=][^`]*)`").FindAllStringSubmatch(list, -1)
	if !found || len(expressions) < 6 {
		t.Fatalf("expressions in operating.md: %q", expressions)
	}
	text := read(t, "files/metrics/alerts.yml")
	for _, m := range expressions {
		if !strings.Contains(text, "expr: "+m[1]+"\n") {
			t.Errorf("no alert for %q", m[1])
		}
	}
}
