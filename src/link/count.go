package link

import (
	"golang.org/x/sys/unix"

	"tunneldigger/src/nl"
	"tunneldigger/src/phrase"
)

// Received counts the frames that have come in by an interface since it was made: rx_packets, the first field of struct
// rtnl_link_stats64 (linux/if_link.h). ENODEV: there is no such interface.
func (c *Conn) Received(index int) (frames uint64, err error) {
	const op = "count an interface's frames"
	c.query(op, index)
	bad := error(nl.ErrMalformed) // until the counter is found
	err = c.nl.Do(func(_ nl.Header, body []byte) {
		if len(body) < unix.SizeofIfInfomsg {
			return
		}
		for a := nl.Parse(nl.Host, body[unix.SizeofIfInfomsg:]); a.Next(); {
			if b := a.Bytes(); a.Type() == unix.IFLA_STATS64 && len(b) >= 8 {
				frames, bad = nl.Host.Uint64(b), nil
			}
		}
	})
	if err == nil && bad != nil {
		err = phrase.Errorf("%s: %w", op, bad)
	}
	return frames, err
}
