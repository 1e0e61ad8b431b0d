// Package l2tp makes, lists and removes the kernel's L2TPv3 tunnels and Ethernet sessions over generic netlink (linux/l2tp.h,
// RFC 3931).
//
// A managed tunnel takes a UDP socket of ours over: the kernel keeps data packets and leaves control packets to whoever reads the
// socket. It dies with the socket: when the last descriptor is closed, a kernel work queue removes the tunnel, its sessions and their
// interfaces, some time after close returns. Passing the descriptor on keeps all of them.
//
// Modules: looking the family up makes the kernel load l2tp_netlink, and the first Ethernet session l2tp_eth, by their aliases. Where that
// is blocked (Fedora blacklists both, and a blacklist holds for aliases only) modprobe is run with the modules' names, directly and without a
// shell. Nothing else is ever executed.
package l2tp

import "errors"

// ErrNoL2TP says that the kernel has no L2TP over netlink and that the module could not be loaded either. On OpenWrt the
// package kmod-l2tp has it, on Fedora kernel-modules-extra.
var ErrNoL2TP = errors.New("the kernel has no L2TP (module l2tp_netlink)")

// ErrNoEthernet says that the kernel has L2TP but no Ethernet pseudowire and that the module could not be loaded either. On
// OpenWrt the package kmod-l2tp-eth has it, on Fedora kernel-modules-extra.
var ErrNoEthernet = errors.New("the kernel has no L2TP Ethernet pseudowire (module l2tp_eth)")

// Values of linux/l2tp.h, which x/sys lacks.
const (
	familyName    = "l2tp"
	familyVersion = 1

	cmdTunnelCreate  = 1
	cmdTunnelDelete  = 2
	cmdTunnelGet     = 4
	cmdSessionCreate = 5
	cmdSessionDelete = 6
	cmdSessionGet    = 8

	attrPwType        = 1
	attrEncapType     = 2
	attrL2specType    = 5
	attrProtoVersion  = 7
	attrIfname        = 8
	attrConnID        = 9
	attrPeerConnID    = 10
	attrSessionID     = 11
	attrPeerSessionID = 12
	attrFD            = 23
	attrIPSaddr       = 24
	attrIPDaddr       = 25
	attrUDPSport      = 26
	attrUDPDport      = 27
	attrIP6Saddr      = 31
	attrIP6Daddr      = 32

	pwTypeEthernet  = 5
	l2specDefault   = 1
	encapUDP        = 0
	protocolVersion = 3
)
