//go:build vm

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A broker starts with each of the default files that the Python broker's releases and OpenWrt's packages brought, and
// clients get their tunnels. One is behind a path whose MTU a broker that discovers finds out; with the file that
// switches discovery off its tunnel has the MTU that it had.
func TestOlderFiles(t *testing.T) {
	const folder = "../../config/testdata/older"
	w := New(t)
	server, router, narrow := w.Host("broker"), w.Host("client"), w.Host("narrow")
	server.IP("link add br-mesh mtu 1446 type bridge", "link set br-mesh up")
	narrow.SetPath(Path{MTU: 1400})
	files, err := os.ReadDir(folder)
	if err != nil || len(files) < 10 {
		t.Fatalf("%d files: %v", len(files), err)
	}
	for _, entry := range files {
		name := entry.Name()
		text, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil {
			t.Fatal(err)
		}
		mine := strings.Replace(string(text), "address=192.0.2.1\n", "address="+server.Addr4.String()+"\n", 1)
		b := &Broker{Config: t.TempDir()}
		file := filepath.Join(b.Config, "tunneldigger-broker")
		args := []string{w.Program("tunneldigger-broker"), "--socket", b.socket()}
		if strings.HasSuffix(name, ".cfg") {
			args = append(args, file+".cfg")
			if err := os.WriteFile(file+".cfg", []byte(mine), 0o644); err != nil {
				t.Fatal(err)
			}
		} else {
			b.Write(w, mine)
			if err := os.WriteFile(filepath.Join(b.Config, "devices"), []byte("wan eth0\n"), 0o644); err != nil {
				t.Fatal(err)
			}
			args = append(args, "-c", b.Config, "--devices", filepath.Join(b.Config, "devices"))
		}
		b.Process = server.Start("broker with "+name, args...)
		server.WaitBound(b.Process, 53, 123, 8942)
		client := router.StartClient("-f", "-u", "node", "-b", fmt.Sprintf("%v:123", server.Addr4), "-i", "tun0")
		far := narrow.StartClient("-f", "-u", "far", "-b", fmt.Sprintf("%v:53", server.Addr4), "-i", "tun1")
		iface, slow := b.tunnelOf("node"), b.tunnelOf("far")
		router.WaitLink("tun0", soon)
		narrow.WaitLink("tun1", soon)
		for _, l := range server.Links(iface) {
			if bridge := strings.Contains(string(text), "br-mesh"); l.MTU != 1446 || !l.Up() || bridge != (l.Master == "br-mesh") {
				t.Errorf("%s: %+v", name, l)
			}
		}
		mtu := server.mtuOf(slow)
		switch name {
		case "server-0.1.cfg":
			w.Wait(soon, "the MTU of the path", func() bool { return mtu() == 1346 })
		case "server-0.1-fixed.cfg":
			// The client asks for longer than it waits for answers, and is told the MTU instead.
			told := narrow.mtuOf("tun1")
			w.Wait(soon, "the client with the fixed MTU", func() bool { return told() == 1446 })
			if now := mtu(); now != 1446 {
				t.Errorf("%s: MTU %d, want 1446", name, now)
			}
		}
		if log := b.Log(); strings.Contains(log, "error:") {
			t.Errorf("%s: the log has an error:\n%s", name, log)
		}
		for _, p := range []*Process{client, far, b.Process} {
			if status := p.Stop(soon); status != 0 {
				t.Errorf("%s: ended with %d", name, status)
			}
		}
		if left := server.LinkNames("l2tp"); len(left) > 0 {
			t.Errorf("%s: left behind: %q", name, left)
		}
	}
}
