package main

import (
	"io"
	"net/netip"
	"strings"
	"time"

	"tunneldigger/src/config"
	"tunneldigger/src/config/file"
	"tunneldigger/src/files"
	"tunneldigger/src/phrase"
	"tunneldigger/src/resolve"
)

// bindV6Only reports whether a socket for :: leaves IPv4 to others.
const bindV6Only = "/proc/sys/net/ipv6/bindv6only"

// read reads the classic file that was named, or the UCI directory, and finds the
// addresses of names in it; see config.Build for what it returns.
func (o *options) read() (*config.Config, error) {
	c, err := o.readFile()
	if c == nil {
		return nil, err
	}
	return c.Resolve(o.file(), o.remembering(within(patience, resolve.System.Lookup)))
}

func (o *options) readFile() (*config.Config, error) {
	if o.word != "" {
		return file.Classic(o.word)
	}
	return file.UCI(o.dir)
}

func (o *options) file() string {
	if o.word != "" {
		return o.word
	}
	return o.dir + "/" + file.Name
}

// patience is how long all names together may take: at a reload nothing else goes
// on meanwhile.
const patience = 3 * time.Second

// lookup finds the addresses of a host's name.
type lookup func(name string) ([]netip.Addr, error)

// within is a lookup by find that has an end: after wait names have no addresses.
func within(wait time.Duration, find lookup) lookup {
	type answer struct {
		found []netip.Addr
		err   error
	}
	late := time.Now().Add(wait)
	return func(name string) ([]netip.Addr, error) {
		answers := make(chan answer, 1)
		go func() {
			found, err := find(name)
			answers <- answer{found, err}
		}()
		select {
		case a := <-answers:
			return a.found, a.err
		case <-alarm(time.Until(late)):
			return nil, phrase.Errorf("no name server has answered in %v", wait)
		}
	}
}

// remembering is a lookup by find that gives the addresses that a name has had as
// long as find gives none: a reload while the network is down closes no port.
func (o *options) remembering(find lookup) lookup {
	return func(name string) ([]netip.Addr, error) {
		found, err := find(name)
		if err != nil {
			if had := o.found[name]; had != nil {
				return had, nil
			}
			return nil, err
		}
		if o.found == nil {
			o.found = make(map[string][]netip.Addr)
		}
		o.found[name] = found
		return found, nil
	}
}

// load is read for running: at start, and at every reload.
func (o *options) load() (*config.Config, error) {
	c, faults := o.read()
	if c == nil {
		return nil, faults
	}
	if only, err := files.Read(bindV6Only); err == nil && strings.TrimSpace(only) == "0" {
		c.BothFamilies()
	}
	if o.devices == "" {
		return c, faults
	}
	text, err := files.Read(o.devices)
	if err != nil {
		return nil, phrase.Errorf("reading which device stands for which interface: %w", err)
	}
	c.ApplyDevices(text)
	return c, faults
}

func (o *options) convert() int {
	c, err := file.Classic(o.word)
	for _, line := range reports(err) {
		phrase.Fprintln(o.errs, line)
	}
	if c == nil {
		return exitFault
	}
	io.WriteString(o.out, config.FormatUCI(c))
	o.propose(c)
	return exitFine
}

// reports are the lines of an error, with what a start makes of each fault.
func reports(err error) (lines []string) {
	faults, ok := err.(config.Faults)
	if err != nil && !ok {
		return []string{err.Error()}
	}
	for _, f := range faults {
		lines = append(lines, f.Report())
	}
	return lines
}
