package datapath

// State is how a tunnel's interface is.
type State struct {
	Attached string // the master that it is a port of, "": none
	Waits    string // the master that it is to be a port of and is not, "": none
	Isolated bool
	Failed   string // what could not be done and is tried again, "": nothing
}

// State tells how the interface of a tunnel is; zero where there is none. One that
// is neither attached nor waits is not wanted anywhere.
func (s *Interfaces) State(id uint32) State {
	i := s.get(id)
	if i == nil {
		return State{}
	}
	st := State{Attached: i.is.Bridge, Isolated: i.is.Isolated}
	if i.want.Bridge != i.is.Bridge {
		st.Waits = i.want.Bridge
	}
	for kind := 0; i.told != nil && st.Failed == "" && kind < len(i.told); kind++ {
		st.Failed = i.told[kind]
	}
	return st
}
