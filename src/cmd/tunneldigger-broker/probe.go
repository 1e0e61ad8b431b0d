package main

import "tunneldigger/src/probe"

func (o *options) probe() int {
	if err := probe.Run(o.out, o.word, o.uuid); err != nil {
		return o.fault(err)
	}
	return exitFine
}
