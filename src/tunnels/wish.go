package tunnels

import "time"

// movesATurn is how many tunnels a turn brings to other bridges: keepalives and
// handshakes go on between.
const movesATurn = 32

// wish tells the data path what a tunnel's interface is to be now.
func (ts *Table) wish(now time.Duration, t *Tunnel) {
	ts.plan.Fill(&t.want, t.Section.Config.Name, t.uuid, t.Local.Port())
	ts.links.Set(now, t.ID, t.want)
}

// SetMTU gives a tunnel, if it is there, another MTU, and the place that goes with it.
func (ts *Table) SetMTU(now time.Duration, id uint32, mtu int) {
	if t := ts.Get(id); t != nil {
		t.want.MTU = mtu
		ts.wish(now, t)
	}
}

// Shape limits what goes out to a tunnel's client, if it is there, to kbit × 1000 bits in a
// second; 0: no limit.
func (ts *Table) Shape(now time.Duration, id, kbit uint32) {
	if t := ts.Get(id); t != nil {
		t.want.Kbit = kbit
		ts.wish(now, t)
	}
}

// MoveAll has Move bring all tunnels where the plan wants them.
func (ts *Table) MoveAll() { ts.moving, ts.moveNext = true, 0 }

// Moving reports whether Move has not come to the end.
func (ts *Table) Moving() bool { return ts.moving }

// Move goes on with what MoveAll has begun, for a few of the tunnels.
func (ts *Table) Move(now time.Duration) {
	for n := 0; ts.moving && n < movesATurn; n++ {
		t := ts.Next(ts.moveNext)
		if t == nil {
			ts.moving = false
			break
		}
		ts.wish(now, t)
		ts.moveNext = t.ID + 1
	}
}
