package main

import (
	"errors"
	"io"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"tunneldigger/src/control"
	"tunneldigger/src/phrase"
)

// options are what the command line says. The package flag is not used: with
// reflection it brings 130 kB to a router's flash for four options.
type options struct {
	command   string // "": run; --version and --help are commands too
	word      string // FILE or HOST
	dir       string
	datapath  string
	devices   string // file for config.ApplyDevices
	uuid      string
	socket    string
	format    string // of status: "", json or prometheus
	rate      string // with which drain closes tunnels
	tunnels   bool   // a series for every tunnel
	seconds   int    // between two looks of status --watch, 0: once only
	wait      bool   // drain ends when no tunnel is left
	priority  bool
	syslog    bool
	dependent bool                    // ends with its parent
	starts    bool                    // check is for a start, which bears more
	proves    bool                    // --check-handoff, for the program that this one is to replace
	found     map[string][]netip.Addr // of names in the configuration
	out       io.Writer
	errs      io.Writer
}

// parse reads the command line. Options may stand before and after words, with
// one or two dashes, their value behind a space or a "=".
func parse(args []string) (*options, error) {
	o := &options{}
	var words []string
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		if !strings.HasPrefix(arg, "-") || arg == "-" {
			words = append(words, arg)
			continue
		}
		name, value, given := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(arg, "-"), "-"), "=")
		var target *string
		switch name {
		case "version", "V", "help", "h":
			o.command = map[byte]string{'v': "--version", 'V': "--version", 'h': "--help"}[name[0]]
			return o, nil
		case "log-priority":
			o.priority = true
			continue
		case "end-with-parent":
			o.dependent = true
			continue
		case "syslog":
			o.syslog = true
			continue
		case "tunnels":
			o.tunnels = true
			continue
		case "watch":
			if !given && len(args) > 0 && strings.Trim(args[0], "0123456789") == "" && args[0] != "" {
				value, args, given = args[0], args[1:], true
			}
			o.seconds = watchEvery
			if given {
				n, err := strconv.Atoi(value)
				if err != nil || n < 1 || n > 3600 {
					return nil, phrase.Errorf("--watch %s: want seconds, 1–3600", value)
				}
				o.seconds = n
			}
			continue
		case "wait":
			o.wait = true
			continue
		case "start":
			o.starts = true
			continue
		case "check-handoff":
			o.proves = true
			continue
		case "json", "prometheus":
			if o.format != "" && o.format != name {
				return nil, errors.New("either --json or --prometheus, not both")
			}
			o.format = name
			continue
		case "c":
			target = &o.dir
		case "datapath":
			target = &o.datapath
		case "devices":
			target = &o.devices
		case "u":
			target = &o.uuid
		case "socket":
			target = &o.socket
		case "close-rate":
			target = &o.rate
		default:
			return nil, phrase.Errorf("unknown option %s", arg)
		}
		if !given {
			if len(args) == 0 {
				return nil, phrase.Errorf("option %s: want a value", arg)
			}
			value, args = args[0], args[1:]
		}
		if value == "" {
			return nil, phrase.Errorf("option %s: want a value that is not empty", arg)
		}
		*target = value
	}
	return o, o.arrange(words)
}

// arrange sorts out the words and refuses what does not go together.
func (o *options) arrange(words []string) error {
	// A word that looks like a file is one, so that a classic installation
	// goes on to start with its file alone.
	if len(words) > 0 && !strings.ContainsAny(words[0], "./") {
		o.command, words = words[0], words[1:]
	}
	if len(words) > 1 {
		return phrase.Errorf("%q: one FILE or HOST is enough", words[1])
	}
	if len(words) == 1 {
		o.word = words[0]
	}
	runs := o.command == ""
	calls := slices.Contains([]string{"status", "kick", "drain", "reload", "upgrade"}, o.command)
	reads := o.command == "" || o.command == "check"
	switch {
	case o.word == "" && o.command == "convert":
		return errors.New("convert: want a FILE")
	case o.word == "" && o.command == "probe":
		return errors.New("probe: want a HOST or HOST:PORT")
	case o.word == "" && o.command == "kick":
		return errors.New("kick: want a TUNNEL_ID or UUID")
	case o.word != "" && calls && o.command != "kick" && (o.command != "drain" || o.word != "off"):
		return phrase.Errorf("%s: %q is one word too many", o.command, o.word)
	case o.rate != "" && (o.command != "drain" || o.word != ""):
		return errors.New("--close-rate is for drain, and not for drain off")
	case o.format != "" && o.command != "status":
		return phrase.Errorf("--%s is for status", o.format)
	case o.seconds != 0 && (o.command != "status" || o.format != ""):
		return errors.New("--watch is for status, without --json and --prometheus")
	case o.wait && (o.command != "drain" || o.word != ""):
		return errors.New("--wait is for drain, and not for drain off")
	case o.starts && o.command != "check":
		return errors.New("--start is for check")
	case o.tunnels && o.format != "prometheus":
		return errors.New("--tunnels is for status --prometheus")
	case o.socket != "" && !runs && !calls:
		return errors.New("--socket is for running and for commands to the running broker")
	case o.word != "" && o.dir != "":
		return errors.New("either -c DIR or a FILE, not both")
	case o.dir != "" && !reads:
		return errors.New("-c is for running and check")
	case o.uuid != "" && o.command != "probe":
		return errors.New("-u is for probe")
	case (o.datapath != "" || o.devices != "" || o.priority || o.syslog || o.dependent) && o.command != "":
		return errors.New("-datapath, --devices, --end-with-parent, --log-priority and --syslog are for running")
	case o.datapath != "" && o.datapath != "kernel" && o.datapath != "none":
		return phrase.Errorf("-datapath %q: want kernel or none", o.datapath)
	}
	if o.dir == "" {
		o.dir = "/etc/config"
	}
	if o.socket == "" {
		o.socket = control.DefaultPath
	}
	return nil
}
