package daemon

import (
	"time"

	"tunneldigger/src/broker"
	"tunneldigger/src/command"
	"tunneldigger/src/control"
	"tunneldigger/src/poll"
	"tunneldigger/src/successor"
	"tunneldigger/src/survey"
)

// command takes in one request. Each ends its caller, now or later, by Finish or Stream.
func (d *Daemon) command(c *control.Conn, words []string) {
	var text string
	var err error
	switch words[0] {
	case "drain":
		text, err = d.drain(words[1:])
	case "kick":
		text, err = d.kick(words[1:])
	case "reload":
		if err = command.Alone(words); err == nil {
			text, err = d.reload(false)
		}
	case "status":
		w, end, fault := d.survey().Writer(words[1:])
		if err = fault; err == nil {
			c.Stream(w.Write, end)
			return
		}
	case "upgrade":
		if err = command.Alone(words); err == nil {
			err = d.beginUpgrade(c)
		}
		if err == nil {
			return
		}
	default:
		err = command.Unknown(words[0])
	}
	c.Finish(text, err)
	d.settle()
}

// draining reports whether the sections are being drained, and how many tunnels
// each closes in a minute.
func (d *Daemon) draining() (on bool, rate int) {
	for _, s := range d.sections {
		if !on {
			on, rate = s.core.Draining()
		}
	}
	return on, rate
}

func (d *Daemon) drain(words []string) (string, error) {
	wish, err := command.ParseDrain(words)
	if err != nil {
		return "", err
	}
	was, _ := d.draining()
	tunnels := 0
	for _, s := range d.sections {
		tunnels += s.core.Tunnels()
		d.effects = s.core.Drain(d.now, wish.On, wish.Rate, d.effects[:0])
		d.carryOut(s)
	}
	d.journal.Draining(wish.On, was, wish.Rate, tunnels)
	return wish.Answer(was, tunnels), nil
}

func (d *Daemon) kick(words []string) (string, error) {
	wish, err := command.ParseKick(words)
	if err != nil {
		return "", err
	}
	for _, is := range []func(*broker.TunnelInfo, string) bool{wish.ByID, wish.ByUUID} {
		d.eachTunnel(func(s *section, t *broker.TunnelInfo) {
			if is(t, d.journal.UUID(t.UUID)) {
				d.handle(s, &broker.Event{Kind: broker.EventKick, Tunnel: t.Tunnel})
			}
		})
	}
	return wish.Answer()
}

// survey is what a status is about.
func (d *Daemon) survey() *survey.Broker {
	b := &survey.Broker{
		Version: d.version, Started: d.started, Unsent: d.unsent, Now: func() time.Duration { return d.now },
		Marks: &d.marks, Journal: d.journal, Hooks: d.hooks, Tunnels: d.tunnels, Links: d.links, Carriers: d.carriers,
	}
	for _, s := range d.sections {
		b.Sections = append(b.Sections, survey.Section{
			Section: &s.Section, Core: s.core, Listen: s.listen, Refusals: &s.refusals, Leaving: s.leaving, Loosened: s.loosened,
		})
	}
	return b
}

// openControl makes the socket for commands. A broker serves without one, too:
// what is in its way is worth a warning and no more.
func (d *Daemon) openControl(path string, before *successor.Past) error {
	var err error
	if d.control, err = control.New(d.command); err != nil {
		return err
	}
	if err := d.poller.Add(d.control.FD(), tokenControl, poll.Read); err != nil {
		return err
	}
	if before != nil && before.Control >= 0 {
		err := d.control.Resume(before.Path, before.Control)
		if err == nil {
			return nil
		}
		d.log.Warn("the socket for commands was lost", "error", err)
	}
	if path == "" {
		return nil
	}
	if err := d.control.Listen(path); err != nil {
		d.log.Warn("no socket for commands: "+control.Advice(err), "error", err)
	}
	return nil
}
