package daemon

import (
	"bytes"
	"encoding/binary"
	"hash/fnv"

	"golang.org/x/sys/unix"
)

const (
	slotSize = 512 // bytes for a tunnel's record in the store's file
	slotHead = 6   // length and checksum before it
)

// write puts a record into its place; false: it is too long, and there is none.
func (st *store) write(id uint32, record []byte) bool {
	slot := make([]byte, slotHead, slotSize)
	fits := len(record) <= slotSize-slotHead
	if fits && len(record) > 0 {
		binary.BigEndian.PutUint16(slot, uint16(len(record)))
		binary.BigEndian.PutUint32(slot[2:], checksum(record))
		slot = append(slot, record...)
	}
	n, err := unix.Pwrite(st.file, slot, int64(id)*slotSize)
	return fits && err == nil && n == len(slot)
}

// read gives a record that is whole, else nothing.
func (st *store) read(id uint32) []byte {
	slot := make([]byte, slotSize)
	n, err := unix.Pread(st.file, slot, int64(id)*slotSize)
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
