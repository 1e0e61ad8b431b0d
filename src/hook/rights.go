package hook

import (
	"bytes"
	"os"

	"tunneldigger/src/privilege"
)

// refusals are how programs say that they may not do what they want: the words of the C library for EACCES, EPERM and EROFS, and sudo's.
var refusals = [][]byte{
	[]byte("ermission denied"), []byte("peration not permitted"), []byte("ead-only file system"), []byte("no new privileges"),
}

// refused reports whether a line of output says so.
func refused(line []byte) bool {
	for _, words := range refusals {
		if bytes.Contains(line, words) {
			return true
		}
	}
	return false
}

// OldRights is the drop-in for systemd that gives hooks the rights that they had under other brokers.
const OldRights = "/usr/share/tunneldigger-broker/hooks-old-rights.conf"

// rights says how a hook that was refused something may have it.
func rights() string {
	switch {
	case privilege.Regains():
		return "hooks have all of root's rights here: look at what it was refused"
	case os.Getenv("NOTIFY_SOCKET") != "": // systemd started the broker
		return "the service limits hooks: " + OldRights + " says how to lift that"
	}
	return "hooks have only the rights that the broker was started with: see least_privilege, and on OpenWrt /etc/tunneldigger/capabilities.json"
}
