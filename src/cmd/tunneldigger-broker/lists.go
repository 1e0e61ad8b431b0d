package main

import (
	"errors"
	"io"
	"io/fs"

	"tunneldigger/src/config"
	"tunneldigger/src/gate"
	"tunneldigger/src/phrase"
)

// checkLists reads the allow and deny lists as the broker does. One that is not
// there may still come, which out is told; everything else is a fault.
func checkLists(c *config.Config, out io.Writer) error {
	var faults []error
	seen := make(map[string]bool)
	for i := range c.Brokers {
		b := &c.Brokers[i]
		for _, path := range []string{b.AllowList, b.DenyList} {
			if path == "" || seen[path] {
				continue
			}
			seen[path] = true
			switch err := gate.CheckList(path); {
			case errors.Is(err, fs.ErrNotExist) && path == b.AllowList:
				phrase.Fprintf(out, "%v: until it is there nobody is let in\n", err)
			case errors.Is(err, fs.ErrNotExist):
				phrase.Fprintf(out, "%v: until it is there it keeps nobody out\n", err)
			case err != nil:
				faults = append(faults, err)
			}
		}
	}
	return errors.Join(faults...)
}
