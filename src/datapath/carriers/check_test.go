package carriers

import (
	"errors"
	"fmt"
	"testing"

	"tunneldigger/src/config"
	"tunneldigger/src/privilege"
)

// What is said of each section is what a start would do, see TestChoose.
func TestCheck(t *testing.T) {
	no, device := errors.New("no module: install kmod-l2tp\nor so"), errors.New("no device")
	for _, c := range []struct {
		datapath       config.Datapath
		kernel, itself error
		want           string
	}{
		{config.DatapathAuto, nil, device, "datapath kernel"},
		{config.DatapathKernel, nil, device, "datapath kernel"},
		{config.DatapathUser, no, nil, "datapath user"},
		{config.DatapathAuto, no, nil, "datapath user; the kernel would be faster: no module: install kmod-l2tp; or so"},
		{config.DatapathKernel, no, nil, "the kernel can't carry the frames here: no module: install kmod-l2tp; or so"},
		{config.DatapathUser, nil, device, "nothing can carry the frames here: no device"},
		{config.DatapathAuto, no, device, "nothing can carry the frames here: no device; the kernel would be faster: no module: install kmod-l2tp; or so"},
		{config.DatapathAuto, fmt.Errorf("x: %w", privilege.ErrNetwork), nil, "only root can see what will carry the frames"},
	} {
		asked := 0
		got := check(&config.Config{Brokers: []config.Broker{{Name: "a", Datapath: c.datapath}, {Name: "b", Datapath: c.datapath}}},
			func() error { asked++; return c.kernel }, func() error { return c.itself })
		if fmt.Sprint(got) != fmt.Sprint([]string{"broker 'a': " + c.want, "broker 'b': " + c.want}) || asked > 1 {
			t.Errorf("%v, %v, %v: got %q, want %q; asked %d times", c.datapath, c.kernel, c.itself, got, c.want, asked)
		}
	}
}
