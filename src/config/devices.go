package config

import "strings"

// ApplyDevices puts network devices in the place of the interfaces of the broker and bridge sections. The text has a line "NAME
// DEVICE" for each interface that the system's network manager, netifd for one, knows by a name of its own, and a line
// "NAME" for one that has no device yet. What has no line is a device already.
func (c *Config) ApplyDevices(text string) {
	devices := map[string]string{}
	for _, line := range strings.Split(text, "\n") {
		switch words := strings.Fields(line); len(words) {
		case 1:
			devices[words[0]] = NoDevice + words[0]
		case 2:
			devices[words[0]] = words[1]
		}
	}
	apply := func(name *string) {
		if device, known := devices[*name]; known {
			*name = device
		}
	}
	for i := range c.Brokers {
		apply(&c.Brokers[i].Interface)
	}
	for i := range c.Bridges {
		apply(&c.Bridges[i].Interface)
	}
}

// NoDevice begins the name of an interface that has no device yet. No device's name can have it (dev_valid_name in
// the kernel's net/core/dev.c), so the broker waits, and is not misled by a device that happens to be called like the
// interface.
const NoDevice = ":"
