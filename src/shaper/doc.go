// Package shaper limits what leaves through a network interface: an HTB class with the rate, and fq_codel below it so that the queue
// stays short and the flows share it, or a plain queue where the kernel has no fq_codel. On a tunnel's interface that is the client's downstream.
//
// The rate counts the frames of the interface, Ethernet header included and L2TP's encapsulation not. So with full frames a TCP transfer measures 95 % of the
// limit, and the path outside the tunnel carries 103 %. It is also what the limit has always meant to clients: the reference
// broker's counts the same.
//
// Attributes: linux/pkt_sched.h. What the kernel makes of them: net/sched/sch_htb.c, sch_fq_codel.c, sch_api.c.
package shaper

// Handles of what this package makes: qdisc 1: at the root, its only class 1:1, qdisc 2: below that.
const (
	rootHandle  = 1 << 16
	classHandle = 1<<16 | 1
	leafHandle  = 2 << 16
	atRoot      = 0xffffffff // TC_H_ROOT
)

// Values of linux/rtnetlink.h and linux/pkt_sched.h, which x/sys lacks.
const (
	tcmsgLen = 20

	tcaKind    = 1
	tcaOptions = 2

	htbParms  = 1
	htbInit   = 2
	htbRate64 = 6
	htbCeil64 = 7

	htbVersion        = 3
	linklayerEthernet = 1

	codelTarget      = 1
	codelInterval    = 3
	codelFlows       = 5
	codelMemoryLimit = 9
)
