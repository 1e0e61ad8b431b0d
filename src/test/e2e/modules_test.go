//go:build vm

package e2e

import (
	"os"
	"path/filepath"
	"testing"
)

// A kernel without the modules, or with one of two.
func TestFaultsOfKernel(t *testing.T) {
	w := New(t)
	h := w.Host("broker")
	const blocked = "/etc/modprobe.d/tunneldigger-test.conf"
	t.Cleanup(func() {
		os.Remove(blocked)
		w.run("modprobe", "l2tp_eth")
	})
	for _, c := range []struct{ module, says string }{
		{"l2tp_eth", "the kernel has no L2TP Ethernet pseudowire (module l2tp_eth)"},
		{"l2tp_netlink", "the kernel has no L2TP (module l2tp_netlink)"},
	} {
		if err := os.WriteFile(blocked, []byte("install "+c.module+" /bin/false\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		for _, module := range []string{"l2tp_eth", "l2tp_netlink"} { // a probe may have loaded the first of them again
			_, _ = w.try("modprobe", "-r", module)
		}
		config := t.TempDir()
		if err := os.WriteFile(filepath.Join(config, "tunneldigger-broker"), []byte(anyone+"\toption datapath 'kernel'\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		h.fails("no "+c.module, []string{w.Program("tunneldigger-broker"), "-c", config}, c.says+" … OpenWrt: kmod-l2tp … Fedora, RHEL: kernel-modules-extra")
		h.fails("no "+c.module+", client", []string{w.Program("tunneldigger-client"), "-f", "-u", "x", "-b", "192.0.2.2:53", "-i", "t0", "--datapath", "kernel"},
			c.says+" … kmod-l2tp-eth")
	}
	// With all of them it runs, and loads them itself.
	os.Remove(blocked)
	_, _ = w.try("modprobe", "-r", "l2tp_eth", "l2tp_netlink")
	h.StartBroker(anyone, 8942)
}
