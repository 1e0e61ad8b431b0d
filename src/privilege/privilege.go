// Package privilege is what this process may do: which capabilities it has, what it
// gives up, and what the programs that it starts get back all the same.
package privilege

import (
	"errors"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"tunneldigger/src/phrase"
)

// needed are the capabilities of a broker that runs: CAP_NET_ADMIN for tunnels,
// interfaces, their disable_ipv6 below /proc/sys and large receive buffers;
// CAP_NET_BIND_SERVICE since each tunnel has a socket of its own at the broker's
// port. SO_BINDTODEVICE has not needed CAP_NET_RAW since Linux 5.7, unless the
// socket is bound to a device already; the broker needs 5.10.
const needed = 1<<unix.CAP_NET_ADMIN | 1<<unix.CAP_NET_BIND_SERVICE

// secNoRoot is SECBIT_NOROOT of linux/securebits.h: user 0 is nobody special.
const secNoRoot = 1

// capabilities are a thread's sets, a bit for each.
type capabilities struct{ effective, permitted, inheritable uint64 }

// ErrNetwork says that the process may not change the network, which otherwise
// shows in errors that speak of missing modules.
var ErrNetwork = errors.New("no CAP_NET_ADMIN: run it as root, or give it that capability")

// Network reports whether the process may change the network, or that can't be told.
func Network() bool {
	c, err := readCapabilities()
	return err != nil || c.effective&(1<<unix.CAP_NET_ADMIN) != 0
}

// Regains reports whether what this process starts has root's power over other users'
// files, also when the process has given it up: what user 0 starts has all that the
// bounding set leaves, unless the process may not gain anything (capabilities(7)).
func Regains() bool {
	if is, err := rooted(); !is || err != nil {
		return false
	}
	held, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, unix.CAP_DAC_OVERRIDE, 0, 0, 0)
	return err == nil && held == 1
}

// rooted reports whether programs that the process starts get what user 0 gets.
func rooted() (bool, error) {
	bits, err := unix.PrctlRetInt(unix.PR_GET_SECUREBITS, 0, 0, 0, 0)
	if err != nil {
		return false, phrase.Errorf("read the secure bits: %w", err)
	}
	bound, err := unix.PrctlRetInt(unix.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0)
	if err != nil {
		return false, phrase.Errorf("read no_new_privs: %w", err)
	}
	return unix.Geteuid() == 0 && bits&secNoRoot == 0 && bound == 0, nil
}

// Drop gives up, for every thread, what only the start needed. Files
// that belong to others are out of reach from here on.
//
// Hooks have what the broker was started with. What user 0 starts gets whatever
// the bounding set allows, however little the broker keeps; under no_new_privs, and
// for other users, the broker must go on to hold what hooks are to have, but it
// is not in effect. With confine the rest is given up for good, also in the bounding
// set where that is possible, and no_new_privs is set: then hooks can do no more than the
// broker.
func Drop(confine bool) error {
	c, err := readCapabilities()
	if err != nil {
		return err
	}
	regains, err := rooted()
	if err != nil {
		return err
	}
	if confine {
		if err := confineHooks(); err != nil {
			return err
		}
	}
	c.effective &= needed
	if confine || regains {
		c.permitted &= needed
	}
	if confine {
		// Ambient capabilities go with those of this set.
		c.inheritable &= needed
	}
	return c.set()
}

// confineHooks takes out of the bounding set what the broker does not need, as far as
// it may, and has nobody gain anything by running a program.
func confineHooks() error {
	for bit := uintptr(0); ; bit++ {
		held, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, bit, 0, 0, 0)
		if err != nil {
			break // the kernel has no more
		}
		if held == 0 || needed>>bit&1 != 0 {
			continue
		}
		// Without CAP_SETPCAP it is up to who started the broker.
		if err := allThreads(unix.SYS_PRCTL, unix.PR_CAPBSET_DROP, bit, 0); err != nil && !errors.Is(err, unix.EPERM) {
			return phrase.Errorf("drop capability %d: %w", uint64(bit), err)
		}
	}
	if err := allThreads(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0); err != nil {
		return phrase.Errorf("set no_new_privs: %w", err)
	}
	return nil
}

func capHeader() *unix.CapUserHeader {
	return &unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
}

func readCapabilities() (c capabilities, err error) {
	var data [2]unix.CapUserData
	if err := unix.Capget(capHeader(), &data[0]); err != nil {
		return c, phrase.Errorf("read the capabilities: %w", err)
	}
	c.effective = uint64(data[1].Effective)<<32 | uint64(data[0].Effective)
	c.permitted = uint64(data[1].Permitted)<<32 | uint64(data[0].Permitted)
	c.inheritable = uint64(data[1].Inheritable)<<32 | uint64(data[0].Inheritable)
	return c, nil
}

func (c capabilities) set() error {
	header := capHeader()
	data := [2]unix.CapUserData{
		{Effective: uint32(c.effective), Permitted: uint32(c.permitted), Inheritable: uint32(c.inheritable)},
		{Effective: uint32(c.effective >> 32), Permitted: uint32(c.permitted >> 32), Inheritable: uint32(c.inheritable >> 32)},
	}
	err := allThreads(unix.SYS_CAPSET, uintptr(unsafe.Pointer(header)), uintptr(unsafe.Pointer(&data)), 0)
	if err != nil {
		return phrase.Errorf("set the capabilities: %w", err)
	}
	return nil
}

// allThreads makes a system call on every thread: credentials are each thread's
// own.
//
//go:uintptrescapes
func allThreads(call, a, b, c uintptr) error {
	// prctl has five arguments, and wants the last ones to be 0.
	_, _, errno := syscall.AllThreadsSyscall6(call, a, b, c, 0, 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}
