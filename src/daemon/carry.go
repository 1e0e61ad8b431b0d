package daemon

import (
	"time"

	"tunneldigger/src/config"
	"tunneldigger/src/handoff"
)

// The fields of a carried daemon. Numbers are never used again for anything
// else; see package handoff. Descriptors are carried by their numbers.
const (
	tagVersion handoff.Tag = iota + 1
	tagConfig              // as UCI, with devices for interfaces
	tagStarted
	tagCookieKey
	tagSerial
	tagHooksEnded
	tagHooksFailed
	tagSendFailures
	tagUnborn // of version 1.0: a hook key, repeated
	tagMoved
	tagMoving
	tagSection // record, repeated
	tagPort    // record, repeated
	tagHooks   // the hook.Runner's state
	tagControlFD
	tagControlPath
	tagCaller // who waits for the upgrade: a descriptor
	tagStoreFile
	tagStoreRemove // a name, repeated
	tagConfined
)

// The fields of a section.
const (
	tagNumber handoff.Tag = iota + 1
	tagName
	tagSectionConfig // as tagConfig, with this section alone
	tagLeaving
	tagComplete
	tagOpened
	tagListener // record, repeated
	tagCore     // the broker.Broker's state
)

// The fields of a listener.
const (
	tagListenerNumber handoff.Tag = iota + 1
	tagListenerFD
)

// The fields of a port.
const (
	tagID handoff.Tag = iota + 1
	tagPortSection
	tagPortListener
	tagFD // and 1; left out: it is closed
	tagPeer
	tagLocal
	tagInterface
	tagMaster
	tagIsolated
	tagRiseMTU // of version 1.0: it is not up yet
	_          // of version 1.0
	tagStored
)

// carried is a daemon's state as it was read.
type carried struct {
	version  string
	config   string
	started  time.Duration
	key      [16]byte
	serial   uint64
	hooksRun hookCounts
	failures uint64
	unborn   []uint64
	confined bool
	moved    bool
	moving   bool
	sections []*carriedSection
	ports    []*carriedPort
	hooks    []byte
	control  int // -1: none
	path     string
	caller   int // -1: none
	store    int // -1: none
	remove   []string
}

type carriedSection struct {
	number    int
	name      string
	text      string
	config    *config.Broker
	leaving   bool
	complete  bool
	opened    uint32
	listeners map[uint32]int
	core      []byte
}

type carriedPort struct {
	port
	section int
	rising  bool
}

// appendState writes the whole state; the hooks are frozen. caller is who waits
// for the upgrade, -1: nobody.
func (d *Daemon) appendState(dst []byte, caller int) []byte {
	dst = handoff.AppendHeader(dst)
	dst = handoff.AppendString(dst, tagVersion, d.version)
	dst = handoff.AppendString(dst, tagConfig, config.FormatUCI(d.config))
	dst = handoff.AppendTime(dst, tagStarted, d.started)
	key := d.jar.Key()
	dst = handoff.AppendBytes(dst, tagCookieKey, key[:])
	dst = handoff.AppendUint(dst, tagSerial, d.serial)
	dst = handoff.AppendUint(dst, tagHooksEnded, d.hooksRun.ended)
	dst = handoff.AppendUint(dst, tagHooksFailed, d.hooksRun.failed)
	dst = handoff.AppendUint(dst, tagSendFailures, d.failures.count)
	dst = handoff.AppendBool(dst, tagConfined, d.confined)
	dst = handoff.AppendBool(dst, tagMoved, d.moved)
	dst = handoff.AppendBool(dst, tagMoving, d.moving)
	var mark int
	for _, s := range d.sections {
		if s != nil {
			dst, mark = handoff.Begin(dst, tagSection)
			dst = handoff.End(s.append(dst), mark)
		}
	}
	for _, p := range d.ports.byID {
		if p != nil {
			dst, mark = handoff.Begin(dst, tagPort)
			dst = handoff.End(p.append(dst), mark)
		}
	}
	dst, mark = handoff.Begin(dst, tagHooks)
	dst = handoff.End(d.hooks.Append(dst), mark)
	if fd := d.control.Listener(); fd >= 0 {
		dst = handoff.AppendUint(dst, tagControlFD, uint64(fd))
		dst = handoff.AppendString(dst, tagControlPath, d.control.Path())
	}
	if d.store.systemd != nil {
		dst = handoff.AppendUint(dst, tagStoreFile, uint64(d.store.file))
		for i := range d.store.told {
			if m := &d.store.told[i]; m.port == nil && !m.file {
				dst = handoff.AppendString(dst, tagStoreRemove, m.name)
			}
		}
	}
	if caller >= 0 {
		dst = handoff.AppendUint(dst, tagCaller, uint64(caller))
	}
	return dst
}

func (s *section) append(dst []byte) []byte {
	dst = handoff.AppendUint(dst, tagNumber, uint64(s.number))
	dst = handoff.AppendString(dst, tagName, s.config.Name)
	dst = handoff.AppendString(dst, tagSectionConfig, config.FormatUCI(&config.Config{Brokers: []config.Broker{*s.config}}))
	dst = handoff.AppendBool(dst, tagLeaving, s.leaving)
	dst = handoff.AppendBool(dst, tagComplete, s.complete)
	dst = handoff.AppendUint(dst, tagOpened, uint64(s.opened))
	var mark int
	for number, l := range s.listeners {
		dst, mark = handoff.Begin(dst, tagListener)
		dst = handoff.AppendUint(dst, tagListenerNumber, uint64(number))
		dst = handoff.End(handoff.AppendUint(dst, tagListenerFD, uint64(l.FD())), mark)
	}
	dst, mark = handoff.Begin(dst, tagCore)
	return handoff.End(s.core.Snapshot(dst), mark)
}

func (p *port) append(dst []byte) []byte {
	dst = handoff.AppendUint(dst, tagID, uint64(p.id))
	dst = handoff.AppendUint(dst, tagPortSection, uint64(p.section.number))
	dst = handoff.AppendUint(dst, tagPortListener, uint64(p.listener))
	dst = handoff.AppendUint(dst, tagFD, uint64(p.fd+1))
	dst = handoff.AppendAddrPort(dst, tagPeer, p.peer.Addr())
	dst = handoff.AppendAddrPort(dst, tagLocal, p.local)
	dst = handoff.AppendString(dst, tagInterface, p.name)
	dst = handoff.AppendString(dst, tagMaster, p.master)
	dst = handoff.AppendBool(dst, tagIsolated, p.isolated)
	dst = handoff.AppendBool(dst, tagStored, p.stored)
	return dst
}

// descriptors lists all that the state names, without the caller's.
func (d *Daemon) descriptors() []int {
	list := d.hooks.Files()
	for _, s := range d.sections {
		if s != nil {
			for _, l := range s.listeners {
				list = append(list, l.FD())
			}
		}
	}
	for _, p := range d.ports.byID {
		if p != nil && p.fd >= 0 {
			list = append(list, p.fd)
		}
	}
	if fd := d.control.Listener(); fd >= 0 {
		list = append(list, fd)
	}
	if d.store.systemd != nil {
		list = append(list, d.store.file)
	}
	return list
}
