package packaging

import (
	"strings"
	"testing"
)

func TestDisabled(t *testing.T) {
	r := newRouter(t)
	r.config(broker("wan", "enabled '0'", "interface 'wan'"))
	r.want("start", "stopped")
	r.has("config_trigger tunneldigger-broker")
	r.hasNot("interface_trigger")
	r.config(broker("wan", "enabled '1'", "interface 'wan'"))
	r.want("reload", "started")
	r.config(broker("wan", "enabled '0'", "interface 'wan'"))
	r.want("reload", "stopped")
}

func TestStart(t *testing.T) {
	r := newRouter(t)
	r.config(broker("wan", "interface 'wan'"))
	r.want("start", "started")
	devices := r.root + "/var/run/tunneldigger-broker/devices"
	r.has("command "+r.root+"/usr/bin/tunneldigger-broker -c "+r.root+"/etc/config --devices "+devices+" --end-with-parent --syslog",
		"file "+r.root+"/etc/config/tunneldigger-broker "+devices,
		"reload_signal HUP", "respawn 3600 1 0", "term_timeout 15", "limits nofile=65535 65535", "stderr 1",
		"config_trigger tunneldigger-broker", "interface_trigger wan")
	r.hasNot("env")
	r.hasNot("jail")
	r.devices("wan eth1\n")
	r.want("stop", "stopped")
}

func TestSmallRouterWithJail(t *testing.T) {
	r := newRouter(t)
	r.write("proc/meminfo", "MemTotal:          60000 kB\n")
	r.write("sbin/ujail", "")
	r.config(broker("wan"))
	r.want("start", "started")
	r.has("env GOMEMLIMIT=15000KiB", "jail tunneldigger-broker", "no_new_privs 1",
		"capabilities /etc/capabilities/tunneldigger-broker.json")
	r.hasNot("interface_trigger")
	r.devices("")
	r.write("etc/tunneldigger/capabilities.json", "{}")
	r.want("reload", "HUP")
	r.has("capabilities " + r.root + "/etc/tunneldigger/capabilities.json")
}

func TestTwoSections(t *testing.T) {
	r := newRouter(t)
	r.network("wan pppoe-wan", "lan br-lan")
	r.config(broker("one", "interface 'wan'") + broker("", "interface 'mesh'") + broker("off", "enabled 'no'", "interface 'lan'") +
		broker("two", "interface 'eth0.2'") + "config bridge\n\toption interface 'br-mesh'\n")
	r.want("start", "started")
	r.has("interface_trigger wan", "interface_trigger mesh", "interface_trigger eth0.2")
	r.hasNot("interface_trigger lan")
	r.hasNot("interface_trigger br-mesh")
	r.devices("wan pppoe-wan\nmesh\n")
}

// A bridge by the name of an interface, as the first packages of the Python broker had it.
func TestBridgeOfInterface(t *testing.T) {
	r := newRouter(t)
	r.network("mesh br-mesh")
	r.config(broker("one", "list port '53'") + "config bridge\n\toption mtu '1446'\n\toption interface 'mesh'\n")
	r.want("start", "started")
	r.has("interface_trigger mesh")
	r.devices("mesh br-mesh\n")
	r.network("")
	r.want("reload", "HUP")
	r.devices("mesh\n")
}

func TestInterfaceChanges(t *testing.T) {
	r := newRouter(t)
	r.network("lan br-lan")
	r.config(broker("wan", "interface 'wan'"))
	r.want("start", "started")
	r.devices("wan\n")
	r.network("lan br-lan", "wan pppoe-wan")
	r.want("reload", "HUP")
	r.devices("wan pppoe-wan\n")
	r.want("reload", "nothing") // a new address
	r.network("wan eth1")
	r.want("reload", "HUP")
	r.devices("wan eth1\n")
	r.network("lan br-lan")
	r.want("reload", "HUP")
	r.devices("wan\n")
}

// What changes is told the running broker and never restarts it.
func TestConfigurationChanges(t *testing.T) {
	r := newRouter(t)
	r.config(broker("wan", "interface 'wan'"))
	r.want("start", "started")
	r.want("reload", "nothing")
	r.config(broker("wan", "interface 'wan'", "max_tunnels '10'"))
	r.want("reload", "HUP")
	r.config(broker("wan", "interface 'wan'", "max_tunnels '10'") + broker("more", "interface 'mesh'"))
	r.network("wan eth1", "mesh br-mesh")
	r.want("reload", "HUP")
	r.has("interface_trigger wan", "interface_trigger mesh")
	r.devices("wan eth1\nmesh br-mesh\n")
	for _, change := range []func(){
		func() { r.write("proc/meminfo", "MemTotal:          60000 kB\n") },
		func() { r.write("sbin/ujail", "") },
	} {
		change()
		r.want("reload", "HUP")
	}
	r.want("restart", "restarted")
	r.hasNot("asked")
}

func TestWrongConfiguration(t *testing.T) {
	const fault = "/etc/config/tunneldigger-broker:3: broker 'wan': port '70000': want 1–65535\n"
	r := newRouter(t)
	r.config(broker("wan", "interface 'wan'", "port '70000'"))
	r.faults(fault)
	r.want("start", "stopped")
	if r.log != fault {
		t.Errorf("log: %q", r.log)
	}
	r.has("config_trigger tunneldigger-broker", "interface_trigger wan") // or nothing would start it when it is mended
	r.faults("")
	r.want("reload", "started")
	r.config(broker("wan", "interface 'wan'", "port '70001'"))
	r.faults(fault)
	for _, action := range []string{"reload", "start"} {
		r.want(action, "nothing")
		if r.log != fault {
			t.Errorf("log: %q", r.log)
		}
	}
}

func TestCommands(t *testing.T) {
	r := newRouter(t)
	r.config(broker("wan", "interface 'wan'"))
	r.say("status", "inactive\n", 3)
	r.want("start", "started")
	text := read(t, "src/status/testdata/table.txt")
	tunnels, summary, _ := strings.Cut(text, "\ntunneldigger-broker ")
	r.set("status", tunnels+"\n\ntunneldigger-broker "+summary)
	r.say("status", "running\ntunneldigger-broker "+summary, 0)
	r.say("tunnels", tunnels+"\n", 0)
	r.say("drain", "done drain\n", 0)
	r.say("undrain", "done drain off\n", 0)
	r.say("check", "", 0)
	r.set("refuses", "no broker answers there\n")
	r.say("drain", "no broker answers there\n", 1)
	r.say("tunnels", "no broker answers there\n", 1)
	r.say("status", "running\nno broker answers there\n", 0)
}

// Without the package manager stop stops.
func TestStop(t *testing.T) {
	r := newRouter(t)
	r.config(broker("wan", "interface 'wan'"))
	r.want("start", "started")
	r.want("stop", "stopped")
	r.want("start", "started")
}
