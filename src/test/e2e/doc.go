// Package e2e holds the end-to-end tests, which run as root in the virtual machine of vm/run, and the harness they
// stand on: hosts in network namespaces behind routers of a given MTU, programs that run on them, and meters.
//
// Everything but this page is behind the build tag vm. `make test-vm` builds the test program outside and runs it inside:
//
//	w := e2e.New(t)
//	broker, client := w.Host("broker"), w.Host("client")
//	client.SetPath(e2e.Path{MTU: 1400})
//	b := broker.StartBroker(config, 53)
//	c := client.StartClient("-u", "alice", "-b", broker.Addr4.String()+":53", "-i", "tun0")
//	client.WaitLink("tun0", 10*time.Second)
//
// A fault of the harness or a deadline that passes ends the test, and a failed test prints the log of every program it
// started. When the test ends, its programs are killed and its namespaces removed.
package e2e
