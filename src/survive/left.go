package survive

import "tunneldigger/src/tlv"

// Left is a tunnel that a process has left which ended without a word. Record is nil
// when it was not whole.
type Left struct {
	ID      uint32
	Section string
	Record  []byte // of broker.Broker.AppendTunnel
	FD      int    // the tunnel's socket or device, the caller's from here on; -1: it went with the process
	fate    fate
	why     Loss
}

// read reads what the file has of a tunnel.
func (l *Left) read(record []byte) {
	f := tlv.Read(record)
	for f.Next() {
		switch f.Tag() {
		case tagStoredSection:
			l.Section = f.String()
		case tagStoredTunnel:
			l.Record = f.Bytes()
		}
	}
	if f.Err() != nil {
		l.Section, l.Record = "", nil
	}
}
