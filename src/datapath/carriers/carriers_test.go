package carriers

import (
	"errors"
	"strings"
	"testing"

	"tunneldigger/src/config"
	"tunneldigger/src/datapath"
	"tunneldigger/src/datapath/user"
	"tunneldigger/src/privilege"
)

// Where the kernel makes no tunnels the program carries those of sections that leave it the choice; who lacks the privilege is told so instead.
func TestChoose(t *testing.T) {
	auto, only := &config.Broker{}, &config.Broker{Datapath: config.DatapathKernel}
	c := New(datapath.New(), nil, func() {}, nil, 0)
	c.lacks = errors.New("no module\nnor another")
	if p, err := c.Choose(only); !errors.Is(err, c.lacks) || IsUser(p) {
		t.Errorf("the kernel alone: %v, %v", p, err)
	}
	p, err := c.Choose(auto)
	switch fault := user.Prove(); {
	case fault == nil && (err != nil || !IsUser(p) || Word(p) != "user"):
		t.Errorf("either: %v, %v", p, err)
	case fault != nil && (err == nil || !strings.Contains(err.Error(), "nothing can carry the frames: no module")):
		t.Errorf("neither: %v", err)
	}
	if c.Lacks() != "no module; nor another" {
		t.Errorf("%q", c.Lacks())
	}
	c.lacks = privilege.ErrNetwork
	if p, err := c.Choose(auto); !errors.Is(err, privilege.ErrNetwork) || IsUser(p) {
		t.Errorf("without the privilege: %v, %v", p, err)
	}
	c.lacks, c.up = nil, true
	if p, err := c.Choose(auto); err != nil || Word(p) != "kernel" || p != c.Of(false) || !IsUser(c.Of(true)) {
		t.Errorf("both: %v, %v", p, err)
	}
	none := NewNone(datapath.New(), nil, nil, 0)
	if p, err := none.Choose(only); err != nil || Word(p) != "none" || p != none.Of(true) {
		t.Errorf("for load tests: %v, %v", p, err)
	}
}
