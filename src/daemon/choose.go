package daemon

import (
	"errors"
	"fmt"
	"strings"

	"tunneldigger/src/bridges"
	"tunneldigger/src/config"
	"tunneldigger/src/datapath"
	"tunneldigger/src/datapath/kernel"
	"tunneldigger/src/datapath/user"
	"tunneldigger/src/privilege"
)

// makeDatapath makes what sections choose from, and what tunnels of an earlier
// process can be given to. none is for load tests of the control plane.
func (d *Daemon) makeDatapath(none bool, socket string) error {
	d.links = datapath.New()
	if none {
		d.none = datapath.NewNone(d.links, d.stray)
		return nil
	}
	d.links.MakeBridges(bridges.Alias(socket), func(name string) *datapath.Own { return d.bridges.Own(name) })
	d.kernel = kernel.New(d.links, d.stray)
	d.user = user.New(d.links, d.wake.Notify)
	return d.links.Open()
}

func (d *Daemon) closeDatapath() {
	if d.none != nil {
		d.none.Close()
		return
	}
	d.kernel.Close()
	d.user.Close()
}

// openKernel proves that the kernel makes tunnels, unless it has.
func (d *Daemon) openKernel() error {
	if !d.kernelUp && d.lacks == nil {
		d.lacks = d.kernel.Open()
		if errors.Is(d.lacks, privilege.ErrNetwork) {
			d.lacks = fmt.Errorf("%w (and CAP_NET_BIND_SERVICE for ports below 1024)", d.lacks)
		}
		d.kernelUp = d.lacks == nil
	}
	return d.lacks
}

// choose finds what carries the frames of a section, where it can.
func (d *Daemon) choose(b *config.Broker) (datapath.Path, error) {
	switch {
	case d.none != nil:
		return d.none, nil
	case b.Datapath == config.DatapathUser:
		return d.user, user.Prove()
	}
	err := d.openKernel()
	if err == nil || b.Datapath == config.DatapathKernel || errors.Is(err, privilege.ErrNetwork) {
		return d.kernel, err
	}
	if fault := user.Prove(); fault != nil {
		return nil, fmt.Errorf("nothing can carry the frames: %w; and without the kernel: %w", err, fault)
	}
	return d.user, nil
}

// tellDatapath says what carries a section's frames.
func (d *Daemon) tellDatapath(s *section) {
	switch {
	case !s.user():
		if d.none == nil {
			d.log.Info("the kernel carries the frames", "broker", s.config.Name)
		}
	case s.config.Datapath == config.DatapathUser:
		d.log.Info("the broker carries the frames itself", "broker", s.config.Name)
	default:
		d.log.Warn("the broker carries the frames itself: with the kernel it would be faster", "broker", s.config.Name,
			"error", strings.ReplaceAll(d.lacks.Error(), "\n", "; "))
	}
}

// user reports whether the program carries the section's frames.
func (s *section) user() bool {
	_, is := s.path.(*user.Path)
	return is
}

// datapath is what carries the frames, in the word of the option.
func (s *section) datapath() string {
	switch s.path.(type) {
	case *kernel.Path:
		return config.DatapathKernel.String()
	case *user.Path:
		return config.DatapathUser.String()
	}
	return "none"
}

// pathOf is the path of a section of an earlier process.
func (d *Daemon) pathOf(isUser bool) datapath.Path {
	switch {
	case d.none != nil:
		return d.none
	case isUser:
		return d.user
	}
	return d.kernel
}

// proveDatapaths is an error unless this program has what carried the frames in the
// one before.
func proveDatapaths(c *past) error {
	var errs []error
	asked := make(map[bool]bool)
	for i := range c.Sections {
		if is := c.Sections[i].User; !asked[is] {
			asked[is] = true
			if is {
				errs = append(errs, user.Prove())
			} else {
				errs = append(errs, kernel.Prove())
			}
		}
	}
	return errors.Join(errs...)
}
