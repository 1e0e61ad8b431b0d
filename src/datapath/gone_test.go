package datapath_test

import (
	"testing"

	"golang.org/x/sys/unix"

	"tunneldigger/src/link"
)

// The kernel keeps the rules of a bridge that somebody removes: they go at once, as a device of this name may come that is none of the broker's. Others' rules
// stay. Where that fails, the bridge that is made next has those that it is to have and no others.
func TestRulesOfARemovedBridge(t *testing.T) {
	others := link.Rule{Interface: "digger1446", Table: 5, Priority: 6, Protocol: 4}
	const left = "digger1446 to 5 at 6 by 4 false"
	for _, fails := range []bool{false, true} {
		o := newOwner(t)
		l := o.up(100, sized(1446))
		o.kernel.Rules = append(o.kernel.Rules, others)
		o.Forget(100)
		o.kernel.Remove(l)
		o.kernel.Remove(o.kernel.Named("digger1446"))
		o.kernel.Addresses = nil // which go with it
		if fails {
			o.fails("drop rule", unix.EIO)
		}
		o.Watch(o.now)
		o.kernel.Fail = nil
		if !fails {
			o.sums(left, "removed")
			o.run(10 * s)
			o.sums(left, "and later")
			continue
		}
		o.own.Table = "143" // by a reload meanwhile
		o.Follow(o.now)
		o.has(o.up(101, sized(1446)), sized(1446))
		want := o.whole(1446)
		got := o.sum()
		o.kernel.Rules = without(o.kernel.Rules, others)
		o.sums(want, "made again, with others' rules: "+got)
	}
}

func without(all []link.Rule, gone link.Rule) (rest []link.Rule) {
	for _, r := range all {
		if r != gone {
			rest = append(rest, r)
		}
	}
	return rest
}
