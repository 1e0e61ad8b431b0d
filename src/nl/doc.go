// Package nl is the small part of netlink that a synchronous program needs: build a request in a buffer that is used again,
// send it, wait for the kernel's acknowledgement, and read attributes from what comes back.
//
// Set-up of a tunnel is a handful of such requests in a row, carried out by one loop, so nothing here allocates on success,
// starts a goroutine or goes through the runtime's poller: a request is one write and one read on a blocking socket. The
// kernel acts and answers within the write; a receive time-out only keeps a surprise from holding the loop for ever.
//
// Message layout and flags: RFC 3549, section 2.2, and linux/netlink.h. Netlink uses host byte order; the order is a
// parameter of Message and Attributes so that both can be tested on any machine.
package nl
