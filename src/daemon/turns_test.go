package daemon

import (
	"runtime"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tunneldigger/src/clock"
	"tunneldigger/src/control"
)

// cost is what turns of the loop took: the longest one, by the clock and by what
// its thread had of a processor, which other programs take nothing from.
type cost struct {
	longest, processor time.Duration
	turns, long        int // long: of more than a millisecond of a processor
}

func threadTime() time.Duration {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ts)
	return time.Duration(ts.Nano())
}

// turns runs the loop by hand while a caller asks.
func turns(t testing.TB, d *Daemon, words ...string) (body []byte, c cost) {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	path := d.control.Path()
	ended := make(chan error, 1)
	go func() {
		var err error
		body, err = control.Call(path, time.Minute, words...)
		ended <- err
	}()
	for {
		poll := []unix.PollFd{{Fd: int32(d.control.FD()), Events: unix.POLLIN}}
		_, _ = unix.Poll(poll, 1)
		select {
		case err := <-ended:
			if err != nil {
				t.Fatal(err)
			}
			return body, c
		default:
		}
		began, used := time.Now(), threadTime()
		d.now = clock.Now()
		d.control.Ready()
		d.tick()
		took := threadTime() - used
		c.longest, c.processor, c.turns = max(c.longest, time.Since(began)), max(c.processor, took), c.turns+1
		if took > time.Millisecond {
			c.long++
		}
	}
}

// BenchmarkStatus writes status --json of 5000 tunnels and reports the longest
// turn of the loop meanwhile: of the median run, and of the worst one; and how many
// took more than a millisecond.
func BenchmarkStatus(b *testing.B) {
	d := crowded(b, 5000)
	var longest, processor []time.Duration
	var size, count, long int
	for range b.N {
		body, c := turns(b, d, "status", "json")
		longest, processor = append(longest, c.longest), append(processor, c.processor)
		size, count, long = len(body), c.turns, long+c.long
	}
	ms := func(all []time.Duration, at int, name string) {
		slices.Sort(all)
		b.ReportMetric(float64(all[at].Microseconds())/1000, name)
	}
	ms(processor, b.N-1, "cpu-ms/longest-turn")
	ms(processor, b.N/2, "cpu-ms/median-longest-turn")
	ms(longest, b.N/2, "ms/median-longest-turn")
	b.ReportMetric(float64(count), "turns")
	b.ReportMetric(float64(long)/float64(b.N), "turns-over-1-ms")
	b.ReportMetric(float64(size), "bytes")
}
