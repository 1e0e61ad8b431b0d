// Package bench measures the whole broker, as a process, beside the least that the same work could cost: a bare loop that does
// nothing but the system calls. Broker and bare loop take turns in one run, so that a noisy or slow machine hurts both alike, and what
// counts is the ratio. `make bench` prints one table of figures:
//
//	make bench-native   what a message costs, 1000 tunnels without interfaces, on this machine's kernel
//	make bench          the same, and set-ups, cookies, standing tunnels and memory in the virtual machine of e2e/vm
//
// A target that is missed is marked in the table. The run fails only when a ratio is grossly off, or when the keepalive path allocates,
// which no noise can cause.
package bench
