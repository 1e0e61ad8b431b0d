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
	return nil, errors.Join(all...)
}

// FaultsOf gives the faults of an error one by one.
func FaultsOf(err error) []error {
	if several, ok := err.(interface{ Unwrap() []error }); ok {
		return several.Unwrap()
	}
	faults, ok := err.(config.Faults)
	if !ok {
		return []error{err}
	}
	all := make([]error, len(faults))
	for i := range faults {
		all[i] = faults[i]
	}
	return all
}
