// Package broker is the core: it owns the tunnels of one broker section and
// decides everything about them, and does nothing itself.
//
// An Event says what happened: a datagram came, a tunnel was made, a hook
// ended. Handle and Tick answer with Effects: send this, make that tunnel, run
// this hook. There are no goroutines, no input or output, no clock and no
// randomness of its own here, so the order of things and every partial failure
// can be tested without a kernel, and a whole network can be simulated.
//
// Times are the monotonic time since boot. A tunnel passes through the states
//
//	verifying → creating → answered → up → closing → destroying → down
//
// where verifying is left out without a session.verify program. A tunnel that
// ends before it is up goes from answered to destroying and then away. The ID is
// given back at the end.
package broker
