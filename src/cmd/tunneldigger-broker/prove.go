package main

import (
	"fmt"
	"io"
	"os"

	"tunneldigger/src/config"
	"tunneldigger/src/config/uci"
	"tunneldigger/src/daemon"
	"tunneldigger/src/survive"
)

// prove answers the program that this one is to replace: whether it understands
// the state, which comes on standard input, and the configuration.
func (o *options) prove() int {
	c, err := o.load()
	if err != nil {
		return o.fault(err)
	}
	state, err := io.ReadAll(os.Stdin)
	if err == nil {
		err = daemon.Prove(daemon.Options{Config: c, NoDatapath: o.datapath == "none", Parse: parseCarried}, state)
	}
	if err != nil {
		return o.fault(err)
	}
	fmt.Fprintln(o.out, survive.ProofWord+version)
	return exitFine
}

// parseCarried reads the configuration that the program before was running with.
func parseCarried(text string) (*config.Config, error) {
	return uci.Parse("the configuration before the upgrade", []byte(text))
}
