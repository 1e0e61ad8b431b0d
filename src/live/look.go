// Package live is the table of tunnels that goes on in a terminal: it reads what the broker prints as JSON, finds the rates
// between two looks, sorts, filters and draws. Pure; the terminal is the caller's.
package live

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// Row is one tunnel.
type Row struct {
	ID                                              uint64
	UUID, Endpoint, Interface, Bridge, Broker, Note string
	State                                           string
	MTU, Limit                                      uint64 // Limit in kbit/s, 0: none
	Age, Heard                                      float64
	Rx, Tx                                          uint64  // bytes so far, from and to the client
	RxRate, TxRate                                  float64 // bit/s, below 0: not known yet
}

// Section is one broker section.
type Section struct {
	Name                    string
	Tunnels, Limit, Waiting uint64
	Draining                bool
}

// Look is what a broker did at one time.
type Look struct {
	Version  string
	PID      uint64
	Uptime   float64 // seconds
	Sections []Section
	Rows     []Row
}

// Parse reads what `status --json` prints. It ignores what it does not know. Of text only what can be shown on a terminal is
// kept: control characters become question marks.
func Parse(text []byte) (*Look, error) {
	l := &Look{}
	s := scanner{text: text}
	s.begin = func(list string) {
		switch list {
		case "brokers":
			l.Sections = append(l.Sections, Section{})
		case "tunnels":
			l.Rows = append(l.Rows, Row{RxRate: -1, TxRate: -1})
		}
	}
	s.value = func(list, name string, v []byte) {
		switch {
		case list == "":
			l.field(name, v)
		case list == "brokers" && len(l.Sections) > 0:
			l.Sections[len(l.Sections)-1].field(name, v)
		case list == "tunnels" && len(l.Rows) > 0:
			l.Rows[len(l.Rows)-1].field(name, v)
		}
	}
	if s.skip() != '{' {
		return nil, errForm
	}
	if err := s.any("", ""); err != nil {
		return nil, err
	}
	return l, nil
}

func (l *Look) field(name string, v []byte) {
	switch name {
	case "version":
		l.Version = shown(v)
	case "pid":
		l.PID = whole(v)
	case "uptime_seconds":
		l.Uptime = number(v)
	}
}

func (s *Section) field(name string, v []byte) {
	switch name {
	case "name":
		s.Name = shown(v)
	case "tunnels":
		s.Tunnels = whole(v)
	case "limit":
		s.Limit = whole(v)
	case "queued":
		s.Waiting = whole(v)
	case "draining":
		s.Draining = string(v) == "true"
	}
}

func (r *Row) field(name string, v []byte) {
	switch name {
	case "id":
		r.ID = whole(v)
	case "uuid":
		r.UUID = shown(v)
	case "endpoint":
		r.Endpoint = orNothing(v)
	case "interface":
		r.Interface = shown(v)
	case "bridge":
		r.Bridge = orNothing(v)
	case "broker":
		r.Broker = shown(v)
	case "state":
		r.State = shown(v)
	case "mtu":
		r.MTU = whole(v)
	case "limit_kbit":
		r.Limit = whole(v)
	case "age_seconds":
		r.Age = number(v)
	case "heard_seconds":
		r.Heard = number(v)
	case "rx_bytes":
		r.Rx = whole(v)
	case "tx_bytes":
		r.Tx = whole(v)
	case "unattached", "hook_failed":
		if text := orNothing(v); text != "" {
			r.Note = strings.TrimPrefix(r.Note+"; "+text, "; ")
		}
	}
}

func whole(v []byte) uint64 {
	n, _ := strconv.ParseUint(string(v), 10, 64)
	return n
}

func number(v []byte) float64 {
	n, _ := strconv.ParseFloat(string(v), 64)
	return n
}

func orNothing(v []byte) string {
	if string(v) == "null" {
		return ""
	}
	return shown(v)
}

// shown is a text without what could change a terminal. (strings.Map and the tables of package unicode would be 30 kB of a
// router's flash.)
func shown(v []byte) string {
	var b []byte
	for _, r := range string(v) {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			r = '?'
		}
		b = utf8.AppendRune(b, r)
	}
	return string(b)
}

// lower is a text with small letters, those of ASCII.
func lower(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

// Since finds the rates: before is the look that was taken so many seconds earlier, nil: there is none. A tunnel whose counters
// became smaller is another one by now.
func (l *Look) Since(before *Look, seconds float64) {
	if before == nil || before.PID != l.PID || seconds <= 0 {
		return
	}
	type key struct{ broker, name string }
	old := make(map[key]*Row, len(before.Rows))
	for i := range before.Rows {
		r := &before.Rows[i]
		old[key{r.Broker, r.Interface}] = r
	}
	for i := range l.Rows {
		r := &l.Rows[i]
		if o := old[key{r.Broker, r.Interface}]; o != nil && r.Rx >= o.Rx && r.Tx >= o.Tx && r.Age >= o.Age {
			r.RxRate, r.TxRate = 8*float64(r.Rx-o.Rx)/seconds, 8*float64(r.Tx-o.Tx)/seconds
		}
	}
}

// Tunnels is how many tunnels the sections have, and whether any is being drained.
func (l *Look) Tunnels() (tunnels uint64, draining bool) {
	for i := range l.Sections {
		tunnels += l.Sections[i].Tunnels
		draining = draining || l.Sections[i].Draining
	}
	return tunnels, draining
}
