package hook

import (
	"encoding/binary"
	"fmt"
	"os"
	"runtime"
)

// What ELF calls the processors that Go builds for (e_machine of elf(5)), and which others such a kernel runs, too.
var machines = map[string][]uint16{
	"386": {3}, "amd64": {62, 3}, "arm": {40}, "arm64": {183, 40}, "mips": {8}, "mipsle": {8}, "mips64": {8}, "mips64le": {8},
	"riscv64": {243}, "ppc64": {21, 20}, "ppc64le": {21}, "s390x": {22}, "loong64": {258},
}

// machine tells whether a program is for another processor, or for another system. A 32-bit program of ours may run on a 64-bit kernel:
// so what the larger brother of our processor would run is not objected to.
func machine(path string, head []byte) error {
	if len(head) < 20 {
		return fmt.Errorf("%s is only the beginning of a program", path)
	}
	var order binary.ByteOrder = binary.LittleEndian
	if head[5] == 2 {
		order = binary.BigEndian
	}
	wide := map[string]string{"386": "amd64", "arm": "arm64"}[runtime.GOARCH]
	known := append(machines[runtime.GOARCH], machines[wide]...)
	ours := len(known) == 0
	for _, m := range known {
		ours = ours || m == order.Uint16(head[18:])
	}
	if big := binary.NativeEndian.Uint16([]byte{0, 1}) == 1; !ours || big != (head[5] == 2) {
		return fmt.Errorf("%s is a program for another processor than this machine's (%s)", path, runtime.GOARCH)
	}
	if loader := loader(path, order, head[4] == 2); loader != "" {
		if _, err := os.Stat(loader); err != nil {
			return fmt.Errorf("%s is a program for another system: its loader %s is not there", path, loader)
		}
	}
	return nil
}

// loader is the dynamic loader that a program names (PT_INTERP of elf(5)), "" for one that needs none.
func loader(path string, order binary.ByteOrder, wide bool) string {
	file, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer file.Close()
	var head [64]byte
	if _, err := file.ReadAt(head[:52], 0); err != nil {
		return ""
	}
	_, _ = file.ReadAt(head[52:], 52)
	at, size, count := int64(order.Uint32(head[28:])), int64(order.Uint16(head[42:])), int64(order.Uint16(head[44:]))
	if wide {
		at, size, count = int64(order.Uint64(head[32:])), int64(order.Uint16(head[54:])), int64(order.Uint16(head[56:]))
	}
	const interpreter = 3
	var part [56]byte
	for i := range min(count, 64) {
		if n, _ := file.ReadAt(part[:], at+i*size); n < 32 || order.Uint32(part[:]) != interpreter {
			continue
		}
		begin, length := int64(order.Uint32(part[4:])), int64(order.Uint32(part[16:]))
		if wide {
			begin, length = int64(order.Uint64(part[8:])), int64(order.Uint64(part[32:]))
		}
		name := make([]byte, min(max(length, 1), 256)-1) // without the 0 at its end
		if _, err := file.ReadAt(name, begin); err != nil {
			return ""
		}
		return string(name)
	}
	return ""
}
