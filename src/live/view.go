package live

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// View is what somebody wants to see of a Look, and where. The zero value shows all, sorted by ID.
type View struct {
	Column     int // that it is sorted by, below Columns
	Descending bool
	Filter     string // words that a tunnel must have, in any of its texts
	Finding    bool   // the filter is being typed
	First      int    // of the tunnels that fit, the first that is shown
	Width      int    // of the terminal in columns
	Height     int    // in lines, 0: as many as there are tunnels
}

// silent is after how many seconds without a word a tunnel is marked: clients say something every five.
const silent = 15

// column is one of the table. The last one takes the rest of the line.
type column struct {
	name  string
	width int
	right bool
	text  func(*Row) string
	order func(a, b *Row) int
	large bool // the largest goes first
}

func by[T cmp.Ordered](value func(*Row) T) func(a, b *Row) int {
	return func(a, b *Row) int { return cmp.Compare(value(a), value(b)) }
}

var columns = []column{
	{"TUNNEL", 6, true, func(r *Row) string { return strconv.FormatUint(r.ID, 10) }, by(func(r *Row) uint64 { return r.ID }), false},
	{"UUID", 20, false, func(r *Row) string { return r.UUID }, by(func(r *Row) string { return r.UUID }), false},
	{"FROM IT", 10, true, func(r *Row) string { return Bits(r.RxRate) }, by(func(r *Row) float64 { return r.RxRate }), true},
	{"TO IT", 10, true, func(r *Row) string { return Bits(r.TxRate) }, by(func(r *Row) float64 { return r.TxRate }), true},
	{"HEARD", 6, true, func(r *Row) string { return Span(r.Heard) }, by(func(r *Row) float64 { return r.Heard }), true},
	{"AGE", 6, true, func(r *Row) string { return Span(r.Age) }, by(func(r *Row) float64 { return r.Age }), true},
	{"MTU", 4, true, func(r *Row) string { return strconv.FormatUint(r.MTU, 10) }, by(func(r *Row) uint64 { return r.MTU }), false},
	{"BRIDGE", 12, false, func(r *Row) string { return cmp.Or(r.Bridge, "-") }, by(func(r *Row) string { return r.Bridge }), false},
	{"BROKER", 10, false, func(r *Row) string { return r.Broker }, by(func(r *Row) string { return r.Broker }), false},
	{"STATE", 0, false, state, by(state), false},
}

// Columns is how many columns a View may be sorted by.
func Columns() int { return len(columns) }

func state(r *Row) string {
	text := r.State
	if r.State == "up" && r.Heard > silent {
		text = "silent"
	}
	if r.Note != "" {
		text += ", " + r.Note
	}
	return text
}

// Sort chooses a column, or turns the order round if it is the one already.
func (v *View) Sort(column int) {
	n := len(columns)
	column = (column + n) % n
	if column == v.Column {
		v.Descending = !v.Descending
	} else {
		v.Column, v.Descending = column, columns[column].large
	}
	v.First = 0
}

// Choose returns the tunnels that the filter lets through, in order.
func (v *View) Choose(l *Look) []*Row {
	words := strings.Fields(lower(v.Filter))
	var rows []*Row
	for i := range l.Rows {
		r := &l.Rows[i]
		text := lower(strings.Join([]string{r.UUID, r.Endpoint, r.Interface, r.Bridge, r.Broker, state(r)}, "\n"))
		if !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(text, w) }) {
			rows = append(rows, r)
		}
	}
	order := columns[v.Column].order
	slices.SortStableFunc(rows, func(a, b *Row) int {
		c := cmp.Or(order(a, b), cmp.Compare(a.ID, b.ID))
		if v.Descending {
			return -c
		}
		return c
	})
	return rows
}

// Lines draws a Look: a summary, the columns' names, and the tunnels that there is room for. No line is wider than the
// terminal. The second line is the columns' names.
func (v *View) Lines(l *Look) []string {
	rows := v.Choose(l)
	room := len(rows)
	if v.Height > 0 {
		room = max(0, v.Height-2)
	}
	v.First = max(0, min(v.First, len(rows)-room))
	lines := []string{v.fit(v.summary(l, len(rows))), v.fit(v.head())}
	for _, r := range rows[v.First:min(len(rows), v.First+room)] {
		lines = append(lines, v.fit(v.line(r)))
	}
	return lines
}

func (v *View) summary(l *Look, chosen int) string {
	if v.Finding {
		return "find: " + v.Filter + "_"
	}
	tunnels, draining := l.Tunnels()
	var limit, waiting uint64
	for i := range l.Sections {
		limit += l.Sections[i].Limit
		waiting += l.Sections[i].Waiting
	}
	rx, tx := -1.0, -1.0
	for i := range l.Rows {
		if r := &l.Rows[i]; r.RxRate >= 0 {
			rx, tx = max(rx, 0)+r.RxRate, max(tx, 0)+r.TxRate
		}
	}
	text := strconv.FormatUint(tunnels, 10) + " of " + strconv.FormatUint(limit, 10) + " tunnels, " + strconv.FormatUint(waiting, 10) +
		" wait, from them " + Bits(rx) + ", to them " + Bits(tx) + ", up for " + Span(l.Uptime)
	if draining {
		text += ", draining"
	}
	if v.Filter != "" {
		text += "; " + strconv.Itoa(chosen) + " with \"" + v.Filter + "\""
	}
	return text
}

func (v *View) head() string {
	var b strings.Builder
	for i := range columns {
		name := columns[i].name
		if i == v.Column {
			name = map[bool]string{false: "+", true: "-"}[v.Descending] + name
		}
		cell(&b, &columns[i], name)
	}
	return b.String()
}

func (v *View) line(r *Row) string {
	var b strings.Builder
	for i := range columns {
		cell(&b, &columns[i], columns[i].text(r))
	}
	return b.String()
}

func cell(b *strings.Builder, c *column, text string) {
	if c.width == 0 {
		b.WriteString(text)
		return
	}
	width := max(c.width, len(c.name)+1)
	text = cut(text, width)
	space := strings.Repeat(" ", width-utf8.RuneCountInString(text))
	if c.right {
		b.WriteString(space + text + "  ")
	} else {
		b.WriteString(text + space + "  ")
	}
}

func (v *View) fit(line string) string {
	if v.Width <= 0 {
		return strings.TrimRight(line, " ")
	}
	return cut(strings.TrimRight(line, " "), v.Width)
}

// cut shortens a text to so many characters.
func cut(text string, width int) string {
	if utf8.RuneCountInString(text) <= width {
		return text
	}
	runes := []rune(text)
	return string(runes[:max(0, width-1)]) + "…"
}

// Bits is a rate in words of at most ten characters.
func Bits(n float64) string {
	if n < 0 {
		return "-"
	}
	units := []string{" bit/s", " kbit/s", " Mbit/s", " Gbit/s"}
	i := 0
	for n >= 999.5 && i < len(units)-1 {
		n /= 1000
		i++
	}
	digits := 0
	if i > 0 && n < 9.95 {
		digits = 1
	}
	return strconv.FormatFloat(n, 'f', digits, 64) + units[i]
}

// Span is a time in seconds, in words of at most six characters.
func Span(seconds float64) string {
	s := uint64(max(0, seconds))
	n := func(v uint64) string { return strconv.FormatUint(v, 10) }
	switch {
	case s < 60:
		return n(s) + "s"
	case s < 3600:
		return n(s/60) + "m"
	case s < 86400:
		return n(s/3600) + "h" + n(s/60%60) + "m"
	}
	return n(s/86400) + "d" + n(s/3600%24) + "h"
}
