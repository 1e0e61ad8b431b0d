//go:build !router

package main

import (
	"errors"
	"path/filepath"
	"strings"

	"tunneldigger/src/config"
	"tunneldigger/src/config/scripts"
	"tunneldigger/src/files"
	"tunneldigger/src/phrase"
)

// maxScript is the largest hook that is looked at, in bytes.
const maxScript = 1 << 16

// propose prints, as a comment, the bridge section that does what the hooks of a classic file do.
func (o *options) propose(c *config.Config) {
	p := scripts.Propose(&c.Hooks, func(path, from string) (string, error) {
		return readScript(path, from, filepath.Dir(o.word))
	})
	comment := func(text string) {
		for _, line := range strings.Split(strings.TrimRight(text, "\n"), "\n") {
			phrase.Fprintln(o.out, strings.TrimSpace("# "+line))
		}
	}
	if p.Bridge != nil {
		phrase.Fprintln(o.out)
		comment("The hooks put tunnels into bridges. The broker can do that by itself, with this section:\n\n" + config.FormatBridge(p.Bridge))
		if len(p.Spare) > 0 {
			comment("\nThese hooks do nothing else, and are to be taken out of the section hooks then:\n" + p.Options())
		}
		if p.Bridge.Create {
			comment("\nThe bridges and rules that the hooks have made are to be removed first.")
		}
	}
	if len(p.Left) == 0 {
		return
	}
	title := "This of the hooks has not been carried over:\n"
	if p.Bridge == nil {
		phrase.Fprintln(o.out)
		title = "No bridge section is proposed for what the hooks do, as this could not be understood:\n"
	} else {
		title = "\n" + title
	}
	comment(title + strings.Join(p.Left, "\n"))
}

// readScript reads a hook, or a file that the script from includes: by a path that is not absolute from the folders
// on in which hooks are started or kept.
func readScript(path, from, home string) (string, error) {
	paths := []string{path}
	if from != "" && !filepath.IsAbs(path) {
		beside := filepath.Dir(from)
		paths = []string{filepath.Join(home, path), filepath.Join(filepath.Dir(beside), path), filepath.Join(beside, path)}
	}
	var last error
	for _, path := range paths {
		info, err := files.Stat(path)
		if err == nil && !info.IsFile() {
			err = errors.New("no file")
		}
		if err == nil && info.Size > maxScript {
			err = errors.New("too large")
		}
		text := ""
		if err == nil {
			text, err = files.ReadUpTo(path, maxScript)
		}
		if err == nil {
			return text, nil
		}
		last = err
	}
	if wrapped := errors.Unwrap(last); wrapped != nil {
		last = wrapped // the path is said beside it
	}
	return "", last
}
