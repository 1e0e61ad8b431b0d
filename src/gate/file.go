package gate

import (
	"errors"
	"io/fs"
	"time"

	"golang.org/x/sys/unix"

	"tunneldigger/src/admission"
	"tunneldigger/src/config"
	"tunneldigger/src/files"
	"tunneldigger/src/phrase"
)

// listStamp tells versions of a file apart; zero: there is none.
type listStamp struct {
	dev, ino, size   uint64
	changed, written unix.Timespec
}

// listRead is what came of reading a file.
type listRead struct {
	_     [0]func() // not to be compared: that would be code for nothing
	file  *listFile
	list  *admission.List
	stamp listStamp
	err   error
	took  time.Duration
}

// readList reads a file. It is for any goroutine.
func readList(f *listFile) *listRead {
	r := &listRead{file: f}
	began := time.Now()
	var text []byte
	if text, r.stamp, r.err = readListFile(f.path); r.err == nil {
		r.list, r.err = admission.ParseList(f.path, text)
	}
	r.took = time.Since(began)
	return r
}

// Faults says what is wrong with lists that another configuration has and these have
// not: there would be no good one before them to stay in force.
func (l *Lists) Faults(c *config.Config) (faults []error) {
	for i := range c.Brokers {
		b := &c.Brokers[i]
		for _, path := range []string{b.AllowList, b.DenyList} {
			if path == "" || l.files[path] != nil {
				continue
			}
			if err := CheckList(path); err != nil && (path == b.AllowList || !errors.Is(err, fs.ErrNotExist)) {
				faults = append(faults, phrase.Errorf("broker '%s': %w", b.Name, err))
			}
		}
	}
	return faults
}

// OnDisk is an error when a list that is in force is not on disk any more: who reads it
// from there finds none.
func (l *Lists) OnDisk() error {
	for _, f := range l.files {
		if f.list != nil && f.said != "" {
			return phrase.Errorf("the list %s is in force as it was before it became wrong, and would be lost: mend it first", f.path)
		}
	}
	return nil
}

// CheckList reads a list as the broker does; the error says everything that is
// wrong with it, with the file's name.
func CheckList(path string) error { return readList(&listFile{path: path}).err }

// readListFile reads the file of a list, at most a byte more than a list may have. It does
// not wait for anybody: what is no file is refused.
func readListFile(path string) (text []byte, stamp listStamp, err error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, stamp, phrase.Errorf("%s: %w", path, err)
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, stamp, phrase.Errorf("%s: %w", path, err)
	}
	stamp = stampOf(&st)
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil, stamp, phrase.Errorf("%s: is not a file", path)
	}
	text, err = files.ReadFrom(fd, path, admission.MaxListSize+1)
	return text, stamp, err
}

func stampOf(st *unix.Stat_t) listStamp {
	return listStamp{uint64(st.Dev), uint64(st.Ino), uint64(st.Size), st.Ctim, st.Mtim}
}
