//go:build packages

package packaging

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// built is the folder with the packages for x86_64 and amd64.
var built string

// TestMain makes them, once for all tests.
func TestMain(m *testing.M) {
	status := 1
	defer func() { os.Exit(status) }()
	dir, err := os.MkdirTemp("", "packages")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	built = dir
	if err := build(built); err != nil {
		fmt.Println(err)
		return
	}
	status = m.Run()
}

func build(out string) error {
	cmd := exec.Command("./build", "x86_64", "amd64")
	cmd.Env = append(os.Environ(), "OUT="+out)
	text, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("build: %w: %s", err, text)
	}
	return nil
}

// pkg is the content of the one package that matches a pattern.
func pkg(t *testing.T, pattern string) []byte {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(built, pattern))
	if err != nil || len(paths) != 1 {
		t.Fatalf("%s: %q, %v", pattern, paths, err)
	}
	text, err := os.ReadFile(paths[0])
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestBuildIsReproducible(t *testing.T) {
	again := t.TempDir()
	if err := build(again); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(built)
	if err != nil || len(entries) != 12 {
		t.Fatalf("%d packages, want 12: %v", len(entries), err)
	}
	for _, entry := range entries {
		first, second := pkg(t, entry.Name()), []byte(nil)
		if second, err = os.ReadFile(filepath.Join(again, entry.Name())); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(first, second) {
			t.Errorf("%s is not the same when it is built again", entry.Name())
		}
	}
}

type member struct {
	*tar.Header
	text []byte
}

func (m member) String() string { return fmt.Sprintf("%o %s", m.Mode&0o7777, m.Name) }

// untar reads the first gzip stream of r, a tar of which the end may be missing, and checks what holds for all members.
func untar(t *testing.T, r io.Reader) (members []member, byName map[string]string) {
	t.Helper()
	z, err := gzip.NewReader(r)
	if err != nil {
		t.Fatal(err)
	}
	z.Multistream(false)
	byName = map[string]string{}
	for archive := tar.NewReader(z); ; {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(archive)
		if err != nil {
			t.Fatal(err)
		}
		if h.Uid != 0 || h.Gid != 0 || h.Uname != "" && h.Uname != "root" || h.Gname != "" && h.Gname != "root" {
			t.Errorf("%s belongs to %d:%d, %s:%s", h.Name, h.Uid, h.Gid, h.Uname, h.Gname)
		}
		if h.Typeflag == tar.TypeDir && h.Mode&0o7777 != 0o755 {
			t.Errorf("folder %s has mode %o", h.Name, h.Mode)
		}
		members = append(members, member{h, text})
		byName[h.Name] = string(text)
	}
	if _, err := io.Copy(io.Discard, z); err != nil { // to the end of the stream
		t.Fatal(err)
	}
	return members, byName
}

// files are the members that are files, as lines "MODE PATH".
func files(t *testing.T, members []member, prefix string) (lines []string) {
	t.Helper()
	for _, m := range members {
		if !strings.HasPrefix(m.Name, prefix) {
			t.Errorf("%q does not begin with %q", m.Name, prefix)
		}
		if m.Typeflag == tar.TypeReg {
			lines = append(lines, strings.Replace(m.String(), " "+prefix, " ", 1))
		}
	}
	sortPaths(lines)
	return lines
}

func wantLines(t *testing.T, text string, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if !strings.Contains("\n"+text, "\n"+line) {
			t.Errorf("no line that begins with %q in:\n%s", line, text)
		}
	}
}

func TestIPK(t *testing.T) {
	outer, parts := untar(t, bytes.NewReader(pkg(t, "tunneldigger-broker_*_x86_64.ipk")))
	var names []string
	for _, m := range outer {
		names = append(names, m.Name)
	}
	if want := []string{"./debian-binary", "./control.tar.gz", "./data.tar.gz"}; !slices.Equal(names, want) {
		t.Errorf("members %q, want %q", names, want)
	}
	if got := parts["./debian-binary"]; got != "2.0\n" {
		t.Errorf("debian-binary: %q", got)
	}
	members, control := untar(t, strings.NewReader(parts["./control.tar.gz"]))
	if got, want := files(t, members, "./"), []string{"644 conffiles", "644 control", "755 postinst", "755 postrm", "755 prerm"}; !slices.Equal(got, want) {
		t.Errorf("control files %q, want %q", got, want)
	}
	wantLines(t, control["./control"], "Package: tunneldigger-broker\n", "Version: 1.", "Depends: libc, kmod-l2tp, kmod-l2tp-eth, kmod-sched-core\n",
		"Conflicts: tunneldigger-broker-src\n", "License: MIT\n", "Section: net\n", "Architecture: x86_64\n", "Installed-Size: ", "Description: The server half")
	// In bytes: a program has more than two million.
	if match := regexp.MustCompile(`(?m)^Installed-Size: (\d{7,})$`).FindString(control["./control"]); match == "" {
		t.Error("the installed size is not in bytes")
	}
	if got, want := control["./conffiles"], "/etc/config/tunneldigger-broker\n"; got != want {
		t.Errorf("conffiles %q", got)
	}
	wantLines(t, control["./postrm"], "#!/bin/sh\n", "[ -n \"${IPKG_INSTROOT}\" ] || killall -HUP rpcd")
	for _, script := range []string{"./postinst", "./prerm"} {
		wantLines(t, control[script], "#!/bin/sh\n", "default_"+script[2:])
	}
	members, _ = untar(t, strings.NewReader(parts["./data.tar.gz"]))
	if got := files(t, members, "./"); !slices.Equal(got, brokerFiles) {
		t.Errorf("files\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(brokerFiles, "\n"))
	}
}

// TestAppPackages is of the app for LuCI, which has no program in it.
func TestAppPackages(t *testing.T) {
	text := pkg(t, app+"_*_all.ipk")
	if len(text) > 20000 {
		t.Errorf("the .ipk has %d bytes, want at most 20000", len(text))
	}
	_, parts := untar(t, bytes.NewReader(text))
	members, control := untar(t, strings.NewReader(parts["./control.tar.gz"]))
	if got, want := files(t, members, "./"), []string{"644 control", "755 postinst", "755 postinst-pkg", "755 prerm"}; !slices.Equal(got, want) {
		t.Errorf("control files %q, want %q", got, want)
	}
	wantLines(t, control["./control"], "Package: "+app+"\n", "Depends: libc, luci-base, tunneldigger-broker\n", "Architecture: all\n", "Description: See a")
	wantLines(t, control["./postinst-pkg"], "[ -n \"${IPKG_INSTROOT}\" ]")
	members, _ = untar(t, strings.NewReader(parts["./data.tar.gz"]))
	if got := files(t, members, "./"); !slices.Equal(got, appFiles) {
		t.Errorf("files\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(appFiles, "\n"))
	}

	r := bytes.NewReader(pkg(t, app+"_*_noarch.apk"))
	_, control = untar(t, r)
	wantLines(t, control[".PKGINFO"], "pkgname = "+app+"\n", "arch = noarch\n", "depend = luci-base\n", "depend = tunneldigger-broker\n")
	wantLines(t, control[".post-install"], "#!/bin/sh\n", "default_postinst", "[ -n \"${IPKG_INSTROOT}\" ] || {")
	members, _ = untar(t, r)
	want := append(slices.Clone(appFiles), "644 lib/apk/packages/"+app+".list")
	sortPaths(want)
	if got := files(t, members, ""); !slices.Equal(got, want) {
		t.Errorf("files\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestAPK(t *testing.T) {
	r := bytes.NewReader(pkg(t, "tunneldigger-broker_*_x86_64.apk")) // a ByteReader: gzip does not read ahead
	members, control := untar(t, r)
	var names []string
	for _, m := range members {
		names = append(names, m.Name)
	}
	if want := []string{".PKGINFO", ".post-deinstall", ".post-install", ".post-upgrade", ".pre-deinstall"}; !slices.Equal(names, want) {
		t.Errorf("control segment %q, want %q", names, want)
	}
	wantLines(t, control[".PKGINFO"], "pkgname = tunneldigger-broker\n", "pkgver = 1.", "arch = x86_64\n", "depend = libc\n", "depend = kmod-l2tp\n",
		"depend = kmod-l2tp-eth\n", "depend = kmod-sched-core\n", "depend = !tunneldigger-broker-src\n", "license = MIT\n", "pkgdesc = The server half")
	wantLines(t, control[".post-install"], "#!/bin/sh\n", "add_group_and_user\n", "default_postinst")
	wantLines(t, control[".post-upgrade"], "#!/bin/sh\n", "export PKG_UPGRADE=1\n", "default_postinst")
	wantLines(t, control[".pre-deinstall"], "#!/bin/sh\n", "default_prerm")
	wantLines(t, control[".post-deinstall"], "#!/bin/sh\n", "[ -n \"${IPKG_INSTROOT}\" ] || killall -HUP rpcd")

	members, data := untar(t, r)
	const lists = "lib/apk/packages/tunneldigger-broker."
	want := append(slices.Clone(brokerFiles), "644 "+lists+"conffiles", "644 "+lists+"conffiles_static", "644 "+lists+"list")
	sortPaths(want)
	if got := files(t, members, ""); !slices.Equal(got, want) {
		t.Errorf("files\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for _, m := range members {
		sum := sha1.Sum(m.text)
		if got := m.PAXRecords["APK-TOOLS.checksum.SHA1"]; m.Typeflag == tar.TypeReg && got != hex.EncodeToString(sum[:]) {
			t.Errorf("%s has the check sum %q", m.Name, got)
		}
	}
	listed := ""
	for _, line := range brokerFiles {
		listed += "/" + line[4:] + "\n"
	}
	if got := data[lists+"list"]; got != listed {
		t.Errorf("list:\n%s\nwant:\n%s", got, listed)
	}
	wantLines(t, data[lists+"conffiles_static"], "/etc/config/tunneldigger-broker ")
}

func TestDeb(t *testing.T) {
	path := filepath.Join(t.TempDir(), "broker.deb")
	if err := os.WriteFile(path, pkg(t, "tunneldigger-broker_*_amd64.deb"), 0o644); err != nil {
		t.Fatal(err)
	}
	dpkg := func(args ...string) string {
		out, err := exec.Command("dpkg-deb", append(args, path)...).CombinedOutput()
		if err != nil {
			t.Fatalf("dpkg-deb: %v: %s", err, out)
		}
		return string(out)
	}
	wantLines(t, dpkg("-f"), "Package: tunneldigger-broker\n", "Architecture: amd64\n", "Section: net\n", "Recommends: kmod\n", "Description: Broker for")
	tree := t.TempDir()
	if out, err := exec.Command("dpkg-deb", "-R", path, tree).CombinedOutput(); err != nil {
		t.Fatalf("dpkg-deb: %v: %s", err, out)
	}
	if text, err := os.ReadFile(tree + "/DEBIAN/conffiles"); err != nil || string(text) != "/etc/config/tunneldigger-broker\n" {
		t.Errorf("conffiles %q, %v", text, err)
	}
	for _, path := range []string{
		"usr/bin/tunneldigger-broker", "usr/lib/systemd/system/tunneldigger-broker.service", "usr/lib/systemd/system/tunneldigger-broker@.service",
		"usr/lib/modules-load.d/tunneldigger-broker.conf", "usr/share/man/man8/tunneldigger-broker.8.gz", "usr/share/man/man5/tunneldigger-broker.5.gz",
		"usr/share/bash-completion/completions/tunneldigger-broker", "usr/share/doc/tunneldigger-broker/copyright",
		"usr/share/doc/tunneldigger-broker/examples/tunneldigger-broker-metrics.service",
		"usr/share/doc/tunneldigger-broker/examples/tunneldigger-broker-metrics.timer",
		"usr/share/doc/tunneldigger-broker/examples/tunneldigger.lua",
		"usr/share/doc/tunneldigger-broker/examples/alerts.yml",
		"usr/share/doc/tunneldigger-broker/examples/grafana-broker.json",
		"usr/share/doc/tunneldigger-broker/examples/grafana-brokers.json",
		"etc/hotplug.d/tunneldigger", "usr/share/tunneldigger-broker/hooks/README", "usr/share/tunneldigger-broker/hooks-old-rights.conf",
		"usr/share/doc/tunneldigger-broker/examples/vectors.json",
		"usr/share/doc/tunneldigger-broker/examples/status.schema.json",
	} {
		if _, err := os.Stat(filepath.Join(tree, path)); err != nil {
			t.Error(err)
		}
	}
	testDocuments(t, filepath.Join(tree, "usr/share/doc/tunneldigger-broker"))
	for _, line := range strings.Split(strings.TrimSpace(dpkg("-c")), "\n") {
		if !strings.Contains(line, " root/root ") {
			t.Errorf("not root's: %s", line)
		}
	}
}

// testDocuments wants README.md and all of files/doc in a folder, with links that lead from one to the other there.
func testDocuments(t *testing.T, dir string) {
	t.Helper()
	sources, err := filepath.Glob("../../files/doc/*")
	if err != nil || len(sources) < 5 {
		t.Fatalf("%q, %v", sources, err)
	}
	for _, source := range append(sources, "../../README.md", "../../CHANGELOG.md") {
		text, err := os.ReadFile(filepath.Join(dir, filepath.Base(source)))
		if err != nil {
			t.Error(err)
		}
		for _, match := range regexp.MustCompile(`\]\(([^)#\s]+)`).FindAllStringSubmatch(string(text), -1) {
			if _, err := os.Stat(filepath.Join(dir, match[1])); err != nil && !strings.Contains(match[1], "://") {
				t.Errorf("%s: %v", filepath.Base(source), err)
			}
		}
	}
}
