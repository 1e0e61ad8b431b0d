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
	if err != nil || n < slotHead {
		return nil
	}
	length := int(binary.BigEndian.Uint16(slot))
	if length == 0 || length > n-slotHead {
		return nil
	}
	record := slot[slotHead : slotHead+length]
	if checksum(record) != binary.BigEndian.Uint32(slot[2:]) {
		return nil
	}
	return bytes.Clone(record)
}

func checksum(b []byte) uint32 {
	h := fnv.New32a()
	_, _ = h.Write(b)
	return h.Sum32()
}
