// Package carriers is what can carry the frames of broker sections, and which one
// carries those of each: the kernel, the program itself or, for load tests, nothing.
package carriers

import (
	"errors"
	"strings"

	"tunneldigger/src/config"
	"tunneldigger/src/datapath"
	"tunneldigger/src/datapath/kernel"
	"tunneldigger/src/datapath/user"
	"tunneldigger/src/phrase"
	"tunneldigger/src/poll"
	"tunneldigger/src/privilege"
)

// Carriers are the paths of one process, with one set of interfaces.
type Carriers struct {
	_      [0]func()     // not to be compared: that would be code for nothing
	None   datapath.Path // of all sections, for load tests; nil: they have one of the others
	Kernel *kernel.Path  // nil with None, as User
	User   *user.Path
	poller *poll.Poller
	token  uint64
	up     bool  // the kernel's, with success
	lacks  error // why the kernel's can't be used, as far as it was asked
}

// New makes both paths, none of which is open. stray gets what came to sockets of tunnels
// that are closed, and notify is called when a worker has something for the loop. That waits at
// listeners by poller, by their numbers, added to token.
func New(links *datapath.Interfaces, stray datapath.Stray, notify func(), poller *poll.Poller, token uint64) *Carriers {
	return &Carriers{Kernel: kernel.New(links, stray), User: user.New(links, notify), poller: poller, token: token}
}

// NewNone carries nothing.
func NewNone(links *datapath.Interfaces, stray datapath.Stray, poller *poll.Poller, token uint64) *Carriers {
	return &Carriers{None: datapath.NewNone(links, stray), poller: poller, token: token}
}

// Close closes all paths: tunnels go.
func (c *Carriers) Close() {
	if c.None != nil {
		c.None.Close()
		return
	}
	c.Kernel.Close()
	c.User.Close()
}

// Last has TAP interfaces outlive the process, or not: where it leaves a record of their tunnels and no descriptors.
func (c *Carriers) Last(on bool) {
	if c.User != nil {
		c.User.Lasting = on
	}
}

// OpenKernel proves that the kernel makes tunnels, unless it has.
func (c *Carriers) OpenKernel() error {
	if !c.up && c.lacks == nil {
		c.lacks = c.Kernel.Open()
		if errors.Is(c.lacks, privilege.ErrNetwork) {
			c.lacks = phrase.Errorf("%w (and CAP_NET_BIND_SERVICE for ports below 1024)", c.lacks)
		}
		c.up = c.lacks == nil
	}
	return c.lacks
}

// KernelUp reports whether the kernel has proved to make tunnels.
func (c *Carriers) KernelUp() bool { return c.up }

// Hurry is [kernel.Hurry], unless nothing is carried.
func (c *Carriers) Hurry(ours bool) (calm func()) {
	if c.None != nil {
		return nil
	}
	return kernel.Hurry(ours)
}

// Again has the kernel asked again where it failed: modules may have been installed.
func (c *Carriers) Again() { c.lacks = nil }

// Choose finds what carries the frames of a section, where it can.
func (c *Carriers) Choose(b *config.Broker) (datapath.Path, error) {
	switch {
	case c.None != nil:
		return c.None, nil
	case b.Datapath == config.DatapathUser:
		return c.User, user.Prove()
	}
	err := c.OpenKernel()
	if err == nil || b.Datapath == config.DatapathKernel || errors.Is(err, privilege.ErrNetwork) {
		return c.Kernel, err
	}
	if fault := user.Prove(); fault != nil {
		return nil, phrase.Errorf("nothing can carry the frames: %w; and without the kernel: %w", err, fault)
	}
	return c.User, nil
}

// Lacks is why the kernel carries no frames, in one line; "": it was not asked, or does.
func (c *Carriers) Lacks() string {
	if c.lacks == nil {
		return ""
	}
	return strings.ReplaceAll(c.lacks.Error(), "\n", "; ")
}

// Of is the path of a section of an earlier process.
func (c *Carriers) Of(isUser bool) datapath.Path {
	switch {
	case c.None != nil:
		return c.None
	case isUser:
		return c.User
	}
	return c.Kernel
}

// IsUser reports whether a path is the program itself.
func IsUser(p datapath.Path) bool {
	_, is := p.(*user.Path)
	return is
}

// Word is what a path is called, in the word of the option.
func Word(p datapath.Path) string {
	switch p.(type) {
	case *kernel.Path:
		return config.DatapathKernel.String()
	case *user.Path:
		return config.DatapathUser.String()
	}
	return "none"
}

// Prove is an error unless this program can carry frames as the one before did, by the
// kernel, by itself, or both.
func Prove(byKernel, byUser bool) error {
	var errs []error
	if byKernel {
		errs = append(errs, kernel.Prove())
	}
	if byUser {
		errs = append(errs, user.Prove())
	}
	return errors.Join(errs...)
}
