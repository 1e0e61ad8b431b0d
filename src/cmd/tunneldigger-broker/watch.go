//go:build !router

package main

import (
	"errors"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"tunneldigger/src/control"
	"tunneldigger/src/live"
	"tunneldigger/src/phrase"
)

// watchEvery is how often status --watch looks when nobody says otherwise.
const watchEvery = 2

// screen is the terminal that status --watch draws on.
type screen struct {
	out   io.Writer
	in    int // of its keys
	saved *unix.Termios
	width int
	lines int
}

// terminal returns the terminal that standard output and input are; nil if they are none.
func terminal(out io.Writer) *screen {
	f, ok := out.(*os.File)
	if !ok {
		return nil
	}
	saved, err := unix.IoctlGetTermios(int(os.Stdin.Fd()), unix.TCGETS)
	if err != nil {
		return nil
	}
	s := &screen{out: out, in: int(os.Stdin.Fd()), saved: saved}
	if !s.measure(int(f.Fd())) {
		return nil
	}
	return s
}

func (s *screen) measure(fd int) bool {
	size, err := unix.IoctlGetWinsize(fd, unix.TIOCGWINSZ)
	if err != nil || size.Col == 0 || size.Row == 0 {
		return false
	}
	s.width, s.lines = int(size.Col), int(size.Row)
	return true
}

// begin takes keys as they are typed, and a screen of its own, so that what was there comes back at the end.
func (s *screen) begin() error {
	raw := *s.saved
	raw.Lflag &^= unix.ICANON | unix.ECHO
	raw.Cc[unix.VMIN], raw.Cc[unix.VTIME] = 0, 0
	if err := unix.IoctlSetTermios(s.in, unix.TCSETS, &raw); err != nil {
		return phrase.Errorf("the terminal: %w", err)
	}
	io.WriteString(s.out, "\x1b[?1049h\x1b[?25l")
	return nil
}

func (s *screen) end() {
	io.WriteString(s.out, "\x1b[?25h\x1b[?1049l")
	_ = unix.IoctlSetTermios(s.in, unix.TCSETS, s.saved)
}

// show draws lines, the second one of them inverted: it has the columns' names.
func (s *screen) show(lines []string) {
	var b strings.Builder
	b.WriteString("\x1b[H")
	for i, line := range lines[:min(len(lines), s.lines)] {
		if i > 0 {
			b.WriteString("\r\n")
		}
		if i == 1 {
			line = "\x1b[7m" + line + "\x1b[0m"
		}
		b.WriteString(line + "\x1b[K")
	}
	b.WriteString("\x1b[J")
	io.WriteString(s.out, b.String())
}

// keys waits for keys, no longer than so long, and returns what was typed.
func (s *screen) keys(wait time.Duration) string {
	fds := []unix.PollFd{{Fd: int32(s.in), Events: unix.POLLIN}}
	if n, err := unix.Poll(fds, int(max(0, wait.Milliseconds()))); err != nil || n == 0 {
		return ""
	}
	var b [64]byte
	n, err := unix.Read(s.in, b[:])
	if n <= 0 || err != nil {
		return "q" // the terminal has gone
	}
	return string(b[:n])
}

// press does what keys mean; it reports whether to go on.
func press(v *live.View, keys string) bool {
	page := max(1, v.Height-3)
	switch keys {
	case "\x1b[A", "\x1bOA":
		v.First--
		return true
	case "\x1b[B", "\x1bOB":
		v.First++
		return true
	case "\x1b[5~":
		v.First -= page
		return true
	case "\x1b[6~", " ":
		if !v.Finding {
			v.First += page
			return true
		}
	case "\x1b[C", "\x1bOC":
		v.Sort(v.Column + 1)
		return true
	case "\x1b[D", "\x1bOD":
		v.Sort(v.Column - 1)
		return true
	}
	for i := range len(keys) {
		switch key := keys[i]; {
		case v.Finding && (key == '\n' || key == '\r'):
			v.Finding = false
		case v.Finding && key == '\x1b':
			v.Finding, v.Filter = false, ""
			return true
		case v.Finding && (key == 0x7f || key == '\b'):
			v.Filter = v.Filter[:max(0, len(v.Filter)-1)]
		case v.Finding:
			if key >= ' ' && key < 0x7f && len(v.Filter) < 60 {
				v.Filter += string(rune(key))
			}
		case key == '/':
			v.Finding = true
		case key == 'q':
			return false
		case key == 'r':
			v.Sort(v.Column)
		case key >= '0' && key <= '9':
			v.Sort(int(key-'1'+10) % 10)
		case key == '\x1b':
			v.Filter = ""
			return true
		}
	}
	return true
}

// watch shows the table again and again: on a terminal in its place, until q; elsewhere one below the other, until nobody
// reads any more.
func (o *options) watch() int {
	every := time.Duration(o.seconds) * time.Second
	s := terminal(o.out)
	if s != nil {
		if err := s.begin(); err != nil {
			return o.fault(err)
		}
		defer s.end()
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, unix.SIGINT, unix.SIGTERM, unix.SIGHUP)
	var v live.View
	var before *live.Look
	var at time.Time
	for {
		look, err := o.look()
		if err != nil && (s == nil || before == nil) {
			if s != nil {
				s.end()
			}
			return o.fault(err)
		}
		now := time.Now()
		if err == nil {
			look.Since(before, now.Sub(at).Seconds())
			before, at = look, now
		}
		if s == nil {
			if _, err := phrase.Fprintln(o.out, strings.Join(v.Lines(before), "\n")+"\n"); err != nil {
				return exitFine
			}
			select {
			case <-stop:
				return exitFine
			case <-time.After(every):
			}
			continue
		}
		for next := now.Add(every); ; {
			if f, ok := o.out.(*os.File); ok {
				s.measure(int(f.Fd()))
			}
			v.Width, v.Height = s.width, s.lines
			lines := v.Lines(before)
			if err != nil {
				lines[0] = "old, as of " + at.Format("15:04:05") + ": " + strings.SplitN(err.Error(), "\n", 2)[0]
				lines[0] = lines[0][:min(len(lines[0]), s.width)]
			}
			s.show(lines)
			left := time.Until(next)
			if left <= 0 {
				break
			}
			keys := s.keys(min(left, 250*time.Millisecond)) // so that another size shows soon
			if keys != "" && !press(&v, keys) {
				return exitFine
			}
			select {
			case <-stop:
				return exitFine
			default:
			}
		}
	}
}

// look asks the broker.
func (o *options) look() (*live.Look, error) {
	body, err := control.Call(o.socket, silence, "status", "json")
	if err != nil {
		return nil, phrase.Errorf("%s: %w", o.command, err)
	}
	return live.Parse(body)
}

// awaitDrained waits until the broker that is being drained has no tunnels left, and shows how far it is.
func (o *options) awaitDrained() int {
	s := terminal(o.out)
	began, most, last := time.Now(), uint64(0), ""
	for {
		look, err := o.look()
		if err != nil {
			return o.fault(err)
		}
		tunnels, draining := look.Tunnels()
		most = max(most, tunnels)
		text := strconv.FormatUint(tunnels, 10) + " tunnels are left"
		if gone := most - tunnels; gone > 0 && tunnels > 0 {
			rest := time.Duration(float64(time.Since(began)) / float64(gone) * float64(tunnels))
			text += ", of " + strconv.FormatUint(most, 10) + "; at this pace for " + live.Span(rest.Seconds())
		}
		switch {
		case s != nil:
			io.WriteString(o.out, "\r"+text+"\x1b[K")
		case text != last:
			phrase.Fprintln(o.out, text)
		}
		last = text
		if s != nil && (tunnels == 0 || !draining) {
			phrase.Fprintln(o.out)
		}
		switch {
		case tunnels == 0:
			return exitFine
		case !draining:
			return o.fault(errors.New("drain: the broker takes tunnels again: somebody ended draining"))
		}
		time.Sleep(time.Second)
	}
}
