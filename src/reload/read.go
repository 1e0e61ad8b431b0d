package reload

import (
	"errors"

	"tunneldigger/src/config"
)

var errNoReader = errors.New("this broker can't read its configuration again")

// Read reads the configuration and plans to bring it into force. A reload
// does not bear what a start does, as there is something better to go on with; but
// what the file had in it when it came into force is no reason to refuse its next
// version. What that was the program before an upgrade knew: if the file makes no
// other configuration than is in force it is what was in it. read returns what
// [config.Build] does; nil: it can't be.
func (r *Running) Read(read func() (*config.Config, error), upgraded bool) (*Plan, error) {
	if read == nil {
		return nil, errNoReader
	}
	c, err := read()
	faults, understood := err.(config.Faults)
	if c == nil || err != nil && (!understood || faults.Stop()) {
		return nil, err
	}
	next, err := r.Plan(c)
	news := faults.Beyond(r.Config.Faults)
	if len(news) == 0 || err == nil && upgraded && len(next.Changes) == 0 {
		return next, err
	}
	all := FaultsOf(news)
	if err != nil {
		all = append(all, FaultsOf(err)...)
	}
	return nil, all.orNil()
}

// Faults are what is in the way of a reload.
type Faults []error

// Error gives one line for each.
func (f Faults) Error() string { return errors.Join(f...).Error() }

// Unwrap gives them to errors.Is.
func (f Faults) Unwrap() []error { return f }

func (f Faults) orNil() error {
	if len(f) == 0 {
		return nil
	}
	return f
}

// FaultsOf gives the faults of an error of Read or Plan, or of one that reads a configuration, one by one.
func FaultsOf(err error) Faults {
	switch err := err.(type) {
	case Faults:
		return err
	case config.Faults:
		all := make(Faults, len(err))
		for i := range err {
			all[i] = err[i]
		}
		return all
	}
	return Faults{err}
}
