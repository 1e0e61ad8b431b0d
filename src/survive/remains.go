package survive

import "golang.org/x/sys/unix"

// Remains are the tunnels that a process has left which ended without a word, each with an ID of
// its own. Those with a descriptor can be adopted, and the others made again, by the sections that
// they were of.
type Remains []Left

// fate is what becomes of one.
type fate uint8

const (
	unasked fate = iota // no section has asked for it
	asked               // one has, and makes it again
	ended               // Left.why
	kept                // it had a descriptor
)

// Kept is how many were taken: they stand as they did.
func (r Remains) Kept() (n int) {
	for i := range r {
		if r[i].fate == kept {
			n++
		}
	}
	return n
}

// Adoptable are the records of a section's tunnels that have a descriptor.
func (r Remains) Adoptable(section string) (records [][]byte) {
	for i := range r {
		if l := &r[i]; l.FD >= 0 && l.Section == section {
			records = append(records, l.Record)
		}
	}
	return records
}

// Take takes out the descriptor of a tunnel, which is the caller's from here on. It is -1 unless
// that is a socket, as the kernel's tunnels live by, or a device, whichever is wanted: then the tunnel
// ends.
func (r Remains) Take(id uint32, socket bool) (fd int) {
	for i := range r {
		if l := &r[i]; l.ID == id && l.FD >= 0 {
			if _, err := unix.GetsockoptInt(l.FD, unix.SOL_SOCKET, unix.SO_TYPE); (err == nil) != socket {
				l.fate, l.why = ended, LostMisfit
				break
			}
			fd, l.FD, l.fate = l.FD, -1, kept
			return fd
		}
	}
	return -1
}

// Close closes the descriptors that nobody has taken, and has systemd close its copies: those
// tunnels have gone with the process, as the others.
func (r Remains) Close(st *Store) {
	for i := range r {
		if l := &r[i]; l.FD >= 0 {
			st.Release(l.ID)
			_ = unix.Close(l.FD)
			l.FD = -1
		}
	}
}

// Records are those of a section's tunnels that went with the process.
func (r Remains) Records(section string) (records [][]byte) {
	for i := range r {
		if l := &r[i]; l.fate == unasked && l.Record != nil && l.Section == section {
			records, l.fate = append(records, l.Record), asked
		}
	}
	return records
}

// Lose says why some of them end all the same.
func (r Remains) Lose(ids []uint32, why Loss) {
	for _, id := range ids {
		for i := range r {
			if r[i].ID == id {
				r[i].fate, r[i].why = ended, why
			}
		}
	}
}

// Forget has the store forget those that end: lost counts them, by why they do.
func (r Remains) Forget(st *Store) (lost [LossCount]int) {
	for i := range r {
		l := &r[i]
		switch {
		case l.fate == unasked && l.Record == nil:
			l.why = LostDamaged
		case l.fate == unasked:
			l.why = LostSection
		case l.fate != ended:
			continue
		}
		st.Drop(l.ID)
		lost[l.why]++
	}
	return lost
}
