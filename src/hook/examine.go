package hook

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"tunneldigger/src/files"
	"tunneldigger/src/phrase"
)

// ErrRights is in the errors of Examine that are not the program's fault: who has all of root's rights, or is its owner, can run it.
var ErrRights = errors.New("the rights do not suffice")

// rightsError is a fault that is an ErrRights.
type rightsError string

func (e rightsError) Error() string        { return string(e) }
func (e rightsError) Is(target error) bool { return target == ErrRights }

func lacking(format string, args ...any) error { return rightsError(phrase.Sprintf(format, args...)) }

// Examine tells why this process could not run a program as a hook, in words that say what to do; nil: nothing is known to be in the way.
// It judges without root's power over other users' files, which the running broker does not have either: what only that would help
// gives an error with ErrRights. The program is not run.
func Examine(path string) error {
	var fault error
	plainly(func() { fault = examine(path, 0) })
	return fault
}

// ExamineDirectory is Examine for every program of a hook directory. A directory that is not there has none: it may come with the first
// of them.
func ExamineDirectory(path string) (faults []error) {
	plainly(func() {
		programs, err := within(path)
		if errors.Is(err, fs.ErrPermission) {
			if err = reachable(path); err == nil {
				err = lacking("the folder %s may not be read by user %d", path, os.Geteuid())
			}
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			faults = append(faults, err)
		}
		for _, p := range programs {
			if err := examine(p, 0); err != nil {
				faults = append(faults, err)
			}
		}
	})
	return faults
}

// plainly has f called by a thread without root's power over files.
func plainly(f func()) {
	const power = 1<<unix.CAP_DAC_OVERRIDE | 1<<unix.CAP_DAC_READ_SEARCH
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var now [2]unix.CapUserData
	if unix.Capget(&header, &now[0]) == nil && now[0].Effective&power != 0 {
		less := now
		less[0].Effective &^= power
		if unix.Capset(&header, &less[0]) == nil {
			defer unix.Capset(&header, &now[0])
		}
	}
	f()
}

// examine is Examine for a program, or, with a depth above 0, for the interpreter of one.
func examine(path string, depth int) error {
	if err := reachable(path); err != nil {
		return err
	}
	info, err := files.Stat(path)
	switch {
	case err != nil:
		return closed(path, err)
	case info.IsFolder():
		return phrase.Errorf("%s is a folder: want a program", path)
	case !info.IsFile():
		return phrase.Errorf("%s is no file: want a program", path)
	case info.Permissions()&0o111 == 0:
		return phrase.Errorf("%s is not executable: make it so with chmod +x", path)
	case noexec(path): // for which access(2) has the same word as for a mode
		return phrase.Errorf("%s is on a file system that is mounted with noexec: put it elsewhere", path)
	case denied(path, unix.X_OK):
		return lacking("%s may not be run by user %d (%s)", path, os.Geteuid(), permissions(info))
	}
	head, err := files.ReadUpTo(path, 256) // as much as the kernel looks at
	switch {
	case errors.Is(err, fs.ErrPermission): // a program need not be readable
		return nil
	case err != nil:
		return err
	case head == "":
		return phrase.Errorf("%s is empty: want a program", path)
	}
	return content(path, []byte(head), depth)
}

// reachable goes along the folders of a path, as the kernel does: where there is a link to a folder, ".." after it is not the one that the link is in.
func reachable(path string) error {
	for i := range path {
		if i == 0 || path[i] != '/' {
			continue
		}
		folder := path[:i]
		info, err := files.Stat(folder)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return missing(folder, "folder")
		case err != nil:
			return closed(folder, err)
		case !info.IsFolder():
			return phrase.Errorf("%s is no folder", folder)
		case denied(folder, unix.X_OK):
			return lacking("the folder %s may not be entered by user %d (%s): let others in with chmod o+x %s, or put the program elsewhere",
				folder, os.Geteuid(), permissions(info), folder)
		}
	}
	if _, err := files.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return missing(path, "file")
	}
	return nil
}

// closed is the error of something that can't be looked at: most likely a link into a folder that may not be entered.
func closed(path string, err error) error {
	if errors.Is(err, fs.ErrPermission) {
		to, _ := os.Readlink(path)
		return lacking("%s, a link to %s, may not be reached by user %d", path, to, os.Geteuid())
	}
	return phrase.Errorf("%s: %w", path, errors.Unwrap(err))
}

func missing(path, what string) error {
	if to, err := os.Readlink(path); err == nil {
		return phrase.Errorf("%s is a link to %s, which is not there", path, to)
	}
	return phrase.Errorf("there is no %s %s", what, path)
}

// denied reports whether the kernel refuses this thread an access; what it can't tell is not denied.
func denied(path string, mode uint32) bool {
	err := unix.Faccessat(unix.AT_FDCWD, path, mode, unix.AT_EACCESS)
	return err == unix.EACCES
}

func noexec(path string) bool {
	var system unix.Statfs_t
	return unix.Statfs(path, &system) == nil && system.Flags&unix.ST_NOEXEC != 0
}

// permissions says who may do what, and whose it is.
func permissions(info files.Info) string {
	mode := strconv.FormatUint(0o10000|uint64(info.Permissions()), 8)[1:] // four digits
	return phrase.Sprintf("mode %s, of user %d, group %d", mode, info.Uid, info.Gid)
}

// content looks at what a program begins with.
func content(path string, head []byte, depth int) error {
	switch {
	case bytes.HasPrefix(head, []byte("\x7fELF")):
		return machine(path, head)
	case !bytes.HasPrefix(head, []byte("#!")):
		return phrase.Errorf("%s is neither a program nor a script: begin a script with #!/bin/sh", path)
	}
	line, _, whole := bytes.Cut(head[2:], []byte{'\n'})
	words := strings.Fields(string(line))
	switch {
	case len(words) == 0:
		return phrase.Errorf("%s: its first line names no interpreter: begin it with #!/bin/sh", path)
	case depth > 4 || !whole && len(head) == 256 && len(words) == 1: // so says the kernel, too
		return nil
	case bytes.HasSuffix(line, []byte{'\r'}):
		return phrase.Errorf("%s: its lines end as on DOS, so that its interpreter would be %q: save it with Unix line ends", path, words[0]+"\r")
	}
	if err := examine(words[0], depth+1); err != nil {
		return phrase.Errorf("%s: its interpreter can't run: %w", path, err)
	}
	return nil
}
