package simulate

import (
	"net/netip"
	"time"

	"tunneldigger/src/client"
)

// NodeOptions is who a client is and where.
type NodeOptions struct {
	Client client.Options // Brokers and Rand are filled in
	Link   Link
	Addr   netip.Addr // public; several clients may share one
	Port   uint16     // of every socket; 0: each one has another
}

// Node is a host with a client.
type Node struct {
	NodeOptions
	// Hasty says that the client has started anew with another identity while a
	// TUNNEL for the old one may have been under way. It would take that for its
	// own, since nothing in a TUNNEL says for whom it is, and the broker can't
	// know. So its tunnel is not checked.
	Hasty bool

	world    *World
	machine  *client.Machine
	out      []client.Effect
	running  bool
	left     time.Duration // when the last process ended
	life     int           // counts the processes
	wake     time.Duration // when the next Tick is planned
	sockets  []*socket     // by broker
	openings []int         // counts Open, by broker
	inKernel bool          // a tunnel is there, or is being made
	mtu      int           // of its interface
	ports    uint16
	dead     time.Duration // since when its tunnel leads nowhere, 0: it does not
}

// AddNode adds a client that does not run yet. It knows all brokers that there
// are by now.
func (w *World) AddNode(o NodeOptions) *Node {
	o.Client.Brokers = len(w.servers)
	o.Client.Rand = w.Random.IntN
	n := &Node{NodeOptions: o, world: w, sockets: make([]*socket, len(w.servers)), openings: make([]int, len(w.servers))}
	w.nodes = append(w.nodes, n)
	return n
}

// Start starts the client.
func (n *Node) Start() {
	if n.running {
		return
	}
	n.life++
	n.running, n.wake = true, 0
	n.machine = client.New(n.Client)
	n.trace("starts")
	n.handle(client.Event{Kind: client.Start})
	n.sendFrames()
}

// Crash ends the client without a word. Its tunnel goes.
func (n *Node) Crash() {
	if !n.running {
		return
	}
	n.trace("crashes")
	n.exit()
}

func (n *Node) exit() {
	n.life++
	n.running, n.inKernel, n.left = false, false, n.world.now
	for i := range n.sockets {
		n.close(i)
	}
}

// Stop has the client take its tunnel down and end; done is called then.
func (n *Node) Stop(done func()) {
	if !n.running {
		return
	}
	n.trace("is told to stop")
	life := n.life
	n.handle(client.Event{Kind: client.Stop})
	var wait func()
	wait = func() {
		switch {
		case n.life != life && !n.running:
			done()
		case n.life == life:
			n.world.After(50*ms, wait)
		}
	}
	wait()
}

// SetLimit has the client ask for another bandwidth.
func (n *Node) SetLimit(kbit uint32) {
	n.Client.Limit = kbit
	if n.running {
		n.handle(client.Event{Kind: client.SetLimit, Limit: kbit})
	}
}

// LoseInterface removes the client's interface by hand.
func (n *Node) LoseInterface() {
	if _, _, _, ok := n.tunnel(); ok {
		n.trace("loses its interface")
		n.handle(client.Event{Kind: client.TunnelLost})
	}
}

// after plans something that dies with the process.
func (n *Node) after(d time.Duration, do func()) {
	life := n.life
	n.world.After(d, func() {
		if n.life == life {
			do()
		}
	})
}

func (n *Node) handle(ev client.Event) {
	w, life := n.world, n.life
	n.out = n.machine.Handle(w.now, ev, n.out[:0])
	for i := range n.out {
		e := &n.out[i]
		switch e.Kind {
		case client.Open:
			n.open(e.Broker)
		case client.Close:
			n.close(e.Broker)
		case client.Send:
			n.send(e.Broker, e.Data, 0)
		case client.Probe:
			n.send(e.Broker, probe[:], e.Size)
		case client.CreateTunnel:
			n.create(e)
		case client.DeleteTunnel:
			n.inKernel = false
		case client.SetMTU:
			n.mtu = e.MTU
		case client.RunHook:
			hook := e.Hook
			n.after(w.upTo(10*ms)+w.upTo(w.Trouble.Hooks), func() {
				n.handle(client.Event{Kind: client.HookDone, Hook: hook})
			})
		case client.Report:
			n.trace("reports: %v (broker %d, reason 0x%02x)", e.Note, e.Broker, uint8(e.Reason))
		case client.Exit:
			n.trace("ends")
			n.exit()
		}
	}
	if n.life == life {
		n.plan()
	}
}

func (n *Node) create(e *client.Effect) {
	w := n.world
	if n.inKernel {
		w.Fail("client %q makes a second tunnel", n.Client.UUID)
	}
	n.inKernel, n.mtu = true, e.MTU
	n.after(w.upTo(5*ms)+w.upTo(w.Trouble.Kernel), func() {
		kind := client.TunnelUp
		if w.chance(w.Trouble.ClientFails) {
			kind, n.inKernel = client.TunnelFailed, false
		}
		n.handle(client.Event{Kind: kind})
	})
}

// plan sees to it that Tick is called when it is due.
func (n *Node) plan() {
	due := n.machine.Due()
	if due == client.Never || n.wake != 0 && n.wake <= due {
		return
	}
	n.wake = due
	n.after(due-n.world.now, func() {
		if n.wake == due {
			n.wake = 0
			n.handle(client.Event{Kind: client.Tick})
		}
	})
}

func (n *Node) tunnel() (t client.Tunnel, mtu, i int, ok bool) {
	if !n.running {
		return client.Tunnel{}, 0, 0, false
	}
	return n.machine.Tunnel()
}

func (n *Node) trace(format string, args ...any) {
	if n.world.Trace != nil {
		n.world.trace("client "+n.Client.UUID+" "+format, args...)
	}
}
