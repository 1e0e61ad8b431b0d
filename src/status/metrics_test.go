package status

import (
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

var sampleLine = regexp.MustCompile(`^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$`)
var labelPair = regexp.MustCompile(`^([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(?:,|$)`)

// checkMetrics is what promtool check metrics does: the text's grammar, and the
// conventions for names.
func checkMetrics(text string) (faults []string, samples map[string]float64) {
	samples = map[string]float64{}
	types, helps := map[string]string{}, map[string]bool{}
	var family string
	fault := func(line, what string) { faults = append(faults, what+": "+line) }
	if !strings.HasSuffix(text, "\n") {
		fault("the end", "no newline")
	}
	for _, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		if rest, found := strings.CutPrefix(line, "# HELP "); found {
			name, help, _ := strings.Cut(rest, " ")
			if helps[name] || help == "" || !strings.HasSuffix(help, ".") {
				fault(line, "HELP twice, empty, or no sentence")
			}
			helps[name], family = true, name
			continue
		}
		if rest, found := strings.CutPrefix(line, "# TYPE "); found {
			name, kind, _ := strings.Cut(rest, " ")
			if types[name] != "" || !helps[name] || name != family {
				fault(line, "TYPE twice, or without HELP before it")
			}
			types[name] = kind
			checkName(line, name, kind, fault)
			continue
		}
		m := sampleLine.FindStringSubmatch(line)
		if m == nil {
			fault(line, "no sample")
			continue
		}
		name, le := m[1], ""
		labels := map[string]string{}
		for rest := m[2]; rest != ""; {
			pair := labelPair.FindStringSubmatch(rest)
			if pair == nil || labels[pair[1]] != "" {
				fault(line, "a label is wrong or there twice")
				break
			}
			labels[pair[1]] = pair[2]
			rest = rest[len(pair[0]):]
		}
		le = labels["le"]
		base := name
		if types[family] == "histogram" {
			base = strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(name, "_bucket"), "_sum"), "_count")
		}
		if base != family || types[family] == "" {
			fault(line, "a sample outside of its family, or without TYPE")
		}
		if (le != "") != strings.HasSuffix(name, "_bucket") {
			fault(line, "label le")
		}
		value, err := strconv.ParseFloat(m[3], 64)
		if _, twice := samples[name+"{"+m[2]+"}"]; err != nil || twice || value < 0 {
			fault(line, "no value, below 0, or a series twice")
		}
		samples[name+"{"+m[2]+"}"] = value
	}
	for name := range helps {
		if types[name] == "" {
			fault(name, "HELP without TYPE")
		}
	}
	return faults, samples
}

func checkName(line, name, kind string, fault func(line, what string)) {
	if !regexp.MustCompile(`^tunneldigger_[a-z][a-z_]*[a-z]$`).MatchString(name) {
		fault(line, "name")
	}
	if strings.HasSuffix(name, "_total") != (kind == "counter") {
		fault(line, "counters end with _total, and nothing else does")
	}
	for _, word := range strings.Split(name, "_") {
		switch word {
		case "gauge", "counter", "histogram", "summary":
			fault(line, "a type in a name")
		case "ms", "milliseconds", "microseconds", "minutes", "hours", "days", "kb", "kilobytes", "mb", "megabytes", "bits", "kbit", "bit", "percent":
			fault(line, "no base unit")
		}
	}
	switch kind {
	case "counter", "gauge", "histogram":
	default:
		fault(line, "type")
	}
}

func TestMetricsByTheConventions(t *testing.T) {
	r, tunnels := fixture()
	text := string(metrics(r, tunnels))
	faults, samples := checkMetrics(text)
	for _, f := range faults {
		t.Error(f)
	}
	for series, want := range map[string]float64{
		`tunneldigger_tunnels{broker="wan"}`:                                                                                       3,
		`tunneldigger_clients_refused_total{broker="wan",reason="full"}`:                                                           5,
		`tunneldigger_tunnels_closed_total{broker="wan",reason="timeout"}`:                                                         90,
		`tunneldigger_datagrams_dropped_total{broker="wan",kind="cookie"}`:                                                         7,
		`tunneldigger_setup_duration_seconds_bucket{broker="wan",le="0.032"}`:                                                      108,
		`tunneldigger_setup_duration_seconds_bucket{broker="wan",le="+Inf"}`:                                                       110,
		`tunneldigger_setup_duration_seconds_count{broker="wan"}`:                                                                  110,
		`tunneldigger_setup_duration_seconds_sum{broker="wan"}`:                                                                    1.234,
		`tunneldigger_tunnel_limit_bytes_per_second{broker="wan",interface="l2tp100-100",uuid="client-1"}`:                         250000,
		`tunneldigger_tunnel_receive_bytes_total{broker="wan",interface="l2tp100-100",uuid="client-1"}`:                            1234567,
		`tunneldigger_tunnel_age_seconds{broker="wan",interface="l2tp65535-1",uuid="a\"b\\c\nd` + "\x1b[31m\ufffd,e\u00e9}" + `"}`: 4000.25,
	} {
		if got, there := samples[series]; !there || got != want {
			t.Errorf("%s: %v %v, want %v", series, got, there, want)
		}
	}
	// The buckets of a histogram never fall.
	last := 0.0
	for i := range len(r.Sections[0].Stats.Setup.Buckets) - 1 {
		le := string(appendSeconds(nil, bound(i)))
		now := samples[`tunneldigger_setup_duration_seconds_bucket{broker="wan",le="`+le+`"}`]
		if now < last || bound(i) < time.Millisecond {
			t.Errorf("bucket %s has %v after %v", le, now, last)
		}
		last = now
	}
	if strings.Contains(string(metrics(r, nil)), "client-1") {
		t.Error("a tunnel in the metrics without tunnels")
	}
}

// The checker finds what promtool would.
func TestMetricsCheckerFinds(t *testing.T) {
	for _, text := range []string{
		"tunneldigger_x 1\n",
		"# HELP tunneldigger_x X.\n# TYPE tunneldigger_x gauge\ntunneldigger_x 1\ntunneldigger_x 1\n",
		"# HELP tunneldigger_x X.\n# TYPE tunneldigger_x counter\ntunneldigger_x 1\n",
		"# HELP tunneldigger_x_total X.\n# TYPE tunneldigger_x_total gauge\ntunneldigger_x_total 1\n",
		"# HELP tunneldigger_x_ms X.\n# TYPE tunneldigger_x_ms gauge\ntunneldigger_x_ms 1\n",
		"# HELP tunneldigger_x X.\ntunneldigger_x 1\n",
		"# HELP tunneldigger_x X.\n# TYPE tunneldigger_x gauge\ntunneldigger_y 1\n",
		"# HELP tunneldigger_x X.\n# TYPE tunneldigger_x gauge\ntunneldigger_x{a=\"b\"c\"} 1\n",
		"# HELP tunneldigger_x X.\n# TYPE tunneldigger_x gauge\ntunneldigger_x{le=\"1\"} 1\n",
		"# HELP tunneldigger_x X.\n# TYPE tunneldigger_x gauge\ntunneldigger_x 1",
	} {
		if faults, _ := checkMetrics(text); len(faults) == 0 {
			t.Errorf("no fault in\n%s", text)
		}
	}
}
