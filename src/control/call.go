package control

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"tunneldigger/src/phrase"
)

// What a caller is told, besides what a handler says.
var (
	errTooLong = phrase.Errorf("the request is longer than %d bytes", MaxRequest)
	errEmpty   = errors.New("the request is empty")
)

// ErrNoBroker: nobody answers on the socket.
var ErrNoBroker = errors.New("no broker answers there: start it or, if it runs with --socket PATH, give the same here")

// Refusal is an answer that says why a request was not carried out; it may have
// several lines.
type Refusal string

// Error gives the broker's words.
func (r Refusal) Error() string { return string(r) }

// Call sends a request to the broker at path and returns the body of the
// answer, which is read to its end first, so that whoever stops reading a
// program's output holds nothing up. The error is a Refusal when the broker
// gave it. wait is how long the broker may be silent.
func Call(path string, wait time.Duration, words ...string) ([]byte, error) {
	for _, w := range words {
		if w == "" || strings.ContainsFunc(w, func(r rune) bool { return r <= ' ' }) {
			return nil, phrase.Errorf("%q can't be part of a request", w)
		}
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, phrase.Errorf("socket: %w", err)
	}
	defer unix.Close(fd)
	span := unix.NsecToTimeval(int64(wait))
	for _, option := range []int{unix.SO_RCVTIMEO, unix.SO_SNDTIMEO} { // the latter is connect's, too
		if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, option, &span); err != nil {
			return nil, phrase.Errorf("setsockopt: %w", err)
		}
	}
	switch err := retry(func() error { return unix.Connect(fd, &unix.SockaddrUnix{Name: path}) }); err {
	case nil:
	case unix.ENOENT, unix.ENOTDIR, unix.ECONNREFUSED:
		return nil, phrase.Errorf("%s: %w", path, ErrNoBroker)
	case unix.EACCES:
		return nil, phrase.Errorf("%s: %w: run it as root", path, err)
	default:
		return nil, phrase.Errorf("%s: %w", path, err)
	}
	if _, err := unix.SendmsgN(fd, []byte(strings.Join(words, " ")+"\n"), nil, nil, unix.MSG_NOSIGNAL); err != nil {
		return nil, phrase.Errorf("%s: send the request: %w", path, err)
	}
	answer, err := readAll(fd)
	if err != nil {
		return nil, phrase.Errorf("%s: read the answer: %w", path, err)
	}
	return parse(path, answer)
}

func parse(path string, answer []byte) ([]byte, error) {
	if refusal, found := bytes.CutPrefix(answer, []byte("error: ")); found {
		return nil, Refusal(strings.TrimRight(string(refusal), "\n"))
	}
	body, found := bytes.CutPrefix(answer, []byte("ok\n"))
	if !found {
		return nil, phrase.Errorf("%s: the broker ended without an answer", path)
	}
	return body, nil
}

func readAll(fd int) ([]byte, error) {
	answer := make([]byte, 0, 16<<10)
	for {
		if len(answer) == cap(answer) {
			answer = slices.Grow(answer, cap(answer))
		}
		var n int
		err := retry(func() (err error) {
			n, err = unix.Read(fd, answer[len(answer):cap(answer)])
			return err
		})
		if err == unix.EAGAIN {
			return nil, errors.New("the broker is silent")
		}
		// A reset follows the answer when the broker did not read all that was sent.
		if n <= 0 && (err == nil || err == unix.ECONNRESET) {
			return answer, nil
		} else if err != nil {
			return nil, err
		}
		answer = answer[:len(answer)+n]
	}
}

// retry repeats what a signal has interrupted.
func retry(do func() error) error {
	for {
		if err := do(); err != unix.EINTR {
			return err
		}
	}
}
