package hook

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestArgumentsEnvironmentAndOutput(t *testing.T) {
	t.Setenv("SETTING", "of the operator")
	t.Setenv("NOTIFY_SOCKET", "/run/systemd/notify")
	t.Setenv("OLD_MTU", "of another event")
	t.Setenv("ACTION", "of whoever started the broker")
	t.Setenv("PATH", "/opt/mesh/bin:/usr/bin")
	here, before := t.TempDir(), workingDirectory(t)
	if err := os.Chdir(here); err != nil {
		t.Fatal(err)
	}
	defer os.Chdir(before)
	b := newBench(t, 2)
	b.script("helper", "greeting=hello\n")
	path := b.script("up", `#!/bin/sh
. "${0%/*}/helper"
echo "args $# $1 $2"
echo "env $greeting $ACTION [$SETTING] [$NOTIFY_SOCKET$OLD_MTU]"
echo "path $PATH"
read line; echo "stdin [$line]"
echo "at $(pwd -P)" >&2
ls /proc/self/fd | wc -l
`)
	b.Run(Request{Event: "session.up", Tunnel: 100, Program: path, Args: []string{"100", "a b"}, Env: []string{"ACTION=session.up"}, Tag: 7, Key: 3})
	res := b.results(1)[0]
	if res.Err != nil || res.Status != 0 || res.Tag != 7 || res.Key != 3 || res.Event != "session.up" || res.Duration <= 0 {
		t.Errorf("result %+v", res)
	}
	for _, want := range []string{
		`"args 2 100 a b"`, `"env hello session.up [of the operator] []"`, `"stdin []"`, `"at ` + here + `"`,
		`"path /opt/mesh/bin:/usr/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/sbin:/bin"`,
		fmt.Sprint(4 + inherited(t)), // 0, 1, 2 and the directory itself: no descriptor of the daemon's
	} {
		if !b.logged("info: hook output event=session.up tunnel=100 hook=" + path + " line=" + want) {
			t.Errorf("log lacks %q:\n%s", want, b.dump())
		}
	}
}

func workingDirectory(t *testing.T) string {
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// inherited counts the descriptors above 2 that whoever started the test let every child have.
func inherited(t *testing.T) (n int) {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		var fd int
		fmt.Sscan(entry.Name(), &fd)
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil && fd > 2 && flags&unix.FD_CLOEXEC == 0 {
			n++
		}
	}
	return n
}

func TestOutputIsBoundedAndHarmless(t *testing.T) {
	b := newBench(t, 1)
	long := b.script("long", "#!/bin/sh\nprintf 'tab\\there \\033[31m\\377 caf\\303\\251\\r\\n'; head -c 5000 /dev/zero | tr '\\0' x; echo; yes | head -n 300; printf end\n")
	b.Run(Request{Event: "e", Program: long})
	b.results(1)
	for _, want := range []string{
		`line="tab\there \x1b[31m\xff café"`,
		"line=" + strings.Repeat("x", 1024) + "…",
		"warning: hook output left out event=e hook=" + long + " lines=203",
	} {
		if !b.logged(want) {
			t.Errorf("log lacks %q:\n%s", want, b.dump())
		}
	}
	if n := strings.Count(b.dump(), "\n"); n != maxLines+1 {
		t.Errorf("%d lines logged", n)
	}
}

func TestDirectory(t *testing.T) {
	b := newBench(t, 1)
	say := "#!/bin/sh\necho $0 | sed 's,.*/,,' >> " + b.dir + "/ran\n"
	single := b.script("single", say)
	for _, name := range []string{"20-b", "10-a", "README", "README.txt", "notes.md", ".hidden"} {
		b.script("d/"+name, say)
	}
	plain := b.script("d/15-plain", say)
	noexec := b.script("d/17-noexec", "echo no first line\n")
	b.script("d/18-dos", "#!/bin/sh\r\necho\r\n")
	b.script("d/19-fails", "#!/bin/sh\nexit 3\n")
	if err := errors.Join(os.Chmod(plain, 0o644), os.Mkdir(b.dir+"/d/16-dir", 0o755), os.Symlink(single, b.dir+"/d/30-link"), os.Symlink("nowhere", b.dir+"/d/31-broken")); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		b.Run(Request{Event: "session.up", Program: single, Directory: b.dir + "/d"})
		res := b.results(1)[0]
		if !errors.Is(res.Err, unix.ENOEXEC) || res.Status != -1 || !strings.Contains(res.Err.Error(), noexec) {
			t.Errorf("result %+v", res)
		}
	}
	if got, want := b.read("ran"), []string{"single", "10-a", "20-b", "30-link"}; !slices.Equal(got, append(want, want...)) {
		t.Errorf("ran %q", got)
	}
	for _, want := range []string{"begin a script with #!/bin/sh", "save it with Unix line ends", "exit status 3"} {
		if !b.logged(want) {
			t.Errorf("log lacks %q:\n%s", want, b.dump())
		}
	}
	if n := strings.Count(b.dump(), plain); n != 1 {
		t.Errorf("%s mentioned %d times", plain, n)
	}
}

func TestTimeoutKillsTheGroup(t *testing.T) {
	b := newBench(t, 1)
	// The fifo has a grandchild as its only writer: reading it ends when that is dead.
	fifo := b.fifo("alive")
	path := b.script("hang", "#!/bin/sh\n(echo grandchild; exec sleep 100) > "+fifo+" &\necho waiting\nsleep 1000\n")
	after := b.script("after", "#!/bin/sh\necho after\n")
	b.Run(Request{Event: "session.up", Key: 1, Program: path, Timeout: 3 * time.Second})
	b.Run(Request{Event: "session.down", Key: 1, Program: after, Timeout: time.Minute})
	if text, err := os.ReadFile(fifo); string(text) != "grandchild\n" || err != nil {
		t.Errorf("grandchild: %q, %v", text, err)
	}
	res := b.results(2)
	if !errors.Is(res[0].Err, ErrTimeout) || res[0].Status != -1 {
		t.Errorf("result %+v", res[0])
	}
	if res[1].Err != nil || !b.logged("line=after") || !b.logged("line=waiting") {
		t.Errorf("result %+v\n%s", res[1], b.dump())
	}
}

func TestTimeoutIsPerProgram(t *testing.T) {
	b := newBench(t, 1)
	b.script("d/1", "#!/bin/sh\nsleep 100\n")
	b.script("d/2", "#!/bin/sh\necho second\n")
	b.Run(Request{Directory: b.dir + "/d", Timeout: 3 * time.Second})
	if res := b.results(1)[0]; !errors.Is(res.Err, ErrTimeout) || !b.logged("line=second") {
		t.Errorf("result %+v\n%s", res, b.dump())
	}
}

func TestForkAndExitHoldsNothingUp(t *testing.T) {
	b := newBench(t, 1)
	for _, daemon := range []string{"sleep 100", "yes"} { // which keeps its output open
		path := b.script("fork", "#!/bin/sh\n"+daemon+" &\necho $! > "+b.dir+"/pid\necho parent\n")
		b.Run(Request{Program: path})
		res := b.results(1)[0]
		if res.Err != nil || daemon != "yes" && !b.logged("line=parent") {
			t.Errorf("result %+v\n%s", res, b.dump())
		}
		var pid int
		if _, err := fmt.Sscan(strings.Join(b.read("pid"), ""), &pid); err != nil {
			t.Fatal(err)
		}
		// It was left alone; but who writes to nobody dies of that.
		if err := unix.Kill(pid, unix.SIGKILL); err != nil && daemon != "yes" {
			t.Errorf("the daemon: %v", err)
		}
	}
}

func TestFailures(t *testing.T) {
	b := newBench(t, 1)
	dead := b.script("signal", "#!/bin/sh\nkill -TERM $$\n")
	for _, c := range []struct {
		path   string
		status int
		errno  error
		text   string
	}{
		{b.script("three", "#!/bin/sh\nexit 3\n"), 3, nil, "exit status 3"},
		{dead, -1, nil, "terminated"},
		{b.dir + "/missing", -1, unix.ENOENT, "no such file"},
		{b.dir, -1, unix.EACCES, "is a folder"},
		{b.script("nofirst", "echo\n"), -1, unix.ENOEXEC, "#!/bin/sh"},
		{b.script("nointerpreter", "#!/no/such\n"), -1, unix.ENOENT, "interpreter"},
	} {
		b.Run(Request{Program: c.path})
		res := b.results(1)[0]
		if res.Status != c.status || res.Err == nil || !strings.Contains(res.Err.Error(), c.text) || (c.errno != nil && !errors.Is(res.Err, c.errno)) {
			t.Errorf("%s: %+v", c.path, res)
		}
		if !b.logged("error: hook failed event=\"\" hook=" + c.path) {
			t.Errorf("%s: not logged", c.path)
		}
	}
}
