package survive

// Loss is why a tunnel that a process has left ends.
type Loss uint8

// The losses.
const (
	LostSection Loss = iota
	LostDamaged
	LostMisfit
	LostOld
	// LossCount is the number of losses.
	LossCount
)

var lossText = [LossCount]string{
	"of a section that is gone", "damaged", "not as the section is configured now", "older than tunnel_timeout",
}

// String says it in words.
func (l Loss) String() string { return lossText[l] }
