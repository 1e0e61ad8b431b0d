package daemon

import (
	"fmt"
	"strings"

	"tunneldigger/src/control"
)

// commands are what can be asked for over the socket. Each ends its caller, now
// or later, by Finish or Stream.
var commands []command

type command struct {
	name string
	run  func(d *Daemon, c *control.Conn, args []string)
}

func init() { // not where it is declared: what a command does may come back here
	commands = append(commands[:0],
		command{"drain", (*Daemon).commandDrain},
		command{"kick", (*Daemon).commandKick},
		command{"reload", (*Daemon).commandReload},
		command{"status", (*Daemon).commandStatus},
		command{"upgrade", (*Daemon).commandUpgrade},
	)
}

// command takes in one request.
func (d *Daemon) command(c *control.Conn, words []string) {
	var known []string
	for i := range commands {
		if commands[i].name == words[0] {
			commands[i].run(d, c, words[1:])
			d.settle()
			return
		}
		known = append(known, commands[i].name)
	}
	c.Finish("", fmt.Errorf("unknown command %q: want one of %s", words[0], strings.Join(known, ", ")))
}
