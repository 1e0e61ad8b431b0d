//go:build vm

package e2e

import "os"

// Inside marks the virtual machine; vm/run makes it.
const Inside = "/run/tunneldigger-vm"

// native reports whether tests run on the machine itself, with the programs' own data path.
const native = false

// ready makes sure that a world may be made here.
func (w *World) ready() {
	w.T.Helper()
	if _, err := os.Stat(Inside); err != nil {
		w.T.Fatal("end-to-end tests change the network of the machine they run on: run them with `make test-vm`, or `make test-native`")
	}
	w.run("modprobe", "-a", "l2tp_eth", "sch_htb", "sch_fq_codel", "sch_netem", "veth", "bridge", "batman_adv")
}

// carried has the broker sections of a UCI text use the data path that is tried here: the kernel's, by default.
func carried(config string) string { return config }

// clientPath are a client's options for the same.
var clientPath []string
