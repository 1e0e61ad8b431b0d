package web

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"syscall"
)

// DefaultListen is where the page is when nobody says otherwise: this machine alone can reach it.
var DefaultListen = []string{"127.0.0.1:9142", "[::1]:9142"}

// Listen opens the sockets that systemd has handed to this process, if it has; else those at the addresses. By default, with
// none given, a machine without IPv6 or IPv4 gets the other one.
func Listen(addresses []string) ([]net.Listener, error) {
	if handed, err := inherited(); len(handed) > 0 || err != nil {
		return handed, err
	}
	strict := len(addresses) > 0
	if !strict {
		addresses = DefaultListen
	}
	var all []net.Listener
	var faults []error
	for _, at := range addresses {
		l, err := net.Listen("tcp", at)
		if err != nil {
			faults = append(faults, advise(at, err))
			continue
		}
		all = append(all, l)
	}
	if len(faults) > 0 && (strict || len(all) == 0) {
		for _, l := range all {
			_ = l.Close()
		}
		return nil, errors.Join(faults...)
	}
	return all, nil
}

func advise(at string, err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("listen on %s: another program has it: --listen ADDRESS:PORT chooses another", at)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("listen on %s: %w: ports below 1024 take CAP_NET_BIND_SERVICE", at, err)
	}
	return fmt.Errorf("listen on %s: %w", at, err)
}

// inherited are the sockets of sd_listen_fds(3).
func inherited() ([]net.Listener, error) {
	if pid, err := strconv.Atoi(os.Getenv("LISTEN_PID")); err != nil || pid != os.Getpid() {
		return nil, nil
	}
	n, err := strconv.Atoi(os.Getenv("LISTEN_FDS"))
	if err != nil || n < 0 || n > 64 {
		return nil, fmt.Errorf("LISTEN_FDS is %q, want a number from 0 to 64", os.Getenv("LISTEN_FDS"))
	}
	var all []net.Listener
	for fd := 3; fd < 3+n; fd++ {
		f := os.NewFile(uintptr(fd), "socket of systemd")
		l, err := net.FileListener(f)
		_ = f.Close()
		if err != nil {
			return nil, fmt.Errorf("descriptor %d of systemd: %w", fd, err)
		}
		all = append(all, l)
	}
	return all, nil
}
