package broker

import (
	"encoding/binary"
	"slices"

	"tunneldigger/src/pmtu"
	"tunneldigger/src/tlv"
	"tunneldigger/src/wire"
)

func (r *request) restore(record []byte) error {
	f := tlv.Read(record)
	for f.Next() {
		r.field(&f)
	}
	return r.check(f.Err())
}

func (r *request) field(f *tlv.Fields) {
	switch f.Tag() {
	case tagPeer:
		r.peer = f.AddrPort()
	case tagLocal:
		r.local = f.AddrPort()
	case tagListener:
		r.listener = int(f.Uint32())
	case tagPeerTunnel:
		r.peerTunnel = f.Uint32()
	case tagFeatures:
		r.features = wire.Features(f.Uint32())
	case tagUUID:
		r.uuid = f.String()
	case tagHeard:
		r.heard = f.Time()
	case tagSince:
		r.since = f.Time()
	}
}

// check says what is wrong with a request that was read, if anything is.
func (r *request) check(err error) error {
	if err == nil && (!r.peer.IsValid() || !r.local.IsValid() || !wire.ValidUUID([]byte(r.uuid))) {
		return tlv.ErrMalformed
	}
	return err
}

func restoreTunnel(record []byte) (*tunnel, error) {
	t := &tunnel{place: -1}
	var prober []byte
	f := tlv.Read(record)
	for f.Next() {
		switch f.Tag() {
		case tagID:
			t.id = f.Uint32()
		case tagTunnelSerial:
			t.serial = f.Uint()
		case tagState:
			n := slices.Index(stateNumbers[:], f.Uint8())
			if n < 0 {
				return nil, tlv.ErrMalformed
			}
			t.state = state(n)
		case tagTries:
			t.tries = int(f.Uint16())
		case tagOpened:
			t.opened = f.Time()
		case tagDue:
			t.due = f.Time()
		case tagKeepalive:
			t.keepalive = f.Time()
		case tagSequence:
			t.sequence = f.Uint16()
		case tagMTU:
			t.mtu = f.Int()
		case tagNotified:
			t.notified = f.Int()
		case tagTold:
			t.told = f.Int()
		case tagTelling:
			t.telling = f.Bool()
		case tagProber:
			prober = f.Bytes()
		case tagBandwidth:
			t.bandwidth = f.Uint32()
		case tagLimitSeq:
			t.limitSeq = f.Uint16()
		case tagLimitKnown:
			t.limitKnown = f.Bool()
		case tagWanted:
			t.wanted = f.Uint32()
		case tagAsked:
			t.asked = f.Bool()
		case tagSuccessor:
			t.successor = new(request)
			if err := t.successor.restore(f.Bytes()); err != nil {
				return nil, err
			}
		case tagSpent:
			t.spent = f.Time()
		case tagBehind:
			t.behind = f.Bool()
		case tagFresh:
			t.fresh = f.Bool()
		case tagSilent:
			t.silent = f.Bool()
		case tagRemade:
			t.again = f.Bool()
		case tagMourning:
			t.mourning = f.Bool()
		case tagFixed:
			t.fixed = f.Bool()
		case tagRivalry:
			var err error
			if t.rivalry, err = restoreRivalry(f.Bytes()); err != nil {
				return nil, err
			}
		default:
			t.request.field(&f)
		}
	}
	err := t.request.check(f.Err())
	if err == nil && len(prober) > 0 {
		t.prober, err = pmtu.Restore(t.v6(), prober)
	}
	if err == nil && (t.again && (t.state == verifying || t.state == up || t.state == closing) || t.mtu < wire.MinTunnelMTU || t.mtu > 65535) {
		err = tlv.ErrMalformed
	}
	return t, err
}

func (a *asideID) restore(record []byte) error {
	f := tlv.Read(record)
	for f.Next() {
		switch f.Tag() {
		case tagKey:
			a.id = f.Uint32()
		case tagTime:
			a.until = f.Time()
		}
	}
	return f.Err()
}

func (s *Stats) restore(record []byte) error {
	f := tlv.Read(record)
	for f.Next() {
		var err error
		switch f.Tag() {
		case tagCookies:
			s.Cookies = f.Uint()
		case tagUsages:
			s.Usages = f.Uint()
		case tagPrepares:
			s.Prepares = f.Uint()
		case tagRepeats:
			s.Repeats = f.Uint()
		case tagOpenedCount:
			s.Opened = f.Uint()
		case tagTwins:
			s.Twins = f.Uint()
		case tagToldStrangers:
			s.Told = f.Uint()
		case tagDrops:
			err = restoreCounts(s.Drops[:], f.Bytes())
		case tagReasons:
			err = restoreCounts(s.Reasons[:], f.Bytes())
		case tagSetup:
			err = restoreCounts(s.Setup.Buckets[:], f.Bytes())
		case tagSetupSum:
			s.Setup.Sum = f.Time()
		}
		if err != nil {
			return err
		}
	}
	return f.Err()
}

// restoreCounts reads counters, of which another version may have more or fewer.
func restoreCounts(counts []uint64, packed []byte) error {
	list, err := unpack(packed)
	copy(counts, list)
	return err
}

func unpack(packed []byte) (list []uint64, err error) {
	for len(packed) > 0 {
		v, n := binary.Uvarint(packed)
		if n <= 0 {
			return nil, tlv.ErrMalformed
		}
		list, packed = append(list, v), packed[n:]
	}
	return list, nil
}
