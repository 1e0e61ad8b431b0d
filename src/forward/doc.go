// Package forward carries tunnels' frames in user space: between UDP sockets, where they are L2TPv3, and TAP devices. It is for machines
// whose kernel has no L2TP; on the wire there is no difference.
//
// An Engine has a worker for each processor. A worker shares nothing with the others but descriptors: it has one socket of each listener, its
// own table of tunnels by their four addresses and ports, its own buffers and an epoll set with its sockets and its part of the TAP devices. What is to
// change is put into its queue and done between two turns, so that nobody waits for anybody and no lock is held while frames pass. A
// tunnel has no socket of its own: kernels before 6.13 look for connected sockets that share a port along a list.
//
// Both directions work on batches: a TAP device gives 64 kB at a time, package offload makes a train of datagrams of it, and one system call
// sends them; what UDP_GRO receives is joined and written as one. Nothing allocates for a frame, nothing waits but in epoll_wait: what
// can't be passed on now is dropped, and counted.
//
// Control messages, and whatever comes from somebody who has no tunnel, are mail for the owner's loop.
package forward
