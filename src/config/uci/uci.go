// Package uci understands OpenWrt's /etc/config/tunneldigger-broker, as libuci's
// file.c does: a scanner splits the text into commands and finds every syntax
// fault with its line; then sections of one name are one section, a later option
// replaces an earlier one, and list values add up.
//
// github.com/digineo/go-uci is the tests' second opinion. It refuses a whole file
// for things that libuci takes (an empty value, a quote within a value, CRLF, a
// package line, a last line without newline), understands a backslash otherwise,
// drops a repeated list value and knows no line numbers; and it brings fmt and
// reflection, which are a sixteenth of the program on a router.
package uci

import "tunneldigger/src/config"

// Parse reads a text, see [config.Build] for what it returns; name stands for the
// file in messages. What libuci refuses stops a start: nothing ever ran with it.
func Parse(name string, text string) (*config.Config, error) {
	return config.Build(source(name, text))
}
