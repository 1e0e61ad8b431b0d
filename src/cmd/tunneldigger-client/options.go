package main

import (
	"net/netip"
	"strconv"
	"strings"

	"tunneldigger/src/agent"
	"tunneldigger/src/client"
	"tunneldigger/src/files"
	"tunneldigger/src/phrase"
)

// options are what the command line says.
type options struct {
	config     agent.Config
	datapath   string
	foreground bool
	help       bool
	version    bool
}

// The values of --datapath.
const (
	pathAuto   = "auto"
	pathKernel = "kernel"
	pathUser   = "user"
)

// withValue are the letters of the options that have a value.
const withValue = "ubiIlstL"

// parse reads the command line as getopt(3) does: letters may be joined, and a
// value may follow its letter at once or as the next word.
func parse(args []string) (o options, err error) {
	for len(args) > 0 && err == nil {
		word := args[0]
		args = args[1:]
		switch word {
		case "--help":
			o.help = true
			continue
		case "--version":
			o.version = true
			continue
		case "--no-features":
			o.config.NoFeatures = true
			continue
		}
		if value, found := strings.CutPrefix(word, "--datapath="); found || word == "--datapath" {
			if !found {
				value = ""
			}
			if !found && len(args) > 0 {
				value, args = args[0], args[1:]
			}
			if value != pathAuto && value != pathKernel && value != pathUser {
				err = phrase.Errorf("--datapath %q: want auto, kernel or user", value)
			}
			o.datapath = value
			continue
		}
		if len(word) < 2 || word[0] != '-' || word[1] == '-' {
			return o, phrase.Errorf("unknown option %q", word)
		}
		for letters := word[1:]; letters != "" && err == nil; {
			letter := letters[:1]
			letters = letters[1:]
			if !strings.Contains(withValue, letter) {
				err = o.flag(letter)
				continue
			}
			if letters == "" {
				if len(args) == 0 {
					return o, phrase.Errorf("-%s: want a value", letter)
				}
				letters, args = args[0], args[1:]
			}
			err = o.value(letter, letters)
			letters = ""
		}
	}
	return o, err
}

func (o *options) flag(letter string) error {
	switch letter {
	case "a":
		o.config.Client.Policy = client.LeastUsed
	case "g":
		o.config.Client.Policy = client.First
	case "r":
		o.config.Client.Policy = client.Random
	case "f":
		o.foreground = true
	case "h":
		o.help = true
	default:
		return phrase.Errorf("unknown option -%s", letter)
	}
	return nil
}

func (o *options) value(letter, value string) (err error) {
	c := &o.config
	switch letter {
	case "u":
		c.Client.UUID = value
	case "b":
		c.Brokers = append(c.Brokers, value)
	case "i":
		c.Interface = value
	case "I":
		c.Device = value
	case "l":
		if c.Local, err = netip.ParseAddr(value); err != nil {
			return phrase.Errorf("-l %q: want an IPv4 or IPv6 address", value)
		}
		if c.Local.IsUnspecified() {
			c.Local = netip.Addr{} // what the reference client has for "any"
		}
	case "s":
		c.Hook, err = files.Absolute(value)
	case "t":
		c.Client.TunnelID, err = number(letter, value, 1)
	case "L":
		c.Client.Limit, err = number(letter, value, 0)
	}
	return err
}

func number(letter, value string, least uint32) (uint32, error) {
	n, err := strconv.ParseUint(value, 10, 32)
	if err != nil || uint32(n) < least {
		return 0, phrase.Errorf("-%s %q: want a number from %d to 4294967295", letter, value, least)
	}
	return uint32(n), nil
}
