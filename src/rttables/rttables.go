// Package rttables reads the names of routing tables, as iproute2 has them.
package rttables

import (
	"strconv"
	"strings"

	"tunneldigger/src/files"
	"tunneldigger/src/phrase"
)

// Of one name in several files the first counts, as the administrator's go before the distribution's.
var folders = []string{"/etc/iproute2", "/usr/share/iproute2"}

// The kernel's own, which have their names without any file.
var own = map[string]uint32{"default": 253, "main": 254, "local": 255}

// maxFile is how large a file may be, in bytes.
const maxFile = 1 << 20

// Number is the table of a name, or of a number in decimal digits. The error says what to do about a name that no file has.
func Number(name string) (uint32, error) { return number(folders, name) }

func number(folders []string, name string) (uint32, error) {
	if n, err := strconv.ParseUint(name, 10, 32); err == nil && n > 0 {
		return uint32(n), nil
	}
	for _, in := range folders {
		if n, ok := find(in+"/rt_tables", name); ok {
			return n, nil
		}
		tables, _ := files.Names(in + "/rt_tables.d") // which may not be there
		for _, file := range tables {
			if !strings.HasSuffix(file, ".conf") {
				continue
			}
			if n, ok := find(in+"/rt_tables.d/"+file, name); ok {
				return n, nil
			}
		}
	}
	if n, ok := own[name]; ok {
		return n, nil
	}
	return 0, phrase.Errorf("routing table '%s': no file has this name: want a line such as \"100 %s\" in /etc/iproute2/rt_tables, or a number", name, name)
}

// find looks a name up in one file: lines of a number, decimal or hexadecimal, and a name; # begins a comment.
func find(file, name string) (uint32, bool) {
	text, err := files.ReadUpTo(file, maxFile+1)
	if err != nil || len(text) > maxFile {
		return 0, false
	}
	for _, line := range strings.Split(text, "\n") {
		line, _, _ = strings.Cut(line, "#")
		words := strings.Fields(line)
		if len(words) != 2 || words[1] != name {
			continue
		}
		if n, err := strconv.ParseUint(words[0], 0, 32); err == nil && n > 0 {
			return uint32(n), true
		}
	}
	return 0, false
}
