package config

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// input is an option on its way into the Config. Its methods check the value
// and store it; what is wrong becomes a fault and leaves the default.
type input struct {
	*builder
	label string // of the section
	opt   *Option
}

func (in *input) refuse(v Value, want string) {
	in.fault(v.Line, "%s: %s %s: want %s", in.label, in.opt.Name, Quote(v.Text), want)
}

func (in *input) remark(text string) {
	in.notice(in.opt.Line, "%s: %s %s", in.label, in.opt.Name, text)
}

// one gives the option's only value; false where it has none or several.
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
	if len(found) > 1 {
		in.refuse(found[1], "one value only, there is "+Quote(found[0].Text)+" on line "+strconv.Itoa(found[0].Line))
		return Value{}, false
	}
	return found[0], true
}

// list calls add for each value. A value may itself be a list with commas or
// blanks, as the reference broker's files and its OpenWrt package have it. add
// gives false for one that is not wanted (again), which is said.
func (in *input) list(most int, add func(Value) bool) {
	n := 0
	for _, v := range in.opt.Values {
		words := strings.FieldsFunc(v.Text, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' })
		if len(words) == 0 && len(in.opt.Values) > 1 {
			in.refuse(v, "a value")
		}
		for _, w := range words {
			if n++; n > most {
				in.refuse(Value{v.Line, w}, fmt.Sprintf("at most %d of them", most))
				return
			}
			if !add(Value{v.Line, w}) {
				in.notice(v.Line, "%s: %s %s is covered by another one already", in.label, in.opt.Name, Quote(w))
			}
		}
	}
}

// number stores a whole number of low to high, or 0 where zero is allowed too.
func number[T ~int | ~uint16 | ~uint32](in *input, dst *T, zero bool, low, high uint64, unit string) {
	v, ok := in.one()
	if !ok {
		return
	}
	n, err := strconv.ParseUint(v.Text, 10, 32)
	if err != nil || n > high || n < low && !(zero && n == 0) {
		in.refuse(v, span(zero, low, high)+unit)
		return
	}
	*dst = T(n)
}

func span(zero bool, low, high uint64) string {
	s := fmt.Sprintf("%d–%d", low, high)
	if zero && low > 0 {
		s = "0 or " + s
	}
	return s
}

// seconds stores a decimal number of seconds of low to high, or 0 where zero is
// allowed too.
func (in *input) seconds(dst *time.Duration, zero bool, low, high time.Duration) {
	v, ok := in.one()
	if !ok {
		return
	}
	d, ok := parseSeconds(v.Text)
	if !ok || d > high || d < low && !(zero && d == 0) {
		want := formatSeconds(low) + "–" + formatSeconds(high) + " seconds"
		if zero {
			want = "0 or " + want
		}
		in.refuse(v, want)
		return
	}
	*dst = d
}

// parseSeconds reads digits, with a point among them or not; what is below a
// nanosecond is left out. Not ParseFloat, which takes "inf" and hexadecimal, and
// 17 kB of a router's flash.
func parseSeconds(text string) (time.Duration, bool) {
	whole, fraction, _ := strings.Cut(text, ".")
	if whole+fraction == "" || strings.Trim(whole+fraction, "0123456789") != "" {
		return 0, false
	}
	if whole = strings.TrimLeft(whole, "0"); len(whole) > 9 {
		return 0, false
	}
	var d time.Duration
	for _, c := range whole + (fraction + "000000000")[:9] {
		d = 10*d + time.Duration(c-'0')
	}
	return d, true
}

// formatSeconds is the form of a time that seconds reads back.
func formatSeconds(d time.Duration) string {
	return strconv.FormatFloat(d.Seconds(), 'f', -1, 64)
}

// flag stores a truth value: the words of UCI, which include those of Python's
// parser.
func (in *input) flag(dst *bool) {
	v, ok := in.one()
	if !ok {
		return
	}
	switch strings.ToLower(v.Text) {
	case "1", "yes", "on", "true", "enabled":
		*dst = true
	case "0", "no", "off", "false", "disabled":
		*dst = false
	default:
		in.refuse(v, "0 or 1")
	}
}

// word stores one of several words and reports whether it did; case is not
// looked at.
func (in *input) word(words []string, store func(i int)) {
	v, ok := in.one()
	if !ok {
		return
	}
	for i, w := range words {
		if strings.EqualFold(v.Text, w) {
			store(i)
			return
		}
	}
	in.refuse(v, strings.Join(words, ", "))
}

// path stores an absolute path. Whether it exists is seen when it is used.
func (in *input) path(dst *string) {
	v, ok := in.one()
	if !ok {
		return
	}
	if v.Text[0] != '/' || !printable(v.Text) || len(v.Text) > 4095 {
		in.refuse(v, "an absolute path")
		return
	}
	*dst = v.Text
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
		in.refuse(v, fmt.Sprintf("the name of an interface, at most %d bytes without blank, '/' and ':'", most))
		return
	}
	*dst = v.Text
}

func parsePort(s string) (uint16, bool) {
	n, err := strconv.ParseUint(s, 10, 16)
	return uint16(n), err == nil && n > 0
}

// parseAddress takes what a socket can be bound to and a client can reach
// without a zone.
func parseAddress(s string) (netip.Addr, bool) {
	a, err := netip.ParseAddr(s)
	ok := err == nil && a.Zone() == "" && !a.Is4In6() && !a.IsMulticast() &&
		!(a.Is6() && a.IsLinkLocalUnicast()) && a != netip.AddrFrom4([4]byte{255, 255, 255, 255})
	return a, ok
}
