package survive

import (
	"io"
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"tunneldigger/src/phrase"
)

// stateEnv names the descriptor that has the state of the program before.
const stateEnv = "TUNNELDIGGER_STATE"

// maxState bounds what is read as a state: 65535 tunnels take 15 MB.
const maxState = 64 << 20

// CheckSize is an error for a state that is larger than any program takes.
func CheckSize(size int64) error {
	if size > maxState {
		return phrase.Errorf("the state has %d bytes, at most %d are taken: restart the broker instead", size, maxState)
	}
	return nil
}

// Inherited gives the state that the program before has left to this one, nil if
// there was none, and forgets about it.
func Inherited() ([]byte, error) {
	text := os.Getenv(stateEnv)
	if text == "" {
		return nil, nil
	}
	_ = os.Unsetenv(stateEnv)
	fd, err := strconv.Atoi(text)
	if err != nil {
		return nil, phrase.Errorf("%s: %w", stateEnv, err)
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, phrase.Errorf("look at the state: %w", err)
	}
	if err := CheckSize(st.Size); err != nil {
		return nil, err
	}
	state := make([]byte, st.Size)
	for n := 0; n < len(state); {
		m, err := unix.Pread(fd, state[n:], int64(n))
		if err == nil && m == 0 {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return nil, phrase.Errorf("read the state: %w", err)
		}
		n += m
	}
	return state, nil
}

// Exec puts another program into the place of this one, with the same words on its
// command line: it finds the state by Inherited, and open the descriptors of files.
// It comes back only when that fails, and then all is as before.
func Exec(program string, state []byte, files []int) error {
	fd, err := memory("tunneldigger", state)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	files = append(files, fd)
	for _, fd := range files {
		_, _ = unix.FcntlInt(uintptr(fd), unix.F_SETFD, 0)
	}
	err = syscall.Exec(program, os.Args, append(os.Environ(), stateEnv+"="+strconv.Itoa(fd)))
	for _, fd := range files {
		unix.CloseOnExec(fd)
	}
	return phrase.Errorf("exec: %w", err)
}

// memory makes a file in memory that is closed on exec.
func memory(name string, content []byte) (fd int, err error) {
	fd, err = unix.MemfdCreate(name, unix.MFD_CLOEXEC)
	if err != nil {
		return -1, phrase.Errorf("memfd_create: %w", err)
	}
	for n := 0; n < len(content) && err == nil; {
		var m int
		m, err = unix.Pwrite(fd, content[n:], int64(n))
		n += m
		if err == unix.EINTR {
			err = nil
		}
	}
	if err != nil {
		unix.Close(fd)
		return -1, phrase.Errorf("write the state: %w", err)
	}
	return fd, nil
}
