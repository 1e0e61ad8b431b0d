package config

import (
	"net/netip"
	"strings"

	"tunneldigger/src/phrase"
)

// input is an option on its way into the Config. Its methods check the value
// and store it; what is wrong becomes a fault. A start then has the nearest value
// that is allowed, or else the default.
type input struct {
	*builder
	label string // of the section
	opt   *Option
	ours  bool // the Python broker had no such option: what is wrong stops a start
	drop  bool // without a right value the section is worth nothing

	dropped bool // it had none
}

// What a start does where it can't go by a value.
const (
	takesDefault = "takes the default"
	leavesOut    = "leaves it out"
	leavesAll    = "leaves the section out"
	ignores      = "ignores it"
)

// refuse says what is wanted instead of a value, and what a start does.
func (in *input) refuse(v Value, want, start string) {
	switch {
	case in.ours:
		start = ""
	case in.drop:
		in.dropped, start = true, leavesAll
	}
	in.bear(v.Line, start, "%s: %s %s: want %s", in.label, in.opt.Name, Quote(v.Text), want)
}

func (in *input) remark(text string) {
	in.notice(in.opt.Line, "%s: %s %s", in.label, in.opt.Name, text)
}

// one gives the option's only value, the last one of several; false where it has
// none.
func (in *input) one() (Value, bool) {
	var found []Value
	for _, v := range in.opt.Values {
		if v.Text = strings.TrimSpace(v.Text); v.Text != "" {
			found = append(found, v)
		}
	}
	if len(found) == 0 {
		return Value{}, false
	}
	last := found[len(found)-1]
	if len(found) > 1 {
		start := "takes the last one"
		if in.ours {
			start = ""
		}
		in.bear(found[1].Line, start, "%s: %s %s: want one value only, there is %s on line %d",
			in.label, in.opt.Name, Quote(found[1].Text), Quote(found[0].Text), found[0].Line)
	}
	return last, true
}

// list calls add for each value. A value may itself be a list with commas or
// blanks, as the reference broker's files and its OpenWrt package have it. add
// gives false for one that is not wanted (again), which is said.
func (in *input) list(most int, add func(Value) bool) {
	n := 0
	for _, v := range in.opt.Values {
		words := strings.FieldsFunc(v.Text, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' })
		if len(words) == 0 && len(in.opt.Values) > 1 {
			in.refuse(v, "a value", leavesOut)
		}
		for _, w := range words {
			if n++; n > most {
				in.refuse(Value{v.Line, w}, phrase.Sprintf("at most %d of them", most), "takes those before it")
				return
			}
			if !add(Value{v.Line, w}) {
				in.notice(v.Line, "%s: %s %s is covered by another one already", in.label, in.opt.Name, Quote(w))
			}
		}
	}
}

// flag stores a truth value: the words of UCI, which include those of Python's
// parser.
func (in *input) flag(dst *bool) {
	v, ok := in.one()
	if !ok {
		return
	}
	switch Lower(v.Text) {
	case "1", "yes", "on", "true", "enabled":
		*dst = true
	case "0", "no", "off", "false", "disabled":
		*dst = false
	default:
		in.refuse(v, "0 or 1", takesDefault)
	}
}

// word stores one of several words; case is not looked at.
func (in *input) word(words []string, store func(i int)) {
	v, ok := in.one()
	if !ok {
		return
	}
	for i, w := range words {
		if Lower(v.Text) == Lower(w) {
			store(i)
			return
		}
	}
	in.refuse(v, strings.Join(words, ", "), takesDefault)
}

// path stores an absolute path. Whether it exists is seen when it is used.
func (in *input) path(dst *string) {
	v, ok := in.one()
	if !ok {
		return
	}
	if v.Text[0] != '/' || !printable(v.Text) || len(v.Text) > 4095 {
		in.refuse(v, "an absolute path", leavesOut)
		return
	}
	*dst = v.Text
}

// program stores the path of a hook. The Python broker took a relative one, which
// for a program that runs beside its file is relative to the file's folder.
func (in *input) program(dst *string) {
	v, ok := in.one()
	if ok && in.src.Classic && v.Text[0] != '/' {
		whole := strings.TrimSuffix(in.src.Folder, "/") + "/" + strings.TrimPrefix(v.Text, "./")
		in.remark(Quote(v.Text) + " is taken as " + Quote(whole) + ", from the folder of this file")
		in = &input{builder: in.builder, label: in.label, ours: in.ours,
			opt: &Option{Name: in.opt.Name, Line: in.opt.Line, Values: []Value{{v.Line, whole}}}}
	}
	in.path(dst)
}

// device stores the name of an interface of at most most bytes. The kernel
// takes 15 (IFNAMSIZ), without blanks, '/' and ':'.
func (in *input) device(dst *string, most int) {
	v, ok := in.one()
	if !ok {
		return
	}
	name := strings.TrimPrefix(v.Text, NoDevice) // as FormatUCI writes it after ApplyDevices
	if name == "" || len(name) > most || !printable(name) || strings.ContainsAny(name, " /:") || name == "." || name == ".." {
		in.refuse(v, phrase.Sprintf("the name of an interface, at most %d bytes without blank, '/' and ':'", most), leavesAll)
		return
	}
	*dst = v.Text
}

func parsePort(s string) (uint16, bool) {
	n, ok := parseNumber(s)
	return uint16(n), ok && n > 0 && n <= 65535
}

// parseAddress takes what a socket can be bound to and a client can reach
// without a zone.
func parseAddress(s string) (netip.Addr, bool) {
	a, err := netip.ParseAddr(s)
	ok := err == nil && a.Zone() == "" && !a.Is4In6() && !a.IsMulticast() &&
		!(a.Is6() && a.IsLinkLocalUnicast()) && a != netip.AddrFrom4([4]byte{255, 255, 255, 255})
	return a, ok
}

// hostName reports whether s can be the name of a host: letters, digits, hyphens
// and underscores between dots, and a letter among them.
func hostName(s string) bool {
	letter := false
	for _, label := range strings.Split(strings.TrimSuffix(s, "."), ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for _, c := range []byte(label) {
			a := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
			letter = letter || a
			if !a && !(c >= '0' && c <= '9') && c != '-' && c != '_' {
				return false
			}
		}
	}
	return letter && len(s) < 254
}
