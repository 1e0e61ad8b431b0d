package survive

import "tunneldigger/src/tlv"

// Read reads what State.Append wrote, in this version of the program or another. The
// error says in words for an operator why it can't be read. Descriptors are not
// looked at.
func Read(state []byte) (*State, error) {
	s := &State{Control: -1, Caller: -1, Store: -1}
	f, err := open(state)
	if err != nil {
		return nil, err
	}
	numbers := make(map[int]bool)
	for f.Next() {
		var err error
		switch f.Tag() {
		case tagVersion:
			s.Version = f.String()
		case tagConfig:
			s.Config = f.String()
		case tagStarted:
			s.Started = f.Time()
		case tagCookieKey:
			copy(s.Key[:], f.Bytes())
		case tagSerial:
			s.Serial = f.Uint()
		case tagHooksEnded:
			s.Ended = f.Uint()
		case tagHooksFailed:
			s.Failed = f.Uint()
		case tagSendFailures:
			s.Unsent = f.Uint()
		case tagUnborn:
			s.Unborn = append(s.Unborn, f.Uint())
		case tagConfined:
			s.Confined = f.Bool()
		case tagMoved:
			s.Moved = f.Bool()
		case tagMoving:
			s.Moving = f.Bool()
		case tagSection:
			one := Section{Listeners: make(map[uint32][]int)}
			if err = one.read(f.Bytes()); err == nil && numbers[one.Number] {
				err = tlv.ErrMalformed
			}
			numbers[one.Number] = true
			s.Sections = append(s.Sections, one)
		case tagTunnel:
			one := Tunnel{FD: -1}
			err = one.read(f.Bytes())
			s.Tunnels = append(s.Tunnels, one)
		case tagSocket:
			s.Sockets = append(s.Sockets, int(f.Uint32()))
		case tagHooks:
			s.Hooks = f.Bytes()
		case tagControlFD:
			s.Control = int(f.Uint32())
		case tagControlPath:
			s.Path = f.String()
		case tagCaller:
			s.Caller = int(f.Uint32())
		case tagStoreFile:
			s.Store = int(f.Uint32())
		case tagStoreRemove:
			s.Remove = append(s.Remove, f.String())
		}
		if err != nil {
			return nil, err
		}
	}
	return s, f.Err()
}

func (s *Section) read(record []byte) error {
	f := tlv.Read(record)
	for f.Next() {
		switch f.Tag() {
		case tagNumber:
			s.Number = int(f.Uint8())
		case tagName:
			s.Name = f.String()
		case tagSectionConfig:
			s.Config = f.String()
		case tagLeaving:
			s.Leaving = f.Bool()
		case tagComplete:
			s.Complete = f.Bool()
		case tagOpened:
			s.Opened = f.Uint32()
		case tagDevice:
			s.Device = f.Uint32()
		case tagListener:
			var number uint32
			var fds []int
			l := tlv.Read(f.Bytes())
			for l.Next() {
				switch l.Tag() {
				case tagListenerNumber:
					number = l.Uint32()
				case tagListenerFD:
					fds = append(fds, int(l.Uint32()))
				}
			}
			if l.Err() != nil {
				return l.Err()
			}
			s.Listeners[number] = fds
		case tagUser:
			s.User = f.Bool()
		case tagCore:
			s.Core = f.Bytes()
		case tagUnattached:
			s.Unattached = f.Uint()
		}
	}
	return f.Err()
}

func (t *Tunnel) read(record []byte) error {
	f := tlv.Read(record)
	for f.Next() {
		switch f.Tag() {
		case tagID:
			t.ID = uint32(f.Uint16())
		case tagTunnelSection:
			t.Section = int(f.Uint8())
		case tagTunnelListener:
			t.Listener = int(f.Uint32())
		case tagFD:
			t.FD = int(f.Uint32()) - 1
		case tagPeer:
			t.Peer = f.AddrPort()
		case tagLocal:
			t.Local = f.AddrPort()
		case tagInterface:
			t.Interface = f.String()
		case tagMaster:
			t.Master = f.String()
		case tagIsolated:
			t.Isolated = f.Bool()
		case tagStored:
			t.Stored = f.Bool()
		case tagUnsettled:
			t.Unsettled = f.Bool()
		case tagHookFailed:
			t.HookFailed = f.String()
		case tagRiseMTU:
			t.NeverUp = true
		}
	}
	return f.Err()
}
