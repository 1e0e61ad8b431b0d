// Package command is what the words of a command to a running broker mean, and in which
// words it is answered. It carries nothing out.
package command

import (
	"errors"
	"strconv"
	"strings"

	"tunneldigger/src/broker"
	"tunneldigger/src/phrase"
)

// maxCloseRate is the largest number of tunnels that drain closes in a minute.
const maxCloseRate = 6000

// Unknown is what is wrong with a command that begins with a word that no command does.
func Unknown(word string) error {
	return phrase.Errorf("unknown command %q: want one of drain, kick, reload, status, upgrade", word)
}

// Alone is an error unless a command is one word.
func Alone(words []string) error {
	if len(words) > 1 {
		return errors.New(words[0] + " takes no words")
	}
	return nil
}

// Drain is a wish for the broker to be drained, or not any more.
type Drain struct {
	On   bool
	Rate int // tunnels that each section closes in a minute, 1–6000; 0: none
}

// ParseDrain understands drain, drain off, and drain close-rate N, from the second word on.
func ParseDrain(words []string) (d Drain, err error) {
	switch {
	case len(words) == 0:
		d.On = true
	case len(words) == 1 && words[0] == "off":
	case len(words) == 2 && words[0] == "close-rate":
		n, err := strconv.Atoi(words[1])
		if err != nil || n < 1 || n > maxCloseRate {
			return d, phrase.Errorf("close rate %q: want tunnels a minute, 1–%d", words[1], maxCloseRate)
		}
		d.On, d.Rate = true, n
	default:
		return d, errors.New("want drain, drain off, or drain close-rate N")
	}
	return d, nil
}

// Answer says that it was done, to a broker that has so many tunnels, and was drained before or not.
func (d Drain) Answer(was bool, tunnels int) string {
	switch {
	case d.Rate > 0:
		return phrase.Sprintf("Draining: no new tunnels; of %d, %d a minute are closed in each broker section.\n", tunnels, d.Rate)
	case d.On:
		return phrase.Sprintf("Draining: no new tunnels; %d stay.\n", tunnels)
	case was:
		return "New tunnels are taken again.\n"
	}
	return "It was not draining.\n"
}

// Kick is a wish for tunnels to be closed. Those of a broker are offered to it, first by ID, then by UUID.
type Kick struct {
	name  string
	id    uint64 // 0: it is none
	text  strings.Builder
	found int
	byID  bool // one was found by its ID
	any   bool // one is closed
}

// ParseKick understands kick ID and kick UUID, the latter also as status shows it, from the second word
// on. What is the ID of a tunnel is that first.
func ParseKick(words []string) (*Kick, error) {
	if len(words) != 1 {
		return nil, errors.New("want kick TUNNEL_ID or kick UUID")
	}
	k := &Kick{name: words[0]}
	k.id, _ = strconv.ParseUint(k.name, 10, 32)
	return k, nil
}

// ByID reports whether a tunnel is to be closed that has the ID; shown is how status shows its UUID. All are to be asked about.
func (k *Kick) ByID(t *broker.TunnelInfo, shown string) bool {
	is := k.id != 0 && uint64(t.Tunnel) == k.id
	k.byID = k.byID || is
	return is && k.closes(t, shown)
}

// ByUUID is ByID for those that have the UUID, after all were asked about by ID.
func (k *Kick) ByUUID(t *broker.TunnelInfo, shown string) bool {
	return !k.byID && (t.UUID == k.name || shown == k.name) && k.closes(t, shown)
}

func (k *Kick) closes(t *broker.TunnelInfo, shown string) bool {
	k.found++
	if !t.Stands() {
		return false
	}
	k.any = true
	phrase.Fprintf(&k.text, "Tunnel %d of %s is being closed.\n", t.Tunnel, shown)
	return true
}

// Answer says what was closed, or why nothing was.
func (k *Kick) Answer() (string, error) {
	switch {
	case k.found == 0:
		return "", phrase.Errorf("no tunnel has the ID or UUID %q", k.name)
	case !k.any:
		return "", errors.New("it does not stand: it is on its way up or down already")
	}
	return k.text.String(), nil
}
