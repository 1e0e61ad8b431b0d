package kernel

import (
	"errors"

	"tunneldigger/src/l2tp"
	"tunneldigger/src/phrase"
	"tunneldigger/src/privilege"
)

// advise says what to do about a kernel that makes no tunnels.
func advise(err error) error {
	switch {
	case !privilege.Network():
		return privilege.ErrNetwork
	case errors.Is(err, l2tp.ErrNoL2TP), errors.Is(err, l2tp.ErrNoEthernet):
		return phrase.Errorf("%w: install it (OpenWrt: kmod-l2tp and kmod-l2tp-eth; Fedora, RHEL: kernel-modules-extra, and take "+
			"l2tp_netlink and l2tp_eth off the blacklists in /etc/modprobe.d; Debian has it in the kernel package), "+
			"or run it on a host instead of in a container", err)
	}
	return err
}
