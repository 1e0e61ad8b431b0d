package architecture

import (
	"slices"
	"testing"
)

// TestTree holds the rules up to this tree.
func TestTree(t *testing.T) {
	tree, err := read("../..")
	if err != nil {
		t.Fatal(err)
	}
	if len(tree.packages) < 10 {
		t.Fatalf("only %d packages found: this looks at the wrong place", len(tree.packages))
	}
	for _, fault := range tree.faults() {
		t.Error(fault)
	}
}

// TestFaultsAreFound holds them up to trees that break one rule each.
func TestFaultsAreFound(t *testing.T) {
	const doc = "// Package x is there.\n"
	long := make([]byte, maxLines+1)
	for i := range long {
		long[i] = '\n'
	}
	for _, test := range []struct {
		name   string
		files  map[string]string
		faults []string
	}{
		{"no fault", map[string]string{
			"src/wire/wire.go":                       doc + "package wire\nimport _ \"net/netip\"\n",
			"src/broker/broker.go":                   doc + "package broker\nimport _ \"tunneldigger/src/wire\"\n",
			"src/broker/clock_test.go":               "package broker\nimport \"time\"\nvar _ = time.Now\n",
			"src/cmd/tunneldigger-broker/program.go": doc + "package main\nimport \"os\"\nfunc main() { os.Exit(1) }\n",
		}, nil},
		{"pure package does input and output", map[string]string{
			"src/wire/wire.go": doc + "package wire\nimport (\n_ \"net\"\n_ \"os/exec\"\n_ \"golang.org/x/sys/unix\"\n)\n",
		}, []string{
			"src/wire: imports net, which is too large for a router's flash",
			"src/wire: imports os/exec, which is too large for a router's flash",
			"src/wire: is pure and imports golang.org/x/sys/unix",
			"src/wire: is pure and imports net",
			"src/wire: is pure and imports os/exec",
		}},
		{"pure package reads the clock", map[string]string{
			"src/wire/wire.go": doc + "package wire\nimport \"time\"\nvar Start = time.Now()\n",
			"src/pmtu/pmtu.go": doc + "package pmtu\nimport clock \"time\"\nvar Now = clock.Now\n",
		}, []string{
			"src/pmtu/pmtu.go:4: a pure package uses time.Now",
			"src/wire/wire.go:4: a pure package uses time.Now",
		}},
		{"pure package starts a goroutine", map[string]string{
			"src/wire/wire.go":     doc + "package wire\nfunc f() {\ngo f()\n}\n",
			"src/daemon/daemon.go": doc + "package daemon\nfunc f() { go f() }\n",
		}, []string{"src/wire/wire.go:4: a pure package starts a goroutine"}},
		{"import against the direction", map[string]string{
			"src/wire/wire.go":     doc + "package wire\nimport _ \"tunneldigger/src/broker\"\n",
			"src/broker/broker.go": doc + "package broker\n",
			"src/link/link.go":     doc + "package link\nimport _ \"tunneldigger/src/nl\"\n",
			"src/nl/nl.go":         doc + "package nl\n",
			"src/sock/sock.go":     doc + "package sock\nimport _ \"tunneldigger/src/nl\"\n",
		}, []string{
			"src/sock: may not import src/nl",
			"src/wire: may not import src/broker",
		}},
		{"package that nobody placed", map[string]string{"src/utils/utils.go": doc + "package utils\n"},
			[]string{"src/utils: has no place yet: give it one in src/architecture"}},
		{"no package comment", map[string]string{"src/wire/wire.go": "package wire\n"},
			[]string{"src/wire: has no package comment"}},
		{"large package", map[string]string{"src/nl/nl.go": doc + "package nl\nimport _ \"regexp\"\n"},
			[]string{"src/nl: imports regexp, which is too large for a router's flash"}},
		{"what costs as much", map[string]string{
			"src/hook/hook.go":    doc + "package hook\nimport \"os\"\nimport \"time\"\nvar _, _ = os.Stat, time.After\nvar _ struct {\nx, y time.Time\n}\n",
			"src/hook/servers.go": "//go:build !router\n\npackage hook\nimport \"os\"\nvar _ = os.ReadFile\n",
			"src/web/web.go":      doc + "package web\nimport \"os\"\nimport \"fmt\"\nvar _, _ = os.Stat, fmt.Sprint\n",
		}, []string{
			"src/hook/hook.go:5: os.Stat costs more of a router's flash than it is worth",
			"src/hook/hook.go:5: time.After costs more of a router's flash than it is worth",
			"src/hook/hook.go:7: a time.Time in a struct costs a router 50 kB of flash: want the time since boot, of src/clock",
		}},
		{"exit outside of cmd", map[string]string{
			"src/daemon/daemon.go": doc + "package daemon\nimport \"os\"\nimport \"log\"\nfunc f() { os.Exit(1); log.Fatal() }\n",
		}, []string{
			"src/daemon/daemon.go:5: only src/cmd may use log.Fatal",
			"src/daemon/daemon.go:5: only src/cmd may use os.Exit",
		}},
		{"long file", map[string]string{
			"src/wire/wire.go": doc + "package wire\n" + string(long),
		}, []string{"src/wire/wire.go: 303 lines are more than 300: split it, or give the reason in src/README.md"}},
		{"long file with a reason", map[string]string{
			"src/wire/wire.go": doc + "package wire\n" + string(long),
			"src/README.md":    "* `src/wire/wire.go`: one table\n* `src/wire/gone.go`: a reason that went\n",
		}, []string{"src/README.md: src/wire/gone.go has a reason to be long and is not"}},
		{"file that does not parse", map[string]string{"src/wire/wire.go": doc + "package wire\nfunc {\n"},
			[]string{"src/wire/wire.go:3:6: expected 'IDENT', found '{'"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			root := t.TempDir()
			write(t, root, map[string]string{"go.mod": "module tunneldigger\n", "src/README.md": ""})
			write(t, root, test.files)
			tree, err := read(root)
			if err != nil {
				t.Fatal(err)
			}
			if faults := tree.faults(); !slices.Equal(faults, test.faults) {
				t.Errorf("found %q\n want %q", faults, test.faults)
			}
		})
	}
}
