package daemon

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"tunneldigger/src/l2tp"
)

// privileged tells whether the process may change the network, which otherwise
// shows in errors that speak of missing modules.
func privileged() bool {
	c, err := readCapabilities()
	return err != nil || c.effective&(1<<unix.CAP_NET_ADMIN) != 0
}

// explain says what to do about an L2TP fault.
func explain(err error) error {
	switch {
	case !privileged():
		return errors.New("no CAP_NET_ADMIN: run it as root, or give it that capability (and CAP_NET_BIND_SERVICE for ports below 1024)")
	case errors.Is(err, l2tp.ErrNoL2TP), errors.Is(err, l2tp.ErrNoEthernet):
		return fmt.Errorf("%w: install it (OpenWrt: kmod-l2tp and kmod-l2tp-eth; Fedora, RHEL: kernel-modules-extra, and take "+
			"l2tp_netlink and l2tp_eth off the blacklists in /etc/modprobe.d; Debian has it in the kernel package), "+
			"or run it on a host instead of in a container", err)
	}
	return err
}

// sweep removes tunnels in the ID ranges of this daemon that belong to no
// process. One that belongs to somebody is left alone; its ID will be found
// taken and set aside.
func (k *kernel) sweep(d *Daemon) error {
	all, err := k.l2tp.Tunnels()
	if err != nil {
		return err
	}
	var mine []l2tp.TunnelInfo
	for _, t := range all {
		for _, s := range d.sections {
			if s == nil {
				continue
			}
			if first := s.config.TunnelIDBase; t.ID >= first && t.ID < first+uint32(s.config.MaxTunnels) && d.ports.get(t.ID) == nil {
				mine = append(mine, t)
			}
		}
	}
	if len(mine) == 0 {
		return nil
	}
	owners, err := l2tp.Owners(mine)
	if err != nil {
		d.log.Warn("tunnels in the ID range are left alone: can't tell whose they are", "count", len(mine), "error", err)
		return nil
	}
	for i, t := range mine {
		if owners[i] < 0 {
			d.log.Warn("a tunnel in the ID range is not over UDP, and not ours: it is left alone", "tunnel", t.ID)
			continue
		}
		if owners[i] > 0 {
			d.log.Warn("a tunnel in the ID range belongs to another process", "tunnel", t.ID, "pid", owners[i])
			continue
		}
		if err := k.l2tp.DeleteTunnel(t.ID); err != nil && !errors.Is(err, unix.ENODEV) {
			return err
		}
		d.log.Info("removed a tunnel that belonged to nobody", "tunnel", t.ID)
	}
	return nil
}
