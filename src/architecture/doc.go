// Package architecture holds no code, only the test that keeps the tree in shape: which package may import which, what
// the pure ones keep clear of, and how long a file may get. src/README.md has the reasons.
package architecture
