// Package uci reads OpenWrt's /etc/config/tunneldigger-broker.
//
// The file is read by github.com/digineo/go-uci, behind a scanner of our own.
// go-uci refuses a whole file for things that libuci takes (an empty value, a
// quote within a value, CRLF, a package line, a last line without newline),
// understands a backslash otherwise, drops a repeated list value and knows no
// line numbers. So the scanner reads the text as libuci does, finds every
// syntax fault with its line, and hands go-uci a normalised text, in which each
// value is spelled so that it passes unharmed and says where it came from.
// go-uci then does what it is good at: sections of one name are one section, a
// later option replaces an earlier one, list values add up.
package uci

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"tunneldigger/src/config"
)

// Name is the file that [Read] looks for.
const Name = "tunneldigger-broker"

// Read reads dir/tunneldigger-broker. The error is of type [config.Faults]
// where the file can be read but something in it is wrong.
func Read(dir string) (*config.Config, error) {
	path := dir + "/" + Name
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("reading the configuration: %w: write it, say with -c DIR where it is, or give a classic FILE.cfg", err)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the configuration: %w", err)
	}
	defer f.Close()
	text, err := config.ReadAll(f)
	if err != nil {
		return nil, fmt.Errorf("reading the configuration %s: %w", path, err)
	}
	return Parse(path, text)
}

// Parse reads a text as Read does; name stands for the file in messages.
func Parse(name string, text []byte) (*config.Config, error) {
	src, err := source(name, string(text))
	if err != nil {
		return nil, err
	}
	return config.Build(src)
}
