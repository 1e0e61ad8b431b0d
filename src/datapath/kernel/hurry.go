package kernel

import "golang.org/x/sys/unix"

// expedited has the kernel interrupt every processor where it waits for all of them to have passed what they read
// (kernel/ksysfs.c, rcu_expedited; kernels for one processor have nothing to wait for, and no such file).
var expedited = "/sys/kernel/rcu_expedited"

// Hurry has the kernel remove the interfaces of a dead process without such waits, until calm is called. It removes one
// after another, and to take a port out of a bridge it waits for some 25 ms, with the lock that everybody needs who makes an
// interface (nbp_vlan_flush; on Linux 6.1 300 ports took 7.6 s, and with this 0.6 s). All of the kernel's waits are
// short then, and cost every processor something, which is why this is for moments. calm is nil where nothing is to be
// undone: somebody else has wanted it so, or it can't be. ours says that this was wanted by a process of ours, which did not
// live to call calm.
func Hurry(ours bool) (calm func()) {
	fd, err := unix.Open(expedited, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	undo := false
	var was [1]byte
	_, _ = unix.Pread(fd, was[:], 0)
	switch was[0] {
	case '0':
		n, _ := unix.Pwrite(fd, []byte("1"), 0)
		undo = n == 1
	case '1':
		undo = ours
	}
	if !undo {
		unix.Close(fd)
		return nil
	}
	return func() {
		_, _ = unix.Pwrite(fd, []byte("0"), 0)
		unix.Close(fd)
	}
}
