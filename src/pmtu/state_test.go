package pmtu

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"tunneldigger/src/tlv"
)

// successor gives the Prober that the next program has.
func successor(t *testing.T, p Prober) Prober {
	t.Helper()
	next, err := Restore(p.v6, p.AppendState(nil))
	if err != nil {
		t.Fatalf("restore: %v", err)
	}
	return next
}

// Whoever takes over in the middle of a round, or of a rest, finds the same at the same time.
func TestHandedOver(t *testing.T) {
	for _, test := range outcomes {
		t.Run(test.name, func(t *testing.T) {
			p := New(test.v6, 0)
			steps := 0
			got := strings.Join(travelWith(&p, test.routes, test.end, 1, func() { steps++; p = successor(t, p) }), " ")
			if got != test.want || steps < 1000 {
				t.Errorf("handed over %d times: got %q, want %q", steps, got, test.want)
			}
		})
	}
}

// Every field is handed over. Who adds one finds it here.
func TestFieldsAreCarried(t *testing.T) {
	want := Prober{v6: true, idle: true, hinted: true, burst: 1, best: sizes[0], limit: 2, warned: 3, hints: 4, path: sizes[1], began: 5, ended: 6, next: 7, resume: 8}
	v := reflect.ValueOf(want)
	for i := range v.NumField() {
		if v.Field(i).IsZero() {
			t.Errorf("the test leaves %s empty", v.Type().Field(i).Name)
		}
	}
	if got := successor(t, want); got != want {
		t.Errorf("%+v instead of %+v", got, want)
	}
	// Each flag by itself: two that change places would not be seen above.
	for _, want := range []Prober{{}, {idle: true}, {hinted: true}} {
		if got := successor(t, want); got != want {
			t.Errorf("%+v instead of %+v", got, want)
		}
	}
}

// What no Prober writes is refused, or brought into its range; a field of a newer program is passed over.
func TestRestoreRefuses(t *testing.T) {
	good := found(t, 1400)
	for _, c := range []struct {
		name   string
		record []byte
	}{
		{"path", tlv.AppendInt(nil, tagPath, 1399)},
		{"negative path", tlv.AppendInt(nil, tagPath, -1400)},
		{"best", tlv.AppendInt(nil, tagBest, 9000)},
		{"flag", tlv.AppendInt(nil, tagIdle, 2)},
		{"time of the wrong form", tlv.AppendBytes(nil, tagNext, nil)},
		{"cut off", good.AppendState(nil)[:len(good.AppendState(nil))-1]},
	} {
		if p, err := Restore(false, c.record); !errors.Is(err, tlv.ErrMalformed) {
			t.Errorf("%s: %+v, %v", c.name, p, err)
		}
	}
	for _, hints := range []int64{-1, maxHints + 1, 1 << 30} {
		p, err := Restore(false, tlv.AppendInt(nil, tagHints, hints))
		if err != nil || p.hints < 0 || p.hints > maxHints {
			t.Errorf("%d hints: %+v, %v", hints, p, err)
		}
		p.idle, p.ended, p.next = true, time.Hour, 10*time.Hour
		p.Hint(0)
		if p.Due() < p.ended || p.Due() > p.ended+hintRest<<maxHints {
			t.Errorf("%d hints: due at %v", hints, p.Due())
		}
	}
	newer := tlv.AppendInt(good.AppendState(nil), 1000, 1)
	if got, err := Restore(false, newer); err != nil || got != good {
		t.Errorf("with a field of a newer program: %+v, %v", got, err)
	}
}
