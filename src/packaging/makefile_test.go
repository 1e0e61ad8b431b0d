package packaging

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// recipe runs a target of the broker's Makefile for OpenWrt with the stubs of OpenWrt's build system.
func recipe(t *testing.T, args ...string) string {
	t.Helper()
	return recipeOf(t, "tunneldigger-broker", args...)
}

// recipeOf runs a target of the Makefile in a folder of openwrt.
func recipeOf(t *testing.T, room string, args ...string) string {
	t.Helper()
	stubs, err := filepath.Abs("openwrt")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("make", append([]string{"-s", "-C", "../../openwrt/" + room, "TOPDIR=" + stubs}, args...)...)
	cmd.Env = append(os.Environ(), "MAKEFLAGS=", "MAKELEVEL=")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("make %q: %v: %s", args, err, out)
	}
	return string(out)
}

func TestMakefileFields(t *testing.T) {
	all := recipe(t, "show", "show-tunneldigger-broker")
	for _, want := range []string{
		"GO_PKG: tunneldigger\n", "PKG_LICENSE: MIT\n", "PKG_LICENSE_FILES: LICENSE\n", "PKG_BUILD_DEPENDS: golang/host\n",
		"PKG_BUILD_FLAGS: no-mips16\n", "Package: tunneldigger-broker\n", "Depends: libc, kmod-l2tp, kmod-l2tp-eth, kmod-sched-core\n",
		"Conflicts: tunneldigger-broker-src\n", "Section: net\n", "main.version=", "LicenseFiles: LICENSE\n",
		"Source: feeds/tunneldigger/openwrt/tunneldigger-broker\n", "SourceName: tunneldigger-broker\n",
	} {
		if !strings.Contains(all, want) {
			t.Errorf("no %q in:\n%s", want, all)
		}
	}
	// Nobody is named who does not answer.
	if strings.Contains(all, "\nMaintainer:") || strings.Contains(all, "\nURL:") {
		t.Errorf("a maintainer or a URL that nobody gave:\n%s", all)
	}
	published := recipe(t, "show-tunneldigger-client", "TUNNELDIGGER_MAINTAINER=Mesh Network <mesh@example.org>", "TUNNELDIGGER_URL=https://mesh.example.org")
	if !strings.Contains(published, "URL: https://mesh.example.org\nMaintainer: Mesh Network <mesh@example.org>\n") {
		t.Errorf("published:\n%s", published)
	}
	// What the build depends on is known before package.mk makes a stamp of it, and is all that is copied or installed.
	top, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	var depends []string
	for _, name := range []string{"src", "files", "go.mod", "go.sum", "LICENSE"} {
		depends = append(depends, filepath.Join(top, name))
	}
	if want := "PKG_FILE_DEPENDS_SEEN: " + strings.Join(depends, " ") + "\n"; !strings.Contains(all, want) {
		t.Errorf("no %q in:\n%s", want, all)
	}
	if got := recipe(t, "show-tunneldigger-client"); !strings.Contains(got, "Package: tunneldigger-client\n") || strings.Contains(got, "Conflicts") {
		t.Errorf("the client:\n%s", got)
	}
	text, err := os.ReadFile("../../openwrt/tunneldigger-broker/Makefile")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"include $(TOPDIR)/feeds/packages/lang/golang/golang-package.mk\n", "DEPENDS:=$(GO_ARCH_DEPENDS) "} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %q", want)
		}
	}
}

// TestMakefileInstall has make install into a folder, which fails for a file that does not exist.
func TestMakefileInstall(t *testing.T) {
	built, root := t.TempDir(), t.TempDir()
	for _, name := range []string{"tunneldigger-broker", "tunneldigger-client"} {
		if err := os.WriteFile(filepath.Join(built, name), nil, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string][]string{"tunneldigger-broker": brokerFiles, "tunneldigger-client": {"755 usr/bin/tunneldigger-client"}} {
		dir := filepath.Join(root, name)
		recipe(t, "GO_PKG_BUILD_BIN_DIR="+built, "DESTDIR="+dir, "install-"+name)
		out, err := exec.Command("find", dir, "-type", "f", "-printf", "%m %P\n").Output()
		if err != nil {
			t.Fatal(err)
		}
		got := strings.Split(strings.TrimSpace(string(out)), "\n")
		sortPaths(got)
		if !slices.Equal(got, want) {
			t.Errorf("%s installs\n%s\nwant\n%s", name, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		for _, path := range strings.Fields(recipe(t, "conffiles-"+name)) {
			if _, err := os.Stat(dir + path); err != nil {
				t.Errorf("conffiles: %v", err)
			}
		}
	}
}

// brokerFiles are the files of the broker's package for OpenWrt, with their modes.
var brokerFiles = []string{
	"644 etc/capabilities/tunneldigger-broker.json",
	"600 etc/config/tunneldigger-broker",
	"755 etc/init.d/tunneldigger-broker",
	"755 etc/uci-defaults/tunneldigger-broker",
	"644 lib/upgrade/keep.d/tunneldigger-broker",
	"755 usr/bin/tunneldigger-broker",
	"644 usr/lib/lua/prometheus-collectors/tunneldigger.lua",
	"755 usr/libexec/rpcd/tunneldigger-broker",
	"644 usr/share/rpcd/acl.d/tunneldigger-broker.json",
	"644 usr/share/tunneldigger-broker/hooks/50-babel",
	"644 usr/share/tunneldigger-broker/hooks/50-batman-adv",
	"644 usr/share/tunneldigger-broker/hooks/50-olsr",
	"644 usr/share/tunneldigger-broker/hooks/60-nft-block",
	"644 usr/share/tunneldigger-broker/hooks/README",
	"644 usr/share/ucode/node-exporter/lib/tunneldigger.uc",
}

// sortPaths sorts lines "MODE PATH" by path.
func sortPaths(lines []string) {
	slices.SortFunc(lines, func(a, b string) int { return strings.Compare(a[4:], b[4:]) })
}

// TestPostrm has rpcd look again after removal, but not that of the machine that builds an image.
func TestPostrm(t *testing.T) {
	script := recipe(t, "postrm-tunneldigger-broker")
	for _, root := range []string{"", "/build/root"} {
		cmd := exec.Command("busybox", "ash", "-c", "killall() { echo killall $*; return 1; }; "+strings.ReplaceAll(script, "2>/dev/null", ""))
		cmd.Env = append(os.Environ(), "IPKG_INSTROOT="+root)
		out, err := cmd.CombinedOutput()
		if want := map[bool]string{true: "killall -HUP rpcd\n"}[root == ""]; err != nil || string(out) != want {
			t.Errorf("root %q: %q, %v; want %q", root, out, err, want)
		}
	}
	if !strings.HasPrefix(script, "#!/bin/sh\n") {
		t.Errorf("it begins with %q", script[:20])
	}
	if script := recipe(t, "postrm-tunneldigger-client"); strings.TrimSpace(script) != "" {
		t.Errorf("the client's: %q", script)
	}
}

// TestMakefilePrepare has what the build needs copied from the repository that the feed is.
func TestMakefilePrepare(t *testing.T) {
	dir := t.TempDir()
	recipe(t, "PKG_BUILD_DIR="+dir, "prepare")
	for _, path := range []string{"go.mod", "go.sum", "LICENSE", "src/cmd/tunneldigger-broker/main.go", "src/cmd/tunneldigger-client/main.go"} {
		if _, err := os.Stat(filepath.Join(dir, path)); err != nil {
			t.Error(err)
		}
	}
}

func TestFeedTest(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"tunneldigger-broker", "tunneldigger-client"} {
		program := "#!/bin/sh\n[ \"$1\" != --version ] || echo " + name + " 1.2.3-r1\n"
		if err := os.WriteFile(filepath.Join(dir, name), []byte(program), 0o755); err != nil {
			t.Fatal(err)
		}
		for version, want := range map[string]bool{"1.2.3": true, "1.2.4": false} {
			cmd := exec.Command("busybox", "ash", "../../openwrt/tunneldigger-broker/test.sh", name, version)
			cmd.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"))
			if err := cmd.Run(); (err == nil) != want {
				t.Errorf("%s %s: %v", name, version, err)
			}
		}
	}
}
