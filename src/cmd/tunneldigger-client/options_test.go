package main

import (
	"net/netip"
	"strings"
	"testing"

	"tunneldigger/src/client"
)

func TestParse(t *testing.T) {
	o, err := parse(strings.Fields("-fa -u abc -b192.0.2.1:53 -b [2001:db8::1]:53 -i tun0 -I eth0 -l 192.0.2.2 -s /hook -t 7 -L 2000 --no-features"))
	if err != nil {
		t.Fatal(err)
	}
	c := o.config
	if !o.foreground || c.Client.Policy != client.LeastUsed || c.Client.UUID != "abc" || len(c.Brokers) != 2 ||
		c.Brokers[0] != "192.0.2.1:53" || c.Brokers[1] != "[2001:db8::1]:53" || c.Interface != "tun0" || c.Device != "eth0" ||
		c.Local != netip.MustParseAddr("192.0.2.2") || c.Hook != "/hook" || c.Client.TunnelID != 7 || c.Client.Limit != 2000 || !c.NoFeatures {
		t.Errorf("%+v", o)
	}
	for arg, want := range map[string]client.Policy{"-g": client.First, "-a": client.LeastUsed, "-r": client.Random} {
		if o, err := parse([]string{arg}); err != nil || o.config.Client.Policy != want {
			t.Errorf("%s: %v, %v", arg, o.config.Client.Policy, err)
		}
	}
	for _, args := range [][]string{{"--datapath", "user"}, {"--datapath=user"}} {
		if o, err := parse(args); err != nil || o.datapath != pathUser {
			t.Errorf("%q: %q, %v", args, o.datapath, err)
		}
	}
	if o, err := parse([]string{"-l", "0.0.0.0"}); err != nil || o.config.Local.IsValid() {
		t.Errorf("-l 0.0.0.0: %v, %v", o.config.Local, err)
	}
}

func TestFaults(t *testing.T) {
	const good = "-u abc -b 192.0.2.1:53 -i tun0 "
	for args, want := range map[string]string{
		"":                             "no broker",
		"-b 192.0.2.1:53 -i tun0":      `UUID ""`,
		"-u abc -b 192.0.2.1:53":       `interface ""`,
		"-u abc -b 192.0.2.1 -i tun0":  "want host:port",
		good + "-t 0":                  `-t "0": want a number from 1 to 4294967295`,
		good + "-t 4294967296":         `-t "4294967296"`,
		good + "-L -5":                 `-L "-5"`,
		good + "-l eth0":               `-l "eth0": want an IPv4 or IPv6 address`,
		good + "-x":                    "unknown option -x",
		good + "--datapath l2tp":       `--datapath "l2tp": want auto, kernel or user`,
		good + "--datapath":            `--datapath "": want auto, kernel or user`,
		good + "--verbose":             `unknown option "--verbose"`,
		good + "word":                  `unknown option "word"`,
		good + "-s":                    "-s: want a value",
		"-u a;b -b 192.0.2.1:53 -i t0": `UUID "a;b"`,
	} {
		var out, errs strings.Builder
		if code := run(strings.Fields(args), &out, &errs); code != exitUsage || !strings.Contains(errs.String(), want) || out.Len() != 0 {
			t.Errorf("%s: exit %d, %q, %q", args, code, out.String(), errs.String())
		}
	}
}

func TestVersionAndHelp(t *testing.T) {
	for arg, want := range map[string]string{"--version": "tunneldigger-client " + version, "--help": usage, "-h": usage} {
		var out, errs strings.Builder
		if code := run([]string{arg}, &out, &errs); code != exitFine || !strings.HasPrefix(out.String(), want) || errs.Len() != 0 {
			t.Errorf("%s: exit %d, %q, %q", arg, code, out.String(), errs.String())
		}
	}
}
