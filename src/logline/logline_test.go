package logline

import (
	"errors"
	"strings"
	"testing"
)

func TestLines(t *testing.T) {
	for _, c := range []struct {
		name     string
		priority bool
		log      func(*Logger)
		want     string
	}{
		{"plain", false, func(l *Logger) { l.Info("tunnel up", "tunnel", uint32(100), "uuid", "abc-1") }, "info: tunnel up tunnel=100 uuid=abc-1\n"},
		{"priority", true, func(l *Logger) { l.Error("no", "error", errors.New("it broke")) }, "<3>error: no error=\"it broke\"\n"},
		{"levels", true, func(l *Logger) { l.Debug("never"); l.Warn("w"); l.Info("i") }, "<4>warning: w\n<6>info: i\n"},
		{"kept", false, func(l *Logger) { l.With("broker", "wan").With("a", 1).Info("x", "b", true) }, "info: x broker=wan a=1 b=true\n"},
		{"hostile", false, func(l *Logger) { l.Info("a\nb", "v", "x\x1b[31m\"=\n", "e", "") }, `info: "a\nb" v="x\x1b[31m\"=\n" e=""` + "\n"},
		{"not ascii", false, func(l *Logger) { l.Info("m", "v", "ä\xff") }, `info: m v="ä\xff"` + "\n"},
		{"umlaut", false, func(l *Logger) { l.Info("want 1–9", "v", "ä") }, "info: want 1–9 v=ä\n"},
		{"odd", false, func(l *Logger) { l.Info("m", "v") }, "info: m\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out strings.Builder
			c.log(New(&out, Info, c.priority))
			if out.String() != c.want {
				t.Errorf("got %q, want %q", out.String(), c.want)
			}
		})
	}
}

func TestWithDoesNotShare(t *testing.T) {
	var out strings.Builder
	l := New(&out, Debug, false).With("a", 1)
	one, two := l.With("b", 2), l.With("c", 3)
	one.Debug("x")
	two.Debug("y")
	if want := "debug: x a=1 b=2\ndebug: y a=1 c=3\n"; out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
}
