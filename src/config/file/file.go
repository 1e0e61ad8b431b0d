// Package file reads a broker's configuration from the disk: OpenWrt's UCI file, or
// the INI file of the Python broker. What is in them is for config/uci and
// config/classic to understand.
package file

import (
	"errors"
	"io/fs"
	"path/filepath"

	"tunneldigger/src/config"
	"tunneldigger/src/config/classic"
	"tunneldigger/src/config/uci"
	"tunneldigger/src/files"
	"tunneldigger/src/phrase"
)

const (
	// Name is what [UCI] looks for in its folder.
	Name = "tunneldigger-broker"
	// MaxSize is the largest file that is taken, in bytes. A full configuration has
	// a few thousand.
	MaxSize = 1 << 20
)

// UCI reads dir/tunneldigger-broker, see [config.Build] for what it returns. The
// error is of type [config.Faults] where the file could be read.
func UCI(dir string) (*config.Config, error) {
	path := dir + "/" + Name
	text, err := read(path, "write it, say with -c DIR where it is, or give a classic FILE.cfg")
	if err != nil {
		return nil, err
	}
	return uci.Parse(path, text)
}

// Classic reads an l2tp_broker.cfg as UCI does its file.
func Classic(path string) (*config.Config, error) {
	text, err := read(path, "give the path of an l2tp_broker.cfg, or none for /etc/config/"+Name)
	if err != nil {
		return nil, err
	}
	whole, err := files.Absolute(path)
	if err != nil {
		return nil, phrase.Errorf("reading the configuration: %w", err)
	}
	return classic.Parse(path, filepath.Dir(whole), text)
}

// read reads a whole file; advice is what to do where there is none.
func read(path, advice string) (string, error) {
	text, err := files.ReadUpTo(path, MaxSize+1)
	if errors.Is(err, fs.ErrNotExist) {
		return "", phrase.Errorf("reading the configuration: %w: %s", err, advice)
	}
	if err != nil {
		return "", phrase.Errorf("reading the configuration: %w", err)
	}
	if len(text) > MaxSize {
		return "", phrase.Errorf("reading the configuration %s: larger than %d bytes", path, MaxSize)
	}
	return text, nil
}
