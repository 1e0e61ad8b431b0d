package main

import (
	"time"

	"tunneldigger/src/control"
	"tunneldigger/src/phrase"
)

// silence is how long the broker may take for an answer: an upgrade starts a
// program on a slow machine.
const silence = time.Minute

// call has the running broker carry out a command and prints what it answers.
func (o *options) call() int {
	if o.seconds != 0 {
		return o.watch()
	}
	words := []string{o.command}
	if o.word != "" {
		words = append(words, o.word)
	}
	if o.format != "" {
		words = append(words, o.format)
	}
	if o.tunnels {
		words = append(words, "tunnels")
	}
	if o.rate != "" {
		words = append(words, "close-rate", o.rate)
	}
	body, err := control.Call(o.socket, silence, words...)
	if err != nil {
		return o.fault(phrase.Errorf("%s: %w", o.command, err))
	}
	if _, err := o.out.Write(body); err != nil {
		return o.fault(err)
	}
	if o.wait {
		return o.awaitDrained()
	}
	return exitFine
}
