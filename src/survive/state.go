package survive

import (
	"net/netip"
	"time"

	"tunneldigger/src/tlv"
)

// The fields of a State. Numbers are never used again for anything else; see
// package tlv. Descriptors go by their numbers.
const (
	tagVersion tlv.Tag = iota + 1
	tagConfig
	tagStarted
	tagCookieKey
	tagSerial
	tagHooksEnded
	tagHooksFailed
	tagSendFailures
	tagUnborn // of version 1.0, repeated
	tagMoved
	tagMoving
	tagSection // record, repeated
	tagTunnel  // record, repeated
	tagHooks
	tagControlFD
	tagControlPath
	tagCaller
	tagStoreFile
	tagStoreRemove // repeated
	tagConfined
	tagSocket // repeated
)

// The fields of a section.
const (
	tagNumber tlv.Tag = iota + 1
	tagName
	tagSectionConfig
	tagLeaving
	tagComplete
	tagOpened
	tagListener // record, repeated
	tagCore
	tagUnattached
	tagDevice
	tagUser
)

// The fields of a listener.
const (
	tagListenerNumber tlv.Tag = iota + 1
	tagListenerFD             // repeated
)

// The fields of a tunnel.
const (
	tagID tlv.Tag = iota + 1
	tagTunnelSection
	tagTunnelListener
	tagFD // and 1
	tagPeer
	tagLocal
	tagInterface
	tagMaster
	tagIsolated
	tagRiseMTU // of version 1.0: it is not up yet
	_          // of version 1.0
	tagStored
	tagHookFailed
	tagUnsettled
)

// State is all that a program hands to the one that takes its place. Times are
// since boot. A descriptor of -1 is none.
type State struct {
	Version  string // of the program
	Config   string // as UCI, with devices for interfaces
	Started  time.Duration
	Key      [16]byte // of cookies
	Serial   uint64   // the largest that a tunnel of a section that is gone had
	Hooks    []byte   // the hook.Runner's
	Ended    uint64   // hooks, so far
	Failed   uint64   // of them
	Unsent   uint64   // datagrams
	Unborn   []uint64 // hook keys of tunnels that end without having been up, if it is of version 1.0
	Confined bool     // hooks can't have more rights than the program, for good
	Moved    bool     // sections have given up addresses where tunnels stand
	Moving   bool     // tunnels are being brought to other bridges
	Sections []Section
	Tunnels  []Tunnel
	Sockets  []int  // of listeners that are closed, and kept for tunnels that have no others
	Control  int    // the socket for commands, which is at
	Path     string // there
	Caller   int    // who waits for the upgrade
	Store    int    // the Store's file
	Remove   []string
}

// Section is one broker section.
type Section struct {
	Number   int // 0–255
	Name     string
	Config   string // as State.Config, with this section alone
	Leaving  bool   // it was taken out of the configuration
	Complete bool   // it listens wherever it should
	Opened   uint32 // listeners so far
	// Unattached is how many tunnels no bridge section has fitted so far.
	Unattached uint64
	Device     uint32           // index of the interface that it listens on, 0: any, or unknown
	Listeners  map[uint32][]int // their sockets
	User       bool             // the program carries its tunnels' frames
	Core       []byte           // the broker.Broker's state
}

// Tunnel is the socket, or the TAP device, and the interface of one tunnel; the rest is in its section's
// Core.
type Tunnel struct {
	_           [0]func() // not to be compared: that would be code for nothing
	ID          uint32
	Section     int // its number
	Listener    int // by which it came
	FD          int
	Peer, Local netip.AddrPort
	Interface   string
	Master      string // where it is attached, or will be when that comes; "": nowhere
	Isolated    bool   // there
	NeverUp     bool   // it is not up yet, if it is of version 1.0
	Unsettled   bool   // what is wanted of the interface could not all be done
	Stored      bool   // systemd has a copy of the socket
	HookFailed  string // which hook has failed for it, and how; "": none
}

// Files lists the descriptors that the state names.
func (s *State) Files() (list []int) {
	for i := range s.Sections {
		for _, fds := range s.Sections[i].Listeners {
			list = append(list, fds...)
		}
	}
	for i := range s.Tunnels {
		if fd := s.Tunnels[i].FD; fd >= 0 {
			list = append(list, fd)
		}
	}
	list = append(list, s.Sockets...)
	for _, fd := range []int{s.Control, s.Store, s.Caller} {
		if fd >= 0 {
			list = append(list, fd)
		}
	}
	return list
}

// Append writes the state.
func (s *State) Append(dst []byte) []byte {
	dst = begin(dst, major)
	dst = tlv.AppendString(dst, tagVersion, s.Version)
	dst = tlv.AppendString(dst, tagConfig, s.Config)
	dst = tlv.AppendTime(dst, tagStarted, s.Started)
	dst = tlv.AppendBytes(dst, tagCookieKey, s.Key[:])
	dst = tlv.AppendUint(dst, tagSerial, s.Serial)
	dst = tlv.AppendUint(dst, tagHooksEnded, s.Ended)
	dst = tlv.AppendUint(dst, tagHooksFailed, s.Failed)
	dst = tlv.AppendUint(dst, tagSendFailures, s.Unsent)
	dst = tlv.AppendBool(dst, tagConfined, s.Confined)
	dst = tlv.AppendBool(dst, tagMoved, s.Moved)
	dst = tlv.AppendBool(dst, tagMoving, s.Moving)
	var mark int
	for i := range s.Sections {
		dst, mark = tlv.Begin(dst, tagSection)
		dst = tlv.End(s.Sections[i].append(dst), mark)
	}
	for i := range s.Tunnels {
		dst, mark = tlv.Begin(dst, tagTunnel)
		dst = tlv.End(s.Tunnels[i].append(dst), mark)
	}
	for _, fd := range s.Sockets {
		dst = tlv.AppendUint(dst, tagSocket, uint64(fd))
	}
	dst = tlv.AppendBytes(dst, tagHooks, s.Hooks)
	if s.Control >= 0 {
		dst = tlv.AppendUint(dst, tagControlFD, uint64(s.Control))
		dst = tlv.AppendString(dst, tagControlPath, s.Path)
	}
	if s.Store >= 0 {
		dst = tlv.AppendUint(dst, tagStoreFile, uint64(s.Store))
		for _, name := range s.Remove {
			dst = tlv.AppendString(dst, tagStoreRemove, name)
		}
	}
	if s.Caller >= 0 {
		dst = tlv.AppendUint(dst, tagCaller, uint64(s.Caller))
	}
	return dst
}

func (s *Section) append(dst []byte) []byte {
	dst = tlv.AppendUint(dst, tagNumber, uint64(s.Number))
	dst = tlv.AppendString(dst, tagName, s.Name)
	dst = tlv.AppendString(dst, tagSectionConfig, s.Config)
	dst = tlv.AppendBool(dst, tagLeaving, s.Leaving)
	dst = tlv.AppendBool(dst, tagComplete, s.Complete)
	dst = tlv.AppendUint(dst, tagOpened, uint64(s.Opened))
	dst = tlv.AppendUint(dst, tagDevice, uint64(s.Device))
	var mark int
	for number, fds := range s.Listeners {
		dst, mark = tlv.Begin(dst, tagListener)
		dst = tlv.AppendUint(dst, tagListenerNumber, uint64(number))
		for _, fd := range fds {
			dst = tlv.AppendUint(dst, tagListenerFD, uint64(fd))
		}
		dst = tlv.End(dst, mark)
	}
	dst = tlv.AppendBool(dst, tagUser, s.User)
	dst = tlv.AppendUint(dst, tagUnattached, s.Unattached)
	return tlv.AppendBytes(dst, tagCore, s.Core)
}

func (t *Tunnel) append(dst []byte) []byte {
	dst = tlv.AppendUint(dst, tagID, uint64(t.ID))
	dst = tlv.AppendUint(dst, tagTunnelSection, uint64(t.Section))
	dst = tlv.AppendUint(dst, tagTunnelListener, uint64(t.Listener))
	dst = tlv.AppendUint(dst, tagFD, uint64(t.FD+1))
	dst = tlv.AppendAddrPort(dst, tagPeer, t.Peer)
	dst = tlv.AppendAddrPort(dst, tagLocal, t.Local)
	dst = tlv.AppendString(dst, tagInterface, t.Interface)
	dst = tlv.AppendString(dst, tagMaster, t.Master)
	dst = tlv.AppendBool(dst, tagIsolated, t.Isolated)
	if t.Unsettled {
		dst = tlv.AppendBool(dst, tagUnsettled, true)
	}
	if t.HookFailed != "" {
		dst = tlv.AppendString(dst, tagHookFailed, t.HookFailed)
	}
	return tlv.AppendBool(dst, tagStored, t.Stored)
}
