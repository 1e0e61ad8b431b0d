package config

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// Quote shows a word of a file in a message: in single quotes, on one line and
// not too long.
func Quote(s string) string {
	const most = 60
	cut := ""
	if len(s) > most {
		s, cut = s[:most], "…"
	}
	if !printable(s) {
		s = strconv.QuoteToASCII(s)
		s = s[1 : len(s)-1]
	}
	return "'" + s + cut + "'"
}

// printable reports whether s is UTF-8 without control characters and whatever
// else would not be seen. Such a value is on one line and survives being
// written as UCI.
func printable(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return !strconv.IsPrint(r) || r == utf8.RuneError }) < 0
}

// hint gives ", did you mean 'x'?" where one of the known words is close to
// word, or "".
func hint(word string, known []string) string {
	const longest = 40 // nothing known is longer
	if len(word) > longest {
		return ""
	}
	best, least := "", 3
	for _, k := range known {
		// A short word must fit better: half of it may not be wrong.
		if d := distance(Lower(word), k); d < least && 2*d < len(k) {
			best, least = k, d
		}
	}
	if best == "" {
		return ""
	}
	return ", did you mean '" + best + "'?"
}

// Lower writes the letters of ASCII small. No word of a configuration has others, and strings.ToLower, which knows those of all scripts,
// is 12 kB of a router's flash.
func Lower(text string) string {
	b := []byte(text)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

// distance is how many letters must be added, dropped, changed or swapped with
// their neighbour to turn a into b.
func distance(a, b string) int {
	// rows[i][j] is the distance of a[:i] and b[:j].
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			change := rows[i-1][j-1]
			if a[i-1] != b[j-1] {
				change++
			}
			rows[i][j] = min(change, rows[i-1][j]+1, rows[i][j-1]+1)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}
