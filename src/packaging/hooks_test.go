package packaging

import (
	"os/exec"
	"strings"
	"testing"
)

// TestHooks runs the examples under busybox ash with functions in the place of the tools that they call.
func TestHooks(t *testing.T) {
	const tools = `ip() { echo "ip $*"; }; nft() { echo "nft $*"; grep element; }; nc() { echo "nc $* <$(cat)" >&3; }; . "$0"`
	for _, test := range []struct{ hook, environment, want string }{
		{"50-babel", "ACTION=session.up INTERFACE=l2tp1-1", "ip addr add 192.0.2.1/32 dev l2tp1-1\nnc ::1 33123 <interface l2tp1-1 type tunnel\n"},
		{"50-babel", "ACTION=session.pre-down INTERFACE=l2tp1-1", "nc ::1 33123 <flush interface l2tp1-1\n"},
		{"50-babel", "ACTION=session.down INTERFACE=l2tp1-1", ""},
		{"50-olsr", "ACTION=session.up INTERFACE=l2tp1-1", "ip addr add 192.0.2.1/32 dev l2tp1-1\n"},
		{"50-olsr", "ACTION=session.mtu-changed INTERFACE=l2tp1-1", ""},
		{"50-batman-adv", "ACTION=session.down INTERFACE=l2tp1-1 BROKER=wan", ""},
		{"60-nft-block", "ACTION=broker.connection-rate-limit ENDPOINT_IP=192.0.2.7", "nft -f -\nadd element inet tunneldigger block4 { 192.0.2.7 timeout 10m }\n"},
		{"60-nft-block", "ACTION=broker.connection-rate-limit ENDPOINT_IP=2001:db8::7", "nft -f -\nadd element inet tunneldigger block6 { 2001:db8::7/64 timeout 10m }\n"},
		{"60-nft-block", "ACTION=broker.connection-rate-limit ENDPOINT_IP=fe80::1%2", ""},
		{"60-nft-block", "ACTION=session.up ENDPOINT_IP=192.0.2.7", ""},
		// procd offers every folder of /etc/hotplug.d as an object of ubus: any action, without facts, or none.
		{"50-babel", "", ""}, {"50-babel", "ACTION=session.up", ""}, {"50-babel", "ACTION=session.pre-down", ""},
		{"50-olsr", "", ""}, {"50-olsr", "ACTION=session.up", ""},
		{"50-batman-adv", "", ""}, {"50-batman-adv", "ACTION=session.up", ""}, {"50-batman-adv", "ACTION=session.up INTERFACE= BROKER=wan", ""},
		{"60-nft-block", "", ""}, {"60-nft-block", "ACTION=broker.connection-rate-limit", ""},
	} {
		cmd := exec.Command("busybox", "ash", "-c", "exec 3>&1; "+tools, "../../files/hooks/"+test.hook)
		cmd.Env = append(cmd.Environ(), strings.Fields(test.environment)...)
		out, err := cmd.CombinedOutput()
		if err != nil || string(out) != test.want {
			t.Errorf("%s with %s: %q, %v; want %q", test.hook, test.environment, out, err, test.want)
		}
	}
}
