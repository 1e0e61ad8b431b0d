// Command tunneldigger-broker is the server half of Tunneldigger: it gives L2TPv3
// tunnels to clients that ask for one over UDP. This file reads the command
// line and wires the packages together.
package main

import (
	"io"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"tunneldigger/src/config"
	"tunneldigger/src/daemon"
	"tunneldigger/src/journal"
	"tunneldigger/src/logline"
	"tunneldigger/src/phrase"
	"tunneldigger/src/survive"
)

var version = "unknown" // set when it is linked

const (
	exitFine  = 0
	exitFault = 1
	exitUsage = 2
)

const usage = `tunneldigger-broker serves L2TPv3 tunnels to Tunneldigger clients.

  tunneldigger-broker [-c DIR]               run in the foreground with UCI (DIR: /etc/config)
  tunneldigger-broker FILE.cfg               run with a classic l2tp_broker.cfg
  tunneldigger-broker check [--start] [-c DIR | FILE]
                                             read the configuration and print every fault; with
                                             --start exit status 1 only where none would start
  tunneldigger-broker convert FILE           print a classic file as UCI
  tunneldigger-broker probe [-u UUID] HOST[:PORT]
                                             ask a broker from outside: usage, cookie and,
                                             with -u, a full set-up
  tunneldigger-broker status [--json | --prometheus [--tunnels] | --watch [SECONDS]]
                                             what the running broker does; the metrics have
                                             a series for every tunnel only with --tunnels;
                                             --watch goes on, with rates (every 2 seconds),
                                             but not in OpenWrt's package
  tunneldigger-broker reload                 read the configuration again; tunnels stay
  tunneldigger-broker upgrade                replace the running program by the installed
                                             one; tunnels stay
  tunneldigger-broker drain [off | [--close-rate N] [--wait]]
                                             take no new tunnels and report full usage; what
                                             stands stays, or N tunnels a minute are closed;
                                             --wait shows how far it is, until none is left
  tunneldigger-broker kick TUNNEL_ID|UUID    close one tunnel, or those of one UUID
  tunneldigger-broker --version | --help

Options for running, and for status, reload, upgrade, drain and kick:
  --socket PATH    where commands reach the broker (default:
                   /var/run/tunneldigger-broker.sock)

Options for running:
  --log-priority   begin every line of the log with its priority as <N>
  --syslog         log to /dev/log, each line with its severity, and to standard error
                   only while nobody listens there
  --devices FILE   lines "NAME DEVICE" (or only "NAME", while there is none): which
                   network device stands for an interface's name in the configuration
  --end-with-parent
                   stop, as at TERM, when the process that started it ends
  -datapath none   accept tunnels without making interfaces: for load tests only

Signals: TERM and INT stop (clients are told, hooks run, interfaces are removed),
HUP is reload, USR2 is upgrade.
Exit status: 0 fine, 1 fault, 2 wrong usage.
`

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, out, errs io.Writer) int {
	o, err := parse(args)
	if err != nil {
		return wrong(errs, err.Error())
	}
	o.out, o.errs = out, errs
	switch o.command {
	case "":
		if o.proves {
			return o.prove()
		}
		return o.run()
	case "check":
		return o.check()
	case "convert":
		return o.convert()
	case "probe":
		return o.probe()
	case "status", "kick", "drain", "reload", "upgrade":
		return o.call()
	case "--version":
		phrase.Fprintln(out, "tunneldigger-broker", version)
		return exitFine
	case "--help":
		io.WriteString(out, usage)
		return exitFine
	}
	return wrong(errs, phrase.Sprintf("unknown command %q", o.command))
}

func wrong(errs io.Writer, text string) int {
	phrase.Fprintf(errs, "tunneldigger-broker: %s (see tunneldigger-broker --help)\n", text)
	return exitUsage
}

func (o *options) fault(err error) int {
	phrase.Fprintf(o.errs, "%v\n", err)
	return exitFault
}

func (o *options) run() int {
	state, err := survive.Inherited()
	if err != nil {
		return o.fault(err)
	}
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, unix.SIGTERM, unix.SIGINT, unix.SIGHUP, unix.SIGUSR2)
	var orphaned error
	if o.dependent {
		orphaned = endWithParent()
	}
	var record *survive.Record
	var unrecorded error
	if state == nil {
		if record, unrecorded = survive.Begin(o.socket); record != nil && !o.pause(record.Pause(), signals) {
			return exitFine
		}
	}
	c, err := o.load()
	if c == nil && state == nil {
		return o.fault(err)
	}
	if c == nil { // the daemon says so, and goes on with the configuration of the program before
		c = &config.Config{Log: config.Log{Level: config.Info}}
	}
	log := o.logger(journal.Level(c.Log.Level))
	log.Info("tunneldigger-broker " + version)
	if unrecorded != nil {
		log.Warn("a crash would lose the tunnels: no record of them", "error", unrecorded)
	}
	if orphaned != nil {
		log.Warn(orphaned.Error())
	}
	// There is one loop, and the little that goes on beside it can wait. With a
	// second processor the runtime wakes a thread at every event to look for work.
	runtime.GOMAXPROCS(1)
	// A heap of a few megabytes wants no huge pages: one alone costs two.
	_ = unix.Prctl(unix.PR_SET_THP_DISABLE, 1, 0, 0, 0)
	err = daemon.Run(daemon.Options{
		Config: c, Read: o.load, Log: log, NoDatapath: o.datapath == "none", Signals: signals, Socket: o.socket, Version: version,
		State: state, Parse: parseBefore, Record: record,
	})
	if err != nil {
		log.Error(strings.ReplaceAll(err.Error(), "\n", "; "))
		return exitFault
	}
	log.Info("stopped")
	return exitFine
}

// logger is where a running broker logs.
func (o *options) logger(level logline.Level) *logline.Logger {
	out := o.errs
	if o.syslog {
		out = &logline.Syslog{Path: logline.SyslogPath, Name: "tunneldigger-broker", Else: o.errs}
	}
	return logline.New(out, level, o.priority || o.syslog)
}

// alarm gives a channel that is closed after that time. (time.After and time.NewTimer have the kind of a Time at hand for whoever prints what comes out,
// and with it 50 kB of a router's flash.)
func alarm(d time.Duration) <-chan struct{} {
	end := make(chan struct{})
	time.AfterFunc(d, func() { close(end) })
	return end
}

// pause waits before a start, where others have ended soon after theirs: whoever
// starts this program may do so at once. It reports whether to go on.
func (o *options) pause(d time.Duration, signals chan os.Signal) bool {
	if d <= 0 {
		return true
	}
	o.logger(logline.Info).Warn("starting later, as those before ended within a minute", "wait", d)
	end := alarm(d)
	for {
		select {
		case <-end:
			return true
		case s := <-signals:
			if s == unix.SIGTERM || s == unix.SIGINT {
				return false
			}
		}
	}
}
