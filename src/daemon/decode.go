package daemon

import (
	"tunneldigger/src/handoff"
	"tunneldigger/src/sock"
)

// decode reads a state.
func decode(state []byte) (*carried, error) {
	c := &carried{control: -1, caller: -1, store: -1}
	f, err := handoff.Open(state)
	if err != nil {
		return nil, err
	}
	for f.Next() {
		var err error
		switch f.Tag() {
		case tagVersion:
			c.version = f.String()
		case tagConfig:
			c.config = f.String()
		case tagStarted:
			c.started = f.Time()
		case tagCookieKey:
			copy(c.key[:], f.Bytes())
		case tagSerial:
			c.serial = f.Uint()
		case tagHooksEnded:
			c.hooksRun.ended = f.Uint()
		case tagHooksFailed:
			c.hooksRun.failed = f.Uint()
		case tagSendFailures:
			c.failures = f.Uint()
		case tagUnborn:
			c.unborn = append(c.unborn, f.Uint())
		case tagConfined:
			c.confined = f.Bool()
		case tagMoved:
			c.moved = f.Bool()
		case tagMoving:
			c.moving = f.Bool()
		case tagSection:
			var s *carriedSection
			s, err = decodeSection(f.Bytes())
			c.sections = append(c.sections, s)
		case tagPort:
			var p *carriedPort
			p, err = decodePort(f.Bytes())
			c.ports = append(c.ports, p)
		case tagHooks:
			c.hooks = f.Bytes()
		case tagControlFD:
			c.control = int(f.Uint32())
		case tagControlPath:
			c.path = f.String()
		case tagCaller:
			c.caller = int(f.Uint32())
		case tagStoreFile:
			c.store = int(f.Uint32())
		case tagStoreRemove:
			c.remove = append(c.remove, f.String())
		}
		if err != nil {
			return nil, err
		}
	}
	return c, f.Err()
}

func decodeSection(record []byte) (*carriedSection, error) {
	s := &carriedSection{listeners: make(map[uint32]int)}
	f := handoff.Read(record)
	for f.Next() {
		switch f.Tag() {
		case tagNumber:
			s.number = int(f.Uint8())
		case tagName:
			s.name = f.String()
		case tagSectionConfig:
			s.text = f.String()
		case tagLeaving:
			s.leaving = f.Bool()
		case tagComplete:
			s.complete = f.Bool()
		case tagOpened:
			s.opened = f.Uint32()
		case tagListener:
			var number uint32
			fd := 0
			l := handoff.Read(f.Bytes())
			for l.Next() {
				switch l.Tag() {
				case tagListenerNumber:
					number = l.Uint32()
				case tagListenerFD:
					fd = int(l.Uint32())
				}
			}
			if l.Err() != nil || int(number/maxListeners) != s.number {
				return nil, handoff.ErrMalformed
			}
			s.listeners[number] = fd
		case tagCore:
			s.core = f.Bytes()
		}
	}
	return s, f.Err()
}

func decodePort(record []byte) (*carriedPort, error) {
	p := &carriedPort{port: port{fd: -1}}
	f := handoff.Read(record)
	for f.Next() {
		switch f.Tag() {
		case tagID:
			p.id = uint32(f.Uint16())
		case tagPortSection:
			p.section = int(f.Uint8())
		case tagPortListener:
			p.listener = int(f.Uint32())
		case tagFD:
			p.fd = int(f.Uint32()) - 1
		case tagPeer:
			p.peer = sock.NewPeer(f.AddrPort())
		case tagLocal:
			p.local = f.AddrPort()
		case tagInterface:
			p.name = f.String()
		case tagMaster:
			p.master = f.String()
		case tagIsolated:
			p.isolated = f.Bool()
		case tagStored:
			p.stored = f.Bool()
		case tagRiseMTU:
			p.rising = true
		}
	}
	return p, f.Err()
}
