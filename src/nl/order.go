package nl

import "encoding/binary"

// Order is a byte order that reads, writes and appends integers.
type Order interface {
	binary.ByteOrder
	binary.AppendByteOrder
}

// Host is this machine's byte order, the one that the kernel uses in netlink messages.
var Host Order = binary.NativeEndian

const align = 4 // NLMSG_ALIGNTO and NLA_ALIGNTO, linux/netlink.h

func padded(n int) int { return (n + align - 1) &^ (align - 1) }
