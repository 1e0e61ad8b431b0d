package kernel

import (
	"tunneldigger/src/l2tp"
)

// Left is a tunnel that this process does not know, with an ID that it may use.
type Left struct {
	_       [0]func() // not to be compared: that would be code for nothing
	ID      uint32
	PID     int   // of a process that has its socket, 0: none; −1: it is not over UDP
	Removed bool  // as it belonged to nobody
	Unknown error // why it can't be told whose it is; then it is left alone
}

// Sweep removes the tunnels with IDs that mine holds for, where they belong to no
// process, and tells of all of them.
func (p *Path) Sweep(mine func(id uint32) bool) (found []Left, err error) {
	all, err := p.maker.tunnels.Tunnels()
	if err != nil {
		return nil, err
	}
	var left []l2tp.TunnelInfo
	for _, t := range all {
		if mine(t.ID) {
			left = append(left, t)
			found = append(found, Left{ID: t.ID})
		}
	}
	if len(left) == 0 {
		return nil, nil
	}
	owners, unknown := l2tp.Owners(left)
	for i := range found {
		one := &found[i]
		if one.PID, one.Unknown = owners[i], unknown; one.PID != 0 || unknown != nil {
			continue
		}
		if err := p.maker.Delete(one.ID); err != nil {
			return found, err
		}
		one.Removed = true
	}
	return found, nil
}
