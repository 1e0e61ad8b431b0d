// Package handoff is the form in which one program hands its state to the next,
// which may be of another version: fields with tag, length and value, so that
// what a reader does not know is passed over, and what a writer did not know
// yet keeps its zero value.
//
// A tag is never used for anything else again, and a value never changes its
// meaning: then neighbouring versions understand each other in both directions.
// Where that can't be kept, Major goes up, and older programs refuse the state
// instead of misreading it.
package handoff
