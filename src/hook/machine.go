package hook

import (
	"encoding/binary"
	"runtime"

	"golang.org/x/sys/unix"

	"tunneldigger/src/files"
	"tunneldigger/src/phrase"
)

// machines are what ELF calls our processor and its larger or smaller brother (e_machine of elf(5)): a program of ours may run on the
// larger one's kernel, and that one runs both. None: it is not known.
func machines() []uint16 {
	switch runtime.GOARCH {
	case "386", "amd64":
		return []uint16{3, 62}
	case "arm", "arm64":
		return []uint16{40, 183}
	case "mips", "mipsle", "mips64", "mips64le":
		return []uint16{8}
	case "riscv64":
		return []uint16{243}
	}
	return nil
}

// Ours, as ELF's head has it.
const (
	wideELF = 2 // EI_CLASS
	bigELF  = 2 // EI_DATA
)

var wide = ^uint(0)>>63 == 1 // this program's words have 64 bits

// machine reports whether a program is for another processor, or for another system.
func machine(path string, head []byte) error {
	if len(head) < 20 {
		return phrase.Errorf("%s is only the beginning of a program", path)
	}
	ours := len(machines()) == 0
	for _, m := range machines() {
		ours = ours || m == binary.NativeEndian.Uint16(head[18:])
	}
	big := binary.NativeEndian.Uint16([]byte{0, 1}) == 1
	if !ours || big != (head[5] == bigELF) {
		return phrase.Errorf("%s is a program for another processor than this machine's (%s)", path, runtime.GOARCH)
	}
	if wide != (head[4] == wideELF) {
		return nil
	}
	if loader := loader(path); loader != "" {
		if _, err := files.Stat(loader); err != nil {
			return phrase.Errorf("%s is a program for another system: its loader %s is not there", path, loader)
		}
	}
	return nil
}

// loader is the dynamic loader that a program of our kind names (PT_INTERP of elf(5)), "" for one that needs none.
func loader(path string) string {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return ""
	}
	defer unix.Close(fd)
	read := func(b []byte, at int64) bool {
		n, err := unix.Pread(fd, b, at)
		return err == nil && n == len(b)
	}
	number := func(b []byte) int64 { // an address or size
		if wide {
			return int64(binary.NativeEndian.Uint64(b))
		}
		return int64(binary.NativeEndian.Uint32(b))
	}
	headers, sizes, offset, length, head, part := 28, 42, 4, 16, 52, 32
	if wide {
		headers, sizes, offset, length, head, part = 32, 54, 8, 32, 64, 56
	}
	const interpreter = 3
	var buffer [64]byte
	if !read(buffer[:head], 0) {
		return ""
	}
	at, count := number(buffer[headers:]), binary.NativeEndian.Uint16(buffer[sizes+2:])
	for i := range min(count, 64) {
		if !read(buffer[:part], at+int64(i)*int64(part)) {
			return ""
		}
		if binary.NativeEndian.Uint32(buffer[:]) == interpreter {
			name := make([]byte, min(max(number(buffer[length:]), 1), 256)-1) // without the 0 at its end
			if !read(name, number(buffer[offset:])) {
				return ""
			}
			return string(name)
		}
	}
	return ""
}
