package status

import "errors"

const (
	pieceTunnels = 64 // that one piece is about, at most
	// PieceBytes is after how many bytes a piece ends, if not before.
	PieceBytes = 12 << 10
)

// Place is where a Writer is among the tunnels, in order of section and ID.
type Place struct {
	Section int
	ID      uint32
}

// Source is what a Writer is told by, in each piece anew: between two of them tunnels
// come and go.
type Source struct {
	// Tunnel gives the first tunnel from a place on, and the place behind it; false:
	// there is none.
	Tunnel func(t *Tunnel, from Place) (next Place, ok bool)
	// Count reads the tunnels' traffic, or a part of it, and reports whether there is more
	// to read.
	Count func() (more bool)
}

// Writer writes one status, in stages, each in as many pieces as it needs.
type Writer struct {
	report  Report
	source  Source
	stages  []stage
	section int   // where the stage that goes through the sections is
	place   Place // and that which goes through the tunnels
	first   bool  // no tunnel has been written yet
	table   Table
}

// stage appends its next piece and reports whether there is more to come.
type stage func(b []byte) ([]byte, bool)

// NewWriter makes a Writer of one form, by the words that ask for it: none, "json",
// "prometheus", or "prometheus tunnels". The error says what is understood.
func NewWriter(words []string, r Report, s Source) (*Writer, error) {
	w := &Writer{report: r, source: s, first: true}
	switch {
	case len(words) == 0:
		w.stages = w.forPeople()
	case len(words) == 1 && words[0] == "json":
		w.stages = w.asJSON()
	case words[0] == "prometheus" && (len(words) == 1 || len(words) == 2 && words[1] == "tunnels"):
		w.stages = w.asMetrics(len(words) == 2)
	default:
		return nil, errors.New("want status, status json, status prometheus, or status prometheus tunnels")
	}
	return w, nil
}

// Write appends the next piece and reports whether there is more to come.
func (w *Writer) Write(b []byte) ([]byte, bool) {
	b, more := w.stages[0](b)
	if !more {
		w.stages = w.stages[1:]
		w.section, w.place = 0, Place{}
	}
	return b, len(w.stages) > 0
}

// once is a stage of one piece.
func once(f func(b []byte) []byte) stage {
	return func(b []byte) ([]byte, bool) { return f(b), false }
}

// count is a stage that writes nothing.
func (w *Writer) count(b []byte) ([]byte, bool) { return b, w.source.Count() }

// sections is a stage that goes through the sections.
func (w *Writer) sections(f func(b []byte, s *Section) []byte) stage {
	return func(b []byte) ([]byte, bool) {
		for w.section < len(w.report.Sections) && len(b) < PieceBytes {
			b = f(b, &w.report.Sections[w.section])
			w.section++
		}
		return b, w.section < len(w.report.Sections)
	}
}

// tunnels is a stage that goes through the tunnels as they are now.
func (w *Writer) tunnels(f func(b []byte, t *Tunnel) []byte) stage {
	return func(b []byte) ([]byte, bool) {
		var t Tunnel
		for n := 0; n < pieceTunnels && len(b) < PieceBytes; n++ {
			next, ok := w.source.Tunnel(&t, w.place)
			if !ok {
				return b, false
			}
			w.place = next
			b = f(b, &t)
		}
		return b, true
	}
}

func (w *Writer) forPeople() []stage {
	return []stage{
		w.count,
		w.tunnels(func(b []byte, t *Tunnel) []byte { w.table.Measure(t); return b }),
		once(w.table.AppendHead),
		w.tunnels(w.table.AppendTunnel),
		once(func(b []byte) []byte { return AppendSummary(append(b, '\n'), &w.report) }),
		w.sections(AppendSection),
	}
}

func (w *Writer) asJSON() []stage {
	return []stage{
		w.count,
		once(func(b []byte) []byte { return AppendJSON(b, &w.report) }),
		w.sections(func(b []byte, s *Section) []byte { return AppendJSONSection(b, s, w.section == 0) }),
		once(AppendJSONTunnels),
		w.tunnels(func(b []byte, t *Tunnel) []byte {
			b = AppendJSONTunnel(b, t, w.first)
			w.first = false
			return b
		}),
		once(AppendJSONEnd),
	}
}

func (w *Writer) asMetrics(tunnels bool) []stage {
	var all []stage
	for i := range Families {
		all = append(all, once(func(b []byte) []byte { return AppendFamily(b, i, &w.report) }))
	}
	if !tunnels {
		return all
	}
	all = append(all, w.count)
	for i := range TunnelFamilies {
		all = append(all, once(func(b []byte) []byte { return AppendTunnelFamily(b, i) }),
			w.tunnels(func(b []byte, t *Tunnel) []byte { return AppendTunnelSample(b, i, t) }))
	}
	return all
}
