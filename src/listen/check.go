package listen

import (
	"errors"
	"strings"

	"golang.org/x/sys/unix"

	"tunneldigger/src/config"
	"tunneldigger/src/files"
	"tunneldigger/src/occupant"
	"tunneldigger/src/phrase"
	"tunneldigger/src/sock"
)

// Check names the addresses and ports that a broker with this configuration
// could not listen on now, as lines for an operator. What a running broker has,
// what may not be tried without more rights, and interfaces that are missing are
// left out: none of it is a fault.
func Check(c *config.Config) (notices []string) {
	var look occupant.Look
	comm, _ := files.Read("/proc/self/comm")
	self := strings.TrimSpace(comm)
	for i := range c.Brokers {
		b := &c.Brokers[i]
		if strings.HasPrefix(b.Interface, config.NoDevice) {
			continue
		}
		for _, at := range Endpoints(b) {
			_, err := sock.Busy(at, b.Interface)
			if taken := portFree(at, b.Interface); taken != nil {
				err = taken
			}
			switch errnoOf(err) {
			case unix.EADDRINUSE:
				if who := look.Of(at); who.PID == 0 || who.Name == self {
					continue
				}
			case unix.EADDRNOTAVAIL:
				if noIPv6(b, at, err) {
					continue
				}
			default:
				continue
			}
			notices = append(notices, phrase.Sprintf("broker '%s': %s", b.Name, words(&look, at, err)))
		}
	}
	return notices
}

// maxNamed is how many places the message of a start that failed names.
const maxNamed = 8

// Possible checks that a start makes sense: the error says what is in the way when
// there is no place at all where a section could listen. What may come by itself,
// an interface or an address, is waited for. It is asked before anything is
// changed in the kernel: what has the ports may be another broker. ours are the ports
// that the program has already.
func Possible(brokers []config.Broker, ours map[uint16]bool) error {
	var look occupant.Look
	var why []string
	for i := range brokers {
		b := &brokers[i]
		for _, at := range Endpoints(b) {
			if ours[at.Port()] {
				return nil
			}
			_, err := sock.Busy(at, b.Interface)
			if free := portFree(at, b.Interface); free != nil {
				why = append(why, words(&look, at, free))
			} else if !noIPv6(b, at, err) {
				return nil
			}
		}
	}
	if len(why) == 0 {
		return nil
	}
	if n := len(why) - maxNamed; n > 0 {
		why = append(why[:maxNamed], phrase.Sprintf("and %d more", n))
	}
	return errors.New("there is nowhere to listen: " + strings.Join(why, "; "))
}
