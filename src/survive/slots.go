package survive

import (
	"bytes"
	"encoding/binary"
	"hash/fnv"

	"golang.org/x/sys/unix"
)

const (
	slotSize = 512 // bytes for a record
	slotHead = 6   // length and checksum before it
)

// slots is a file of records: that of the process at 0, that of a tunnel at its ID.
// It is the descriptor; -1: there is no file.
type slots int

// write puts a record into its place, nil empties it; it reports whether the record is
// there, which it is not if it is too long.
func (f slots) write(id uint32, record []byte) bool {
	slot := make([]byte, slotHead, slotSize)
	fits := len(record) <= slotSize-slotHead
	if fits && len(record) > 0 {
		binary.BigEndian.PutUint16(slot, uint16(len(record)))
		binary.BigEndian.PutUint32(slot[2:], checksum(record))
		slot = append(slot, record...)
	}
	n, err := unix.Pwrite(int(f), slot, int64(id)*slotSize)
	return fits && err == nil && n == len(slot)
}

// read gives a record that is whole, else nothing.
func (f slots) read(id uint32) []byte {
	slot := make([]byte, slotSize)
	n, err := unix.Pread(int(f), slot, int64(id)*slotSize)
	if err != nil {
		return nil
	}
	record, _ := whole(slot[:n])
	return record
}

// each reads all records but the first: nil is one that is not whole.
func (f slots) each(found func(id uint32, record []byte)) {
	chunk := make([]byte, 128*slotSize)
	for id := uint32(0); ; id += 128 {
		n, err := unix.Pread(int(f), chunk, int64(id)*slotSize)
		if err != nil || n <= 0 {
			return
		}
		for at := 0; at < n; at += slotSize {
			record, there := whole(chunk[at:min(at+slotSize, n)])
			if there && (id > 0 || at > 0) {
				found(id+uint32(at/slotSize), bytes.Clone(record))
			}
		}
	}
}

// whole gives the record of a slot, nil if it is not as it was written; there: the
// slot was not empty.
func whole(slot []byte) (record []byte, there bool) {
	if len(slot) < slotHead {
		return nil, len(slot) > 0
	}
	length := int(binary.BigEndian.Uint16(slot))
	switch {
	case length == 0:
		return nil, binary.BigEndian.Uint32(slot[2:]) != 0
	case length > len(slot)-slotHead:
		return nil, true
	}
	record = slot[slotHead : slotHead+length]
	if checksum(record) != binary.BigEndian.Uint32(slot[2:]) {
		return nil, true
	}
	return record, true
}

// empty reports whether nothing was ever written.
func (f slots) empty() bool {
	var st unix.Stat_t
	return unix.Fstat(int(f), &st) == nil && st.Size == 0
}

func checksum(b []byte) uint32 {
	h := fnv.New32a()
	_, _ = h.Write(b)
	return h.Sum32()
}
