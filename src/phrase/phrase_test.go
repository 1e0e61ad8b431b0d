package phrase

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// Where the verbs are fmt's, the words are fmt's.
func TestAsFmt(t *testing.T) {
	address := netip.MustParseAddr("2001:db8::1")
	for _, c := range []struct {
		format string
		args   []any
	}{
		{"", nil},
		{"plain", nil},
		{"100 %% of %d", []any{7}},
		{"%s, %s and %v", []any{"a", address, 3 * time.Second}},
		{"%d %d %d %d %d %d %d %d", []any{-1, int32(-2), int64(-3), uint(4), uint8(5), uint16(6), uint32(7), uint64(1 << 63)}},
		{"%q and %q", []any{"it's \"one\"\n\x00é", fs.ErrNotExist}},
		{"%v %v", []any{true, nil}},
		{"%s|%s", []any{[]byte("bytes"), fs.ErrPermission}},
		{"%v", []any{error(nil)}},
		{"ends with %s%%", []any{"x"}},
	} {
		want := fmt.Sprintf(c.format, c.args...)
		if got := Sprintf(c.format, c.args...); got != want {
			t.Errorf("%q: got %q, want %q", c.format, got, want)
		}
		if got := Errorf(c.format, c.args...); got.Error() != want {
			t.Errorf("%q: got the error %q, want %q", c.format, got, want)
		}
		var out strings.Builder
		if n, err := Fprintf(&out, c.format, c.args...); out.String() != want || n != len(want) || err != nil {
			t.Errorf("%q: wrote %q, %d, %v, want %q", c.format, out.String(), n, err, want)
		}
	}
	for _, args := range [][]any{nil, {"a"}, {"a", 1, true}} {
		var out strings.Builder
		if _, err := Fprintln(&out, args...); out.String() != fmt.Sprintln(args...) || err != nil {
			t.Errorf("%v: wrote %q, %v", args, out.String(), err)
		}
	}
}

func TestAppend(t *testing.T) {
	if got := string(Append([]byte("the "), []string{"one", "other"})); got != "the one other" {
		t.Errorf("texts: got %q", got)
	}
	// What the test in src/architecture keeps out does no harm.
	for format, want := range map[string]string{"%s %d": "(?) %d", "%": "(?)", "x": "x", "%z": "(?)", "%d%%%": "(?)%%"} {
		if got := Sprintf(format, 1.5); got != want {
			t.Errorf("%q: got %q, want %q", format, got, want)
		}
	}
}

func TestWraps(t *testing.T) {
	one, other := errors.New("one"), errors.New("other")
	for _, c := range []struct {
		err          error
		text         string
		finds, loses []error
	}{
		{Errorf("a: %w", one), "a: one", []error{one}, []error{other}},
		{Errorf("%w: %w", one, Errorf("in it: %w", other)), "one: in it: other", []error{one, other}, nil},
		{Errorf("%w and %v", one, other), "one and other", []error{one}, []error{other}},
		{Errorf("%s", one), "one", nil, []error{one}},
		{Errorf("%w", nil), "<nil>", nil, []error{one}},
	} {
		if c.err.Error() != c.text {
			t.Errorf("got %q, want %q", c.err, c.text)
		}
		for _, err := range c.finds {
			if !errors.Is(c.err, err) {
				t.Errorf("%q does not wrap %q", c.err, err)
			}
		}
		for _, err := range c.loses {
			if errors.Is(c.err, err) {
				t.Errorf("%q wraps %q", c.err, err)
			}
		}
	}
	if err := errors.Unwrap(Errorf("a: %w", one)); err != one {
		t.Errorf("unwrapped: %v", err)
	}
	var path *fs.PathError
	if err := Errorf("a: %w", &fs.PathError{Op: "open", Path: "/b", Err: one}); !errors.As(err, &path) || path.Path != "/b" {
		t.Errorf("%q has no path", err)
	}
}

func TestWritesOnce(t *testing.T) {
	var w count
	Fprintf(&w, "%s %d\n", "a", 1)
	Fprintln(&w, "a", 1)
	if w != 2 {
		t.Errorf("%d writes, want 2", w)
	}
}

type count int

func (c *count) Write(b []byte) (int, error) { *c++; return len(b), nil }
