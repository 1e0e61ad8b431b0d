// Package successor is a program that takes the place of another one: it reads what
// that one hands over, and proves that it can go on there, before anything is taken.
package successor

import (
	"errors"
	"os"

	"tunneldigger/src/broker"
	"tunneldigger/src/config"
	"tunneldigger/src/cookie"
	"tunneldigger/src/datapath/carriers"
	"tunneldigger/src/hook"
	"tunneldigger/src/listen"
	"tunneldigger/src/logline"
	"tunneldigger/src/phrase"
	"tunneldigger/src/survive"
	"tunneldigger/src/tlv"
)

// MaxSections is how many sections a broker may have: their numbers are in the keys of
// hooks.
const MaxSections = 255

// ErrNoBroker says that there would be nothing to do.
var ErrNoBroker = errors.New("no broker section is enabled: set option enabled '1' in one")

// Past is the program before: its state as it was read, and what the configurations
// of its sections are now.
type Past struct {
	*survive.State
	Config  *config.Config
	Configs []*config.Broker // by index of Sections; nil: this program can't read it
}

// Understand reads a state and, with parse, its configuration. That is c where this
// program can't read what the one before had: then sections go by name.
func Understand(state []byte, c *config.Config, parse func(text string) (*config.Config, error)) (*Past, error) {
	st, err := survive.Read(state)
	if err != nil {
		return nil, err
	}
	p := &Past{State: st, Configs: make([]*config.Broker, len(st.Sections))}
	if p.Config, err = parse(st.Config); err != nil {
		p.Config = c
	}
	for i := range st.Sections {
		s := &st.Sections[i]
		if s.Number >= MaxSections {
			return nil, tlv.ErrMalformed
		}
		for number := range s.Listeners {
			if listen.Section(number) != s.Number {
				return nil, tlv.ErrMalformed
			}
		}
		for j := range p.Config.Brokers {
			if b := &p.Config.Brokers[j]; b.Name == s.Name && !s.Leaving {
				p.Configs[i] = b
			}
		}
		if p.Configs[i] == nil {
			if own, err := parse(s.Config); err == nil && len(own.Brokers) == 1 {
				p.Configs[i], s.Leaving = &own.Brokers[0], true
			}
		}
	}
	return p, nil
}

// Prove is an error unless this program can go on where the one is whose state this
// is: it does all that it would, apart from using the descriptors. The rest is as for
// Understand; frames says whether frames are carried at all.
func Prove(state []byte, c *config.Config, parse func(text string) (*config.Config, error), frames bool) error {
	if err := survive.CheckSize(int64(len(state))); err != nil {
		return err
	}
	p, err := Understand(state, c, parse)
	if err != nil {
		return err
	}
	var byKernel, byUser bool
	for i := range p.Sections {
		byUser = byUser || p.Sections[i].User
		byKernel = byKernel || !p.Sections[i].User
		if p.Configs[i] == nil {
			continue
		}
		options := broker.Options{Jar: cookie.New(p.Key), Random: func() uint32 { return 0 }}
		if _, err := broker.Restore(*p.Configs[i], options, p.Sections[i].Core); err != nil {
			return phrase.Errorf("broker '%s': %w", p.Sections[i].Name, err)
		}
	}
	if err := hook.New(1, logline.New(os.Stderr, logline.Error, false), func() {}).Restore(p.Hooks); err != nil {
		return phrase.Errorf("hooks: %w", err)
	}
	if len(p.Config.Brokers) == 0 {
		return ErrNoBroker
	}
	if !frames {
		return nil
	}
	return carriers.Prove(byKernel, byUser)
}
