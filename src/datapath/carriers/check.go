package carriers

import (
	"errors"
	"strings"

	"tunneldigger/src/config"
	"tunneldigger/src/datapath/kernel"
	"tunneldigger/src/datapath/user"
	"tunneldigger/src/privilege"
)

// Check says what would carry the frames of each section on this machine, and what to do
// where nothing can, or the kernel could do it faster. The kernel makes a tunnel for that,
// and removes it.
func Check(c *config.Config) []string { return check(c, kernel.Prove, user.Prove) }

func check(c *config.Config, byKernel, byUser func() error) (notices []string) {
	var lacks, fault error
	asked := false
	for i := range c.Brokers {
		b := &c.Brokers[i]
		if !asked && b.Datapath != config.DatapathUser {
			lacks, asked = byKernel(), true
		}
		text := "datapath kernel"
		switch {
		case b.Datapath == config.DatapathUser || lacks != nil && b.Datapath == config.DatapathAuto && !errors.Is(lacks, privilege.ErrNetwork):
			text = "datapath user"
			if fault = byUser(); fault != nil {
				text = "nothing can carry the frames here: " + fault.Error()
			}
			if b.Datapath == config.DatapathAuto {
				text += "; the kernel would be faster: " + lacks.Error()
			}
		case errors.Is(lacks, privilege.ErrNetwork):
			text = "only root can see what will carry the frames"
		case lacks != nil:
			text = "the kernel can't carry the frames here: " + lacks.Error()
		}
		notices = append(notices, "broker '"+b.Name+"': "+strings.ReplaceAll(text, "\n", "; "))
	}
	return notices
}
