// Package gate keeps what decides who may come in beside the core: the allow and
// deny lists in files, and what session.verify said of newcomers. It starts no
// hook and knows no tunnel: what is to be done comes back as values.
package gate
