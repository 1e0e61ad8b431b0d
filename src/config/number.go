package config

import (
	"math"
	"strconv"
	"strings"
	"time"

	"tunneldigger/src/phrase"
)

// number stores a whole number of low to high, or 0 where zero is allowed too.
func number[T ~int | ~uint16 | ~uint32](in *input, dst *T, zero bool, low, high int64, unit string) {
	v, ok := in.one()
	if !ok {
		return
	}
	n, ok := parseNumber(v.Text)
	switch nearest := min(max(n, low), high); {
	case !ok:
		in.refuse(v, span(zero, low, high)+unit, takesDefault)
	case n == nearest || zero && n == 0:
		*dst = T(n)
	default:
		in.refuse(v, span(zero, low, high)+unit, "takes "+strconv.FormatInt(nearest, 10))
		*dst = T(nearest)
	}
}

// parseNumber reads what Python's int reads, in ASCII: a sign, and underscores
// between digits.
func parseNumber(text string) (int64, bool) {
	text, ok := underscored(text)
	n, err := strconv.ParseInt(text, 10, 64)
	if e, is := err.(*strconv.NumError); is && e.Err == strconv.ErrRange {
		err = nil // n is the nearest there is
	}
	return n, ok && err == nil
}

// underscored takes underscores out; false where one is not between digits.
func underscored(text string) (string, bool) {
	digit := func(at int) bool { return at >= 0 && at < len(text) && text[at] >= '0' && text[at] <= '9' }
	for i := range text {
		if text[i] == '_' && !(digit(i-1) && digit(i+1)) {
			return text, false
		}
	}
	return strings.ReplaceAll(text, "_", ""), true
}

func span(zero bool, low, high int64) string {
	s := phrase.Sprintf("%d–%d", low, high)
	if zero && low > 0 {
		s = "0 or " + s
	}
	return s
}

// seconds stores a decimal number of seconds of low to high, or 0 where zero is
// allowed too. Then what is below zero is nearest to that: it switches off.
func (in *input) seconds(dst *time.Duration, zero bool, low, high time.Duration) {
	v, ok := in.one()
	if !ok {
		return
	}
	want := formatSeconds(low) + "–" + formatSeconds(high) + " seconds"
	if zero {
		want = "0 or " + want
	}
	d, ok := parseSeconds(v.Text)
	nearest := min(max(d, low), high)
	if zero && d <= 0 {
		nearest = 0
	}
	switch {
	case !ok:
		in.refuse(v, want, takesDefault)
	case d == nearest:
		*dst = d
	default:
		in.refuse(v, want, "takes "+formatSeconds(nearest))
		*dst = nearest
	}
}

// parseSeconds reads what Python's float reads, but for "nan"; what is below a
// nanosecond is left out, and what is too large gives the most there is. Not
// ParseFloat, which takes hexadecimal, too, and 17 kB of a router's flash.
func parseSeconds(text string) (time.Duration, bool) {
	text, ok := underscored(Lower(text))
	if !ok {
		return 0, false
	}
	sign := time.Duration(1)
	if text != "" && (text[0] == '-' || text[0] == '+') {
		if text[0] == '-' {
			sign = -1
		}
		text = text[1:]
	}
	if text == "inf" || text == "infinity" {
		return sign * math.MaxInt64, true
	}
	number, power, powered := strings.Cut(text, "e")
	whole, fraction, _ := strings.Cut(number, ".")
	if whole+fraction == "" || strings.Trim(whole+fraction, "0123456789") != "" {
		return 0, false
	}
	if powered {
		n, err := strconv.Atoi(power)
		if err != nil {
			return 0, false
		}
		const zeros = "00000000000000000000"
		n = min(max(n, -len(zeros)), len(zeros)) // beyond, it is nothing or too large anyway
		whole, fraction = zeros+whole, fraction+zeros
		point := len(whole) + n
		whole, fraction = (whole + fraction)[:point], (whole + fraction)[point:]
	}
	if whole = strings.TrimLeft(whole, "0"); len(whole) > 9 {
		return sign * math.MaxInt64, true
	}
	var d time.Duration
	for _, c := range whole + (fraction + "000000000")[:9] {
		d = 10*d + time.Duration(c-'0')
	}
	return sign * d, true
}

// formatSeconds is the form of a time that seconds reads back.
func formatSeconds(d time.Duration) string {
	return strconv.FormatFloat(d.Seconds(), 'f', -1, 64)
}
