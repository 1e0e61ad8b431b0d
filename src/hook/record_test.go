package hook

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"testing"

	"tunneldigger/src/logline"
)

// lifeRunner is a Runner that logs to standard output.
func lifeRunner(limit int) (*Runner, chan struct{}) {
	notice := make(chan struct{}, 1)
	return New(limit, logline.New(os.Stdout, logline.Debug, false), func() {
		select {
		case notice <- struct{}{}:
		default:
		}
	}), notice
}

// Every field of a request is handed over; states that are cut off are refused or harmless.
func TestRequestFieldsAreHandedOver(t *testing.T) {
	want := Request{1, "e", 2, "p", "d", []string{"a", ""}, []string{"X=1"}, 3, 4, true}
	var got Request
	v := reflect.ValueOf(want)
	for i := range v.NumField() {
		if v.Field(i).IsZero() {
			t.Errorf("the test leaves %s empty", v.Type().Field(i).Name)
		}
	}
	if err := got.restore(want.append(nil)); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v: %+v instead of %+v", err, got, want)
	}
	res, again := Result{1, 2, "e", -1, fmt.Errorf("x: %w", ErrTimeout), 5}, Result{}
	if err := again.restore(res.append(nil)); err != nil || !errors.Is(again.Err, ErrTimeout) || again.Err.Error() != res.Err.Error() {
		t.Errorf("%v: %+v instead of %+v", err, again, res)
	}
	again.Err, res.Err = nil, nil
	if again != res {
		t.Errorf("%+v instead of %+v", again, res)
	}
	r, _ := lifeRunner(1)
	r.Run(Request{Event: "none", Tag: 8})
	r.jobs[newJob(&want)] = struct{}{}
	r.ready, r.behind = []*Request{&want}, map[uint64][]*Request{1: {&want, &want}}
	r.Freeze()
	state := r.AppendState(nil)
	r.Thaw()
	refused := 0
	for n := range state {
		next, _ := lifeRunner(1)
		if next.Restore(state[:n]) != nil {
			refused++
		}
	}
	if refused < len(state)/2 {
		t.Errorf("%d of %d cuts were refused", refused, len(state))
	}
	next, _ := lifeRunner(1)
	if err := next.Restore(state); err != nil || next.Waiting() != 4 || len(next.Done()) != 1 {
		t.Errorf("%v, %d wait", err, next.Waiting())
	}
}
