package daemon

import (
	"errors"

	"tunneldigger/src/config"
)

// readStrictly reads the configuration and plans to bring it into force. A reload
// does not bear what a start does, as there is something better to go on with; but
// what the file had in it when it came into force is no reason to refuse its next
// version. What that was the program before an upgrade knew: if the file makes no
// other configuration than is in force it is what was in it.
func (d *Daemon) readStrictly(upgraded bool) (*reloading, error) {
	c, err := d.read()
	faults, read := err.(config.Faults)
	if c == nil || err != nil && (!read || faults.Stop()) {
		return nil, err
	}
	next, err := d.plan(c)
	news := faults.Beyond(d.config.Faults)
	if len(news) == 0 || err == nil && upgraded && len(next.changes) == 0 {
		return next, err
	}
	all := faultsOf(news)
	if err != nil {
		all = append(all, faultsOf(err)...)
	}
	return nil, errors.Join(all...)
}

// faultsOf gives the faults of an error one by one.
func faultsOf(err error) []error {
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
