// Package tlv reads and writes records of fields with tag, length and value, for
// what one program leaves to the next, which may be of another version: what a
// reader does not know is passed over, and what a writer did not know yet keeps its
// zero value.
//
// A tag is never used for anything else again, and a value never changes its
// meaning: then neighbouring versions understand each other in both directions.
package tlv
