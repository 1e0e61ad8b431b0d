package daemon

import (
	"fmt"
	"slices"
	"strings"

	"tunneldigger/src/control"
)

// commands are what can be asked for over the socket. Each ends its caller, now
// or later, by Finish or Stream.
var commands map[string]func(d *Daemon, c *control.Conn, args []string)

func init() { // not where it is declared: what a command does may come back here
	commands = map[string]func(d *Daemon, c *control.Conn, args []string){
		"status":  (*Daemon).commandStatus,
		"kick":    (*Daemon).commandKick,
		"drain":   (*Daemon).commandDrain,
		"reload":  (*Daemon).commandReload,
		"upgrade": (*Daemon).commandUpgrade,
	}
}

// command takes in one request.
func (d *Daemon) command(c *control.Conn, words []string) {
	run := commands[words[0]]
	if run == nil {
		var known []string
		for name := range commands {
			known = append(known, name)
		}
		slices.Sort(known)
		c.Finish("", fmt.Errorf("unknown command %q: want one of %s", words[0], strings.Join(known, ", ")))
		return
	}
	run(d, c, words[1:])
	d.settle()
}
