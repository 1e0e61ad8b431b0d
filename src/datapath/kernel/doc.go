// Package kernel has the kernel's L2TP carry tunnels' frames: a data path for the
// broker, and the making of one tunnel, in words for an operator, that the
// client has as well.
package kernel
