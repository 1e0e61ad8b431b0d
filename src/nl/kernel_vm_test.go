//go:build vm

package nl

import (
	"errors"
	"testing"

	"golang.org/x/sys/unix"
)

// Every Linux has the generic-netlink controller, and asking it needs no rights; emulated user space (qemu-mips) lacks it.
func TestKernel(t *testing.T) {
	c, err := Dial(unix.NETLINK_GENERIC)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if id, err := c.Family("nlctrl"); id != unix.GENL_ID_CTRL || err != nil {
		t.Errorf("controller %d, %v", id, err)
	}
	if _, err := c.Family("no-such-family"); !errors.Is(err, unix.ENOENT) {
		t.Errorf("missing family: %v", err)
	}
	families := 0
	c.Generic("list families", unix.GENL_ID_CTRL, unix.CTRL_CMD_GETFAMILY, 1, 0)
	if err := c.Dump(func() { families = 0 }, func(Header, []byte) { families++ }); err != nil || families == 0 {
		t.Errorf("%d families, %v", families, err)
	}
}
