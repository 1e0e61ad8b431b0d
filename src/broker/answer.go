package broker

import "tunneldigger/src/wire"

// refuse answers a PREPARE by ERROR. Old clients expect it to be empty.
func (b *Broker) refuse(r request, why Reason) *Effect {
	b.answer(&r, why)
	return b.note(NoteRefused, r.facts(), why)
}

// answer is refuse without a note.
func (b *Broker) answer(r *request, why Reason) {
	b.stats.Reasons[why]++
	e := b.reply(r.pair, r.listener)
	e.length = uint8(len(wire.AppendError(e.message[:0])))
}

func (b *Broker) reply(to pair, listener int) *Effect {
	e := b.effect(EffectReply)
	e.Peer, e.Local, e.Listener = to.peer, to.local, listener
	return e
}

func (r *request) facts() Facts {
	return Facts{Peer: r.peer, Local: r.local, UUID: r.uuid}
}
