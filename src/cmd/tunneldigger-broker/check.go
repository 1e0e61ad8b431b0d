package main

import (
	"tunneldigger/src/bridges"
	"tunneldigger/src/config"
	"tunneldigger/src/datapath/carriers"
	"tunneldigger/src/hook"
	"tunneldigger/src/listen"
	"tunneldigger/src/phrase"
)

// check names everything that is wrong with the configuration, also where a start
// goes on, and what the machine lacks for it. With --start only what stops a start
// is reason for another exit status.
func (o *options) check() int {
	c, err := o.read()
	faults := reports(err)
	if c == nil {
		for _, line := range faults {
			phrase.Fprintln(o.errs, line)
		}
		return exitFault
	}
	for _, err := range checkHooks(&c.Hooks) {
		faults = append(faults, err.Error())
	}
	for _, err := range bridges.TableFaults(c) {
		faults = append(faults, err.Error())
	}
	for _, line := range faults {
		phrase.Fprintln(o.errs, line)
	}
	for _, n := range c.Notices {
		phrase.Fprintln(o.out, n)
	}
	if err := checkLists(c, o.out); err != nil {
		return o.fault(err)
	}
	notices := append(append(bridges.Check(c), listen.Check(c)...), bridges.CheckTables(c, bridges.Routes)...)
	if len(faults) == 0 && !o.starts { // a start says so itself
		notices = append(notices, carriers.Check(c)...)
	}
	for _, n := range notices {
		phrase.Fprintln(o.out, n)
	}
	if len(faults) > 0 && !o.starts {
		return exitFault
	}
	if len(faults) == 0 {
		phrase.Fprintf(o.out, "The configuration is good: %d broker section(s) enabled.\n", len(c.Brokers))
	}
	return exitFine
}

// checkHooks finds the programs that could not run, as the broker would find out
// when it is too late.
func checkHooks(h *config.Hooks) (faults []error) {
	seen := make(map[string]bool)
	for e, program := range h.Program {
		if program == "" || seen[program] {
			continue
		}
		seen[program] = true
		if err := hook.Examine(program); err != nil {
			faults = append(faults, phrase.Errorf("hook %v: %w", config.Event(e), err))
		}
	}
	if h.Directory != "" {
		for _, err := range hook.ExamineDirectory(h.Directory) {
			faults = append(faults, phrase.Errorf("hooks: %w", err))
		}
	}
	return faults
}
