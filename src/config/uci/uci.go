// Package uci understands OpenWrt's /etc/config/tunneldigger-broker.
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

import "tunneldigger/src/config"

// Parse reads a text, see [config.Build] for what it returns; name stands for the
// file in messages. What libuci refuses stops a start: nothing ever ran with it.
func Parse(name string, text []byte) (*config.Config, error) {
	src, err := source(name, string(text))
	if err != nil {
		return nil, err
	}
	return config.Build(src)
}
