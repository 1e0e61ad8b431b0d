// Command tunneldigger-client is the client half of Tunneldigger: it keeps an
// L2TPv3 tunnel to one of several brokers. This file reads the command line and
// wires the packages together.
package main

import (
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"tunneldigger/src/agent"
	"tunneldigger/src/logline"
	"tunneldigger/src/phrase"
)

var version = "unknown" // set when it is linked

const (
	exitFine  = 0
	exitFault = 1
	exitUsage = 2
)

const usage = `tunneldigger-client keeps an L2TPv3 tunnel to a Tunneldigger broker.

  tunneldigger-client -u UUID -b HOST:PORT [-b ...] -i INTERFACE [options]

  -u UUID        who this client is: 1 to 128 printable characters
  -b HOST:PORT   a broker; several may be given; IPv6: [ADDRESS]:PORT
  -i INTERFACE   name of the tunnel's network interface
  -I INTERFACE   network interface to reach the broker through
  -l IP          local address to reach the broker from
  -s HOOK        script that runs on session.up, session.pre-down and session.down,
                 with the event and the interface as arguments
  -t ID          local tunnel ID, 1 to 4294967295 (default 1); unique on this machine
  -L KBIT        bandwidth towards this client to ask for, in kbit/s
  -a             choose the broker with the least load
  -g             choose the first broker that answers (default)
  -r             choose any broker that answers
  -f             stay in the foreground, and log to standard error instead of syslog
  --datapath PATH  what carries the frames: kernel, its modules l2tp_netlink and l2tp_eth;
                 user, this program; auto (default), the kernel if it can
  --no-features  behave like a client from before feature flags: for tests
  --version | --help

Without -f its process number is in /var/run/tunneldigger-client.INTERFACE.pid.
Signals: TERM and INT stop (the broker is told, hooks run, the interface is removed).
Exit status: 0 fine, 1 fault, 2 wrong usage.
`

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, out, errs io.Writer) int {
	o, err := parse(args)
	switch {
	case err != nil:
		return wrong(errs, err)
	case o.help:
		io.WriteString(out, usage)
		return exitFine
	case o.version:
		phrase.Fprintln(out, "tunneldigger-client", version)
		return exitFine
	}
	detached := os.Getenv(detachedEnv) != ""
	if detached {
		errs = &logline.Syslog{Path: logline.SyslogPath, Name: "tunneldigger-client"}
	}
	o.config.Log = logline.New(errs, logline.Info, detached)
	a, err := agent.New(o.config)
	if err != nil {
		return wrong(errs, err)
	}
	path, err := o.open()
	if err != nil {
		return failed(errs, err)
	}
	defer path.Close()
	if !o.foreground && !detached {
		if err := detach(args); err != nil {
			return failed(errs, err)
		}
		return exitFine
	}
	if detached {
		path := pidfile(o.config.Interface)
		if err := os.WriteFile(path, []byte(strconv.Itoa(os.Getpid())+"\n"), 0o644); err != nil {
			o.config.Log.Warn("write the process number", "error", err)
		}
		defer os.Remove(path)
	}
	signals, stop := make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(signals, unix.SIGTERM, unix.SIGINT)
	go func() {
		<-signals
		close(stop)
	}()
	a.Run(stop, path)
	return exitFine
}

// datapath is what an agent.Datapath is here.
type datapath interface {
	agent.Datapath
	Close() error
}

// open opens the data path that was asked for.
func (o *options) open() (datapath, error) {
	log, name := o.config.Log, o.config.Interface
	if o.datapath == pathUser {
		return openUser(log, name)
	}
	kernel, err := agent.OpenKernel(name)
	if err == nil {
		log.Info("the kernel carries the frames")
		return kernel, nil
	}
	if o.datapath == pathKernel {
		return nil, err
	}
	user, fault := openUser(log, name)
	if fault != nil {
		return nil, phrase.Errorf("no data path: %w; and %w", err, fault)
	}
	log.Warn("with the kernel it would be faster", "error", strings.ReplaceAll(err.Error(), "\n", "; "))
	return user, nil
}

func openUser(log *logline.Logger, name string) (datapath, error) {
	user, err := agent.OpenUser(name)
	if err != nil { // and no datapath that is not nil
		return nil, err
	}
	log.Info("this program carries the frames")
	return user, nil
}

func wrong(errs io.Writer, err error) int {
	for _, line := range strings.Split(err.Error(), "\n") {
		phrase.Fprintf(errs, "tunneldigger-client: %s\n", line)
	}
	phrase.Fprintln(errs, "tunneldigger-client: see tunneldigger-client --help")
	return exitUsage
}

func failed(errs io.Writer, err error) int {
	phrase.Fprintf(errs, "tunneldigger-client: %s\n", strings.ReplaceAll(err.Error(), "\n", "; "))
	return exitFault
}
