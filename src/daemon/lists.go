package daemon

import (
	"errors"
	"io/fs"
	"time"

	"golang.org/x/sys/unix"

	"tunneldigger/src/admission"
	"tunneldigger/src/config"
	"tunneldigger/src/poll"
	"tunneldigger/src/watch"
)

const (
	listQuiet  = 300 * time.Millisecond // without a change, before a list is read
	listSoon   = time.Second            // after the first change it is read, quiet or not
	listLook   = 30 * time.Second       // between two looks at files that inotify may not tell of
	listFaults = 5                      // that are said of one file
)

// lists are the allow and deny lists of all sections, each file read once however
// many sections have it.
//
// A list that can't be read or has a fault leaves the last good one in force.
// Where there is none yet, an allow list lets nobody in, and a deny list keeps
// nobody out: neither opens the door to those who should not come, nor shuts a
// gateway because of a file that names a few.
type lists struct {
	watcher *watch.Watcher // nil: no inotify, files are looked at now and then
	files   map[string]*listFile
	paths   []string
	first   time.Duration // when something changed that has not been read
	due     time.Duration // when it is read, 0: nothing has changed
	look    time.Duration // when files are to be looked at again
	results chan *listRead
}

// listFile is one file of a list.
type listFile struct {
	path    string
	list    *admission.List // the last good one, nil: none
	said    string          // what was said of it last
	stamp   listStamp       // of what was read
	seen    listStamp       // at the last look
	changed bool
	reading bool
}

// followLists reads and watches the lists that the sections have now, and puts
// them into force. Those that were read before are not read again.
func (d *Daemon) followLists() {
	l := &d.lists
	old := l.files
	l.files, l.paths = make(map[string]*listFile), nil
	for _, s := range d.sections {
		if s == nil {
			continue
		}
		for _, path := range []string{s.config.AllowList, s.config.DenyList} {
			if path == "" || l.files[path] != nil {
				continue
			}
			f := old[path]
			if f == nil {
				f = &listFile{path: path}
			}
			l.files[path] = f
			l.paths = append(l.paths, path)
		}
	}
	d.watchLists()
	// After the watch has begun, so that no change falls between.
	for _, path := range l.paths {
		if old[path] == nil {
			d.takeList(readList(l.files[path]))
		}
	}
	for _, s := range d.sections {
		if s != nil {
			d.enforce(s)
		}
	}
}

// watchLists sets inotify on the files that there are, and when to look again.
func (d *Daemon) watchLists() {
	l := &d.lists
	l.look = d.now + listLook
	if len(l.paths) == 0 {
		l.look = 0
	}
	if l.watcher == nil && l.results == nil && len(l.paths) > 0 {
		l.results = make(chan *listRead, 1)
		w, err := watch.New()
		if err == nil {
			if err = d.poller.Add(w.FD(), tokenLists, poll.Read); err != nil {
				_ = w.Close()
			}
		}
		if err != nil {
			d.log.Warn("changes of lists are seen late", "error", err)
			return
		}
		l.watcher = w
	}
	if l.watcher != nil {
		if err := l.watcher.Set(l.paths); err != nil && d.quiet.allow(d.now, "lists") {
			d.log.Warn("changes of lists are seen late", "error", err)
		}
	}
}

func (d *Daemon) closeLists() {
	if d.lists.watcher != nil {
		_ = d.lists.watcher.Close()
	}
}

// listsChanged takes in what inotify tells.
func (d *Daemon) listsChanged() {
	err := d.lists.watcher.Read(func(path string) {
		if f := d.lists.files[path]; f != nil {
			d.listChanged(f)
		}
	})
	if err != nil && d.quiet.allow(d.now, "lists") {
		d.log.Error("can't watch lists", "error", err)
	}
}

// listChanged has a file read when nothing more happens to it for a moment:
// programs change files in several steps, and half a list is none.
func (d *Daemon) listChanged(f *listFile) {
	l := &d.lists
	f.changed = true
	if l.due == 0 {
		l.first = d.now
	}
	l.due = min(d.now+listQuiet, l.first+listSoon)
}

// next is when tickLists is to be called, false: no need to.
func (l *lists) next() (time.Duration, bool) {
	if l.due != 0 && (l.look == 0 || l.due < l.look) {
		return l.due, true
	}
	return l.look, l.look != 0
}

func (d *Daemon) tickLists() {
	l := &d.lists
	if l.look != 0 && d.now >= l.look {
		d.lookAtLists()
	}
	if l.due == 0 || d.now < l.due {
		return
	}
	l.due = 0
	for _, path := range l.paths {
		f := l.files[path]
		if !f.changed || f.reading {
			continue
		}
		// Beside the loop: a long list takes its time.
		f.changed, f.reading = false, true
		go func() {
			l.results <- readList(f)
			d.wake.Notify()
		}()
	}
}

// lookAtLists finds changes that inotify does not tell of: behind links, on
// network file systems, in folders that have come since. What has changed must
// have stayed so for one look, or it may be half written.
func (d *Daemon) lookAtLists() {
	d.watchLists()
	for _, f := range d.lists.files {
		var st unix.Stat_t
		now := listStamp{}
		if unix.Stat(f.path, &st) == nil {
			now = stampOf(&st)
		}
		if now != f.stamp && now == f.seen {
			d.listChanged(f)
		}
		f.seen = now
	}
}

// collectLists puts into force what has been read.
func (d *Daemon) collectLists() {
	for {
		select {
		case r := <-d.lists.results:
			f := r.file
			f.reading = false
			if f.changed {
				d.listChanged(f)
			}
			if d.lists.files[f.path] != f || !d.takeList(r) {
				continue
			}
			for _, s := range d.sections {
				if s != nil && (s.config.AllowList == f.path || s.config.DenyList == f.path) {
					d.enforce(s)
				}
			}
		default:
			return
		}
	}
}

// enforce puts the lists of a section into force.
func (d *Daemon) enforce(s *section) {
	var allow, deny *admission.List
	if f := d.lists.files[s.config.AllowList]; f != nil {
		if allow = f.list; allow == nil {
			allow = new(admission.List) // nobody
		}
	}
	if f := d.lists.files[s.config.DenyList]; f != nil {
		deny = f.list
	}
	if s.core == nil {
		return
	}
	d.effects = s.core.SetLists(d.now, allow, deny, d.effects[:0])
	d.carryOut(s)
	d.settle()
}

// takeList keeps what was read, if it is good, and says so; false: it is not.
func (d *Daemon) takeList(r *listRead) bool {
	f := r.file
	f.stamp = r.stamp
	if r.err == nil {
		f.list, f.said = r.list, ""
		d.log.Info("list read", "file", f.path, "entries", r.list.Lines(), "took", r.took.Round(time.Millisecond/10))
		return true
	}
	if text := r.err.Error(); text != f.said {
		f.said = text
		until := "the list before it stays in force"
		if f.list == nil {
			until = "there is none yet: as allow_list it lets nobody in, as deny_list it keeps nobody out"
		}
		if errors.Is(r.err, fs.ErrNotExist) { // it may still come
			d.log.Warn("a list is not there", "file", f.path, "so", until)
			return false
		}
		for i, fault := range faultsOf(r.err) {
			if i == listFaults {
				break
			}
			d.log.Error("a list is wrong", "error", fault)
		}
		d.log.Error("a list is not taken", "file", f.path, "so", until)
	}
	return false
}

func faultsOf(err error) []error {
	if several, ok := err.(interface{ Unwrap() []error }); ok {
		return several.Unwrap()
	}
	faults, ok := err.(config.Faults)
	if !ok {
		return []error{err}
	}
	all := make([]error, len(faults))
	for i := range faults {
		all[i] = faults[i]
	}
	return all
}
