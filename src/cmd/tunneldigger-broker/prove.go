package main

import (
	"math"

	"golang.org/x/sys/unix"

	"tunneldigger/src/config"
	"tunneldigger/src/config/uci"
	"tunneldigger/src/files"
	"tunneldigger/src/phrase"
	"tunneldigger/src/successor"
	"tunneldigger/src/survive"
)

// prove answers the program that this one is to replace: whether it understands
// the state, which comes on standard input, and the configuration.
func (o *options) prove() int {
	c, err := o.load()
	if c == nil {
		return o.fault(err)
	}
	state, err := files.ReadFrom(unix.Stdin, "standard input", math.MaxInt)
	if err == nil {
		err = successor.Prove(state, c, parseBefore, o.datapath != "none")
	}
	if err != nil {
		return o.fault(err)
	}
	phrase.Fprintln(o.out, survive.ProofWord+version)
	return exitFine
}

// parseBefore reads the configuration that the program before was running with:
// what it could bear this one does, too.
func parseBefore(text string) (*config.Config, error) {
	c, err := uci.Parse("the configuration before the upgrade", text)
	if c != nil {
		c.Faults = nil // they are of no file
		return c, nil
	}
	return nil, err
}
