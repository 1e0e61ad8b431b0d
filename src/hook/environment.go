package hook

import "strings"

// usual are the folders that a hook's PATH has at least. Those that it lacks come last, so that an operator's own go first.
var usual = []string{"/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"}

// ownVariables are about the broker's own process: what systemd, Go's runtime or the program before an upgrade tell it. A hook that
// took them for its own would report to systemd in the broker's name.
var ownVariables = []string{
	"NOTIFY_SOCKET", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PIDFDID", "FDSTORE", "WATCHDOG_PID", "WATCHDOG_USEC", "MAINPID",
	"MANAGERPID", "JOURNAL_STREAM", "SYSTEMD_EXEC_PID", "MEMORY_PRESSURE_WATCH", "MEMORY_PRESSURE_WRITE",
	"GOGC", "GOMEMLIMIT", "GODEBUG", "GOMAXPROCS", "GOTRACEBACK", "TUNNELDIGGER_STATE",
}

// facts are the variables of an event. One that an event lacks is not to be had from the broker's own environment instead.
var facts = []string{
	"ACTION", "TUNNEL_ID", "SESSION_ID", "INTERFACE", "MTU", "OLD_MTU", "ENDPOINT_IP", "ENDPOINT_PORT", "LOCAL_PORT", "UUID", "BROKER",
}

// inherit makes of the environment of the broker what every hook has of it.
func inherit(environ []string) []string {
	env := make([]string, 0, len(environ)+2+len(facts))
	path, home := "", false
	for _, variable := range environ {
		name, value, _ := strings.Cut(variable, "=")
		switch {
		case among(name, ownVariables) || among(name, facts):
			continue
		case name == "PATH":
			path = value
			continue
		case name == "HOME":
			home = true
		}
		env = append(env, variable)
	}
	folders := strings.Split(path, ":")
	for _, folder := range usual {
		if !among(folder, folders) && !among(folder+"/", folders) {
			if path != "" {
				path += ":"
			}
			path += folder
		}
	}
	if !home { // scripts under "set -u" use it
		env = append(env, "HOME=/")
	}
	return append(env, "PATH="+path)
}

func among(word string, list []string) bool {
	for _, other := range list {
		if other == word {
			return true
		}
	}
	return false
}
