package resources

import "golang.org/x/sys/unix"

// widest is how many descriptors the table is made for in advance; they take 32 kB
// of the kernel's memory.
const widest = 4096

// Shares are the shares of sections that want so many tunnels each, 1 at least, of what RaiseFiles gives for
// all of them.
func Shares(wanted []int, others int) (most []int, files, all int, limit uint64) {
	for _, n := range wanted {
		all += n
	}
	files, limit = RaiseFiles(all, others)
	for _, n := range wanted {
		most = append(most, share(files, n, all))
	}
	return most, files, all, limit
}

// share is that of a section that wants some of all that are wanted.
func share(available, some, wanted int) int {
	return max(1, int(int64(some)*int64(available)/int64(wanted))) // an int of 32 bits does not hold the product
}

// RaiseFiles lets the process have a descriptor for each of so many tunnels, and others
// beside them. It tells for how many tunnels the process has them, 1 at least, so that new
// clients are refused before they run out; limit is how many it may have in all.
func RaiseFiles(tunnels, others int) (files int, limit uint64) {
	var now unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &now); err != nil {
		return tunnels, 0
	}
	if want := uint64(tunnels + others); now.Cur < want {
		// As many as there can be tunnels, for sections that come later: then it
		// can't be raised any more.
		raised := unix.Rlimit{Cur: want, Max: max(now.Max, want, 1<<16+uint64(others))}
		if unix.Setrlimit(unix.RLIMIT_NOFILE, &raised) != nil {
			raised = unix.Rlimit{Cur: min(want, now.Max), Max: now.Max}
			_ = unix.Setrlimit(unix.RLIMIT_NOFILE, &raised)
		}
		_ = unix.Getrlimit(unix.RLIMIT_NOFILE, &now)
	}
	most := int(min(now.Cur, 1<<20))
	widen(min(most, tunnels+others))
	return max(1, min(most-others, tunnels)), now.Cur
}

// widen has the table of descriptors grow now. Each time that it doubles, in a
// process with threads, the kernel waits for all processors to have passed a
// point of rest (expand_fdtable in fs/file.c): 10 ms and more, in which
// clients would wait.
func widen(files int) {
	one, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC) // which needs no file system
	if err != nil {
		return
	}
	defer unix.Close(one)
	if fd, err := unix.FcntlInt(uintptr(one), unix.F_DUPFD_CLOEXEC, min(files, widest)-1); err == nil {
		_ = unix.Close(fd)
	}
}
