package web

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"tunneldigger/src/control"
)

// answerTime is how long a broker may take to answer.
const answerTime = 10 * time.Second

// Ask asks a broker and returns the body of its answer; control.Call with a path is one.
type Ask func(words ...string) ([]byte, error)

// AskSocket asks the broker whose socket for commands, or whose relay, is at path.
func AskSocket(path string) Ask {
	return func(words ...string) ([]byte, error) { return control.Call(path, answerTime, words...) }
}

var errOnlyStatus = errors.New("only status can be asked for here")

// Relay answers one request in the form of the socket for commands. It passes status on to the broker and refuses
// everything else, so that who may use it can look and do nothing. systemd starts it with each connection, as the user who
// may use the broker's socket, see tunneldigger-web-status.socket.
func Relay(in io.Reader, out io.Writer, ask Ask) error {
	line, err := bufio.NewReader(io.LimitReader(in, control.MaxRequest)).ReadString('\n')
	if err != nil {
		return fmt.Errorf("read the request: %w", err)
	}
	words := strings.Fields(line)
	if !statusRequest(words) {
		return refuse(out, errOnlyStatus)
	}
	body, err := ask(words...)
	if err != nil {
		return refuse(out, err)
	}
	if _, err = io.WriteString(out, "ok\n"); err == nil {
		_, err = out.Write(body)
	}
	return err
}

// statusRequest reports whether a request is one of those that change nothing.
func statusRequest(words []string) bool {
	switch strings.Join(words, " ") {
	case "status", "status json", "status prometheus", "status prometheus tunnels":
		return true
	}
	return false
}

func refuse(out io.Writer, why error) error {
	_, err := fmt.Fprintf(out, "error: %v\n", why)
	return err
}
