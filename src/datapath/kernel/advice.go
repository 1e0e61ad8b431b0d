package kernel

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"tunneldigger/src/l2tp"
)

// ErrPrivilege says that the process may not change the network, which otherwise
// shows in errors that speak of missing modules.
var ErrPrivilege = errors.New("no CAP_NET_ADMIN: run it as root, or give it that capability")

// privileged reports whether CAP_NET_ADMIN is in effect, or that can't be told.
func privileged() bool {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	err := unix.Capget(&header, &data[0])
	return err != nil || data[0].Effective&(1<<unix.CAP_NET_ADMIN) != 0
}

// advise says what to do about a kernel that makes no tunnels.
func advise(err error) error {
	switch {
	case !privileged():
		return ErrPrivilege
	case errors.Is(err, l2tp.ErrNoL2TP), errors.Is(err, l2tp.ErrNoEthernet):
		return fmt.Errorf("%w: install it (OpenWrt: kmod-l2tp and kmod-l2tp-eth; Fedora, RHEL: kernel-modules-extra, and take "+
			"l2tp_netlink and l2tp_eth off the blacklists in /etc/modprobe.d; Debian has it in the kernel package), "+
			"or run it on a host instead of in a container", err)
	}
	return err
}
