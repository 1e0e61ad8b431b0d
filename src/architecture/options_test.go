package architecture

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"tunneldigger/src/config"
	"tunneldigger/src/config/uci"
)

// row is an option as files/doc/configuration.md has it.
type row struct {
	section, name string
	list          bool
	def, span     string
}

// rows reads the tables below the headings "config SECTION".
func rows(text string) (found []row) {
	section := ""
	line := regexp.MustCompile("^\\| `([a-z_]+)`( \\(list\\))? \\| (.*?) \\| (.*?) \\| .*\\|$")
	for _, l := range strings.Split(text, "\n") {
		if strings.HasPrefix(l, "## ") {
			section, _ = strings.CutPrefix(l, "## config ")
		} else if m := line.FindStringSubmatch(l); m != nil {
			found = append(found, row{section, m[1], m[2] != "", strings.ReplaceAll(m[3], "`", ""), strings.ReplaceAll(m[4], "`", "")})
		}
	}
	return found
}

// parse reads a file that has the smallest section of each kind, with one more line in the row's.
func (r row) parse(value string) (*config.Config, error) {
	text := ""
	for _, section := range []string{"broker", "bridge", "client", "hooks", "log"} {
		text += "config " + section + "\n"
		if section == "bridge" && r.section+r.name != "bridgeinterface" {
			text += "\toption interface 'br-mesh'\n"
		}
		if section == "client" && r.section+r.name != "clientuuid" {
			text += "\toption uuid 'node'\n"
		}
		if section == "bridge" && slices.Contains([]string{"address", "table", "priority"}, r.name) && section == r.section {
			text += "\toption create '1'\n"
		}
		if section == "bridge" && r.name == "priority" {
			text += "\toption table '5'\n"
		}
		// Those that bound each other.
		switch section + " " + r.name {
		case "broker tunnel_id":
			text += "\toption enabled '0'\n"
		case "broker max_tunnels":
			text += "\toption tunnel_id_base '1'\n"
		case "broker tunnel_id_base":
			text += "\toption max_tunnels '1'\n"
		}
		// The two without each other mean nothing.
		if pair, is := strings.CutSuffix(r.name, "_count"); is && section == "broker" && r.section == section {
			text += "\toption " + pair + "_time '60'\n"
		} else if pair, is := strings.CutSuffix(r.name, "_time"); is && section == "broker" && r.section == section {
			text += "\toption " + pair + "_count '5'\n"
		}
		if section == r.section && value != "" {
			text += fmt.Sprintf("\toption %s '%s'\n", r.name, value)
		}
	}
	return uci.Parse("text", text)
}

func (r row) formatted(value string) (string, error) {
	c, err := r.parse(value)
	if err != nil {
		return "", err
	}
	return config.FormatUCI(c), nil
}

// other is a value that is not the default.
func (r row) other() string {
	spans := strings.Split(r.span, ", ")
	last := spans[len(spans)-1]
	if _, high, is := strings.Cut(last, "–"); is {
		return high
	}
	if r.section+" "+r.name == "client bridge" {
		return "bridge0"
	}
	for words, value := range map[string]string{"a path": "/etc/another", "a device": "eth9", "addresses": "192.0.2.9", "a section's": "broker0", "a port": "8942",
		"an address with": "192.0.2.9/24", "a routing table": "7", "a UUID": "node-2"} {
		if strings.HasPrefix(r.span, words) {
			return value
		}
	}
	if last == r.def {
		return spans[0]
	}
	return last
}

// number is a bound of the kind that tables give.
func number(text string) float64 {
	n, err := strconv.ParseFloat(text, 64)
	if err != nil {
		panic(err)
	}
	return n
}

func decimal(n float64) string { return strconv.FormatFloat(n, 'f', -1, 64) }

// TestOptions holds the tables of options to the program: no option is missing, each default is what the program takes, and
// each range ends where the program's does; and the manual page has the same defaults.
func TestOptions(t *testing.T) {
	read := func(path string) string {
		text, err := os.ReadFile("../../" + path)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	table := rows(read("files/doc/configuration.md"))
	manual := strings.NewReplacer(`\-`, "-", `\~`, " ").Replace(read("files/server/tunneldigger-broker.5"))

	var names []string
	for _, r := range table {
		names = append(names, r.section+" "+r.name)
	}
	for _, name := range known(read("src/config/options.go")) {
		if !slices.Contains(names, name) {
			t.Errorf("configuration.md does not have %q, which the program knows", name)
		}
	}
	for _, r := range table {
		what := r.section + " " + r.name
		text := paragraph(manual, r.section, r.name)
		if want := "Default: " + r.def + ".\n"; r.def != "must be set" && !strings.Contains(text, want) {
			t.Errorf("%s: the manual page does not say %q in %q", what, want, text)
		}
		without, err := r.formatted("")
		if err != nil && r.def != "must be set" {
			t.Fatal(err)
		}
		// A default in words is one that no value stands for.
		if value := strings.Fields(r.def)[0]; !r.list && !strings.Contains("any none all every must by", value) {
			if with, err := r.formatted(value); err != nil || with != without {
				t.Errorf("%s: %q is not what the program takes by default: %v\n%s\nwithout:\n%s", what, value, err, with, without)
			}
		}
		// What is not written is not converted, and a reload does not see it change.
		if value := r.other(); r.name != "enabled" {
			if with, err := r.formatted(value); err != nil || with == without {
				t.Errorf("%s: %q is lost when the configuration is written as UCI: %v", what, value, err)
			}
		}
		for _, span := range strings.Split(r.span, ", ") {
			low, high, is := strings.Cut(span, "–")
			if _, err := r.parse(low); err != nil && !strings.HasPrefix(low, "a") { // "a device", "addresses"
				t.Errorf("%s: %s is not taken: %v", what, low, err)
			}
			if !is {
				continue
			}
			if _, err := r.parse(high); err != nil {
				t.Errorf("%s: %s is not taken: %v", what, high, err)
			}
			beyond := []string{decimal(number(high) + 1)}
			if number(low) > 0 && number(low) == float64(int(number(low))) && !strings.HasPrefix(r.span, "0, "+low) || number(low) > 2 {
				beyond = append(beyond, decimal(number(low)-1))
			}
			for _, value := range beyond {
				if _, err := r.parse(value); err == nil {
					t.Errorf("%s: %s is taken, and the range is %s", what, value, r.span)
				}
			}
		}
	}
}

// known are the options in the text of config/options.go, as "SECTION NAME", those that older files have and that mean
// nothing any more aside.
func known(text string) (names []string) {
	sections := map[string]string{"brokerOptions": "broker", "bridgeOptions": "bridge", "hookOptions": "hooks", "logOptions": "log", "clientOptions": "client"}
	section := ""
	for _, line := range strings.Split(text, "\n") {
		if m := regexp.MustCompile(`^var (\w+Options) =`).FindStringSubmatch(line); m != nil {
			section = sections[m[1]]
		} else if m := regexp.MustCompile(`^\t+\{name: "([a-z_]+)"`).FindStringSubmatch(line); m != nil {
			names = append(names, section+" "+m[1])
		}
	}
	for e := config.Event(0); e < config.EventCount; e++ {
		names = append(names, "hooks "+strings.NewReplacer(".", "_", "-", "_").Replace(e.String()))
	}
	return names
}

// paragraph is the manual page's one about an option, in a chapter about the kind of section.
func paragraph(manual, section, name string) string {
	_, manual, _ = strings.Cut(manual, "\n.B config "+section+"\n")
	manual, _, _ = strings.Cut(manual, "\n.SH ")
	for _, p := range strings.Split("\n"+manual, "\n.TP\n") {
		head, _, _ := strings.Cut(p, "\n")
		if regexp.MustCompile(`^\.B (.*[ ,])?` + name + `\b`).MatchString(head) {
			return p + "\n"
		}
	}
	return ""
}
