// Command tunneldigger-web shows what a broker does, as a page and as metrics.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"tunneldigger/src/control"
	"tunneldigger/src/web"
)

var version = "unreleased"

// relayPath is where systemd listens for the page's questions, see tunneldigger-web-status.socket.
const relayPath = "/run/tunneldigger-web.sock"

const usage = `usage: tunneldigger-web [--listen ADDRESS:PORT ...] [--socket PATH] [--control] [--host NAME ...]
       tunneldigger-web relay [--socket PATH]
       tunneldigger-web --version | --help

Shows a page about the broker that runs on this machine, /metrics for Prometheus, /status.json and /healthz.

  --listen ADDRESS:PORT  where; may be given several times (127.0.0.1:9142 and [::1]:9142)
  --socket PATH          the broker's socket for commands, or a relay's (` + relayPath + `;
                         ` + control.DefaultPath + ` with --control, for relay, and where there is no relay)
  --control              whoever reaches the page may close tunnels and drain the broker
  --host NAME            a name that the page may be reached by, beside addresses and localhost
  relay                  answer one request for status on standard input and output; refuse all others
`

// words is an option that may be given several times.
type words []string

func (w *words) String() string     { return strings.Join(*w, " ") }
func (w *words) Set(s string) error { *w = append(*w, s); return nil }

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

func run(args []string, in io.Reader, out, errs io.Writer) int {
	relay := len(args) > 0 && args[0] == "relay"
	if relay {
		args = args[1:]
	}
	var listen, hosts words
	flags := flag.NewFlagSet("tunneldigger-web", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	socket := flags.String("socket", "", "")
	commands, show := false, false
	flags.BoolVar(&show, "version", false, "")
	if !relay {
		flags.Var(&listen, "listen", "")
		flags.Var(&hosts, "host", "")
		flags.BoolVar(&commands, "control", false, "")
	}
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(out, usage)
		return 0
	case err != nil:
		fmt.Fprintf(errs, "tunneldigger-web: %v\n%s", err, usage)
		return 2
	case flags.NArg() > 0:
		fmt.Fprintf(errs, "tunneldigger-web: unexpected word %q\n%s", flags.Arg(0), usage)
		return 2
	case show:
		fmt.Fprintln(out, "tunneldigger-web", version)
		return 0
	}
	if *socket == "" {
		*socket = control.DefaultPath
		if _, err := os.Stat(relayPath); !relay && !commands && err == nil {
			*socket = relayPath
		}
	}
	var err error
	if relay {
		err = web.Relay(in, out, web.AskSocket(*socket))
	} else {
		err = serve(listen, web.Options{Ask: web.AskSocket(*socket), Control: commands, Hosts: hosts, Log: log.New(errs, "", 0)})
	}
	if err != nil {
		fmt.Fprintln(errs, "tunneldigger-web:", err)
		return 1
	}
	return 0
}

func serve(listen []string, o web.Options) error {
	sockets, err := web.Listen(listen)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	handler := web.New(o)
	go handler.Run(ctx)
	server := &http.Server{
		Handler: handler, ErrorLog: o.Log, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second,
		WriteTimeout: time.Minute, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 16 << 10,
	}
	ended := make(chan error, len(sockets))
	for _, l := range sockets {
		o.Log.Print("http://", l.Addr())
		go func() { ended <- server.Serve(l) }()
	}
	select {
	case err = <-ended:
	case <-ctx.Done():
	}
	last, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_ = server.Shutdown(last)
	return err
}
