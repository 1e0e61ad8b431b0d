// The broker's metrics, for prometheus-node-exporter-ucode. That is confined to ubus, so rpcd is asked; names and values
// are those that `tunneldigger-broker status --prometheus` prints.
const status = ubus.call("tunneldigger-broker", "status");

if (!status || !status.brokers)
	return false;

gauge("tunneldigger_build_info", "The version of the program; the value is always 1.")({ version: status.version }, 1);
gauge("tunneldigger_start_time_seconds", "When the broker began to serve, in seconds since 1970.")({}, status.started);
gauge("tunneldigger_resident_memory_bytes", "Resident memory of the process.")({}, status.memory_resident_bytes);
gauge("tunneldigger_hooks_running", "Hooks that run.")({}, status.hooks.running);
gauge("tunneldigger_hooks_waiting", "Hooks that wait for their turn.")({}, status.hooks.waiting);
counter("tunneldigger_hooks_ended_total", "Hooks that have ended.")({}, status.hooks.ended);
counter("tunneldigger_hooks_failed_total", "Hooks that have failed or were killed.")({}, status.hooks.failed);
counter("tunneldigger_send_failures_total", "Datagrams that could not be sent.")({}, status.send_failures);
let frames = counter("tunneldigger_frames_dropped_total", "Frames that the broker was to carry itself and has dropped.");
for (let reason, n in status.frames_dropped)
	frames({ reason }, n);

// one sample for each broker section
function each(metric, value) {
	for (let broker in status.brokers)
		metric({ broker: broker.name }, value(broker));
}

// one sample for each member of an object in each broker section
function members(metric, label, object) {
	for (let broker in status.brokers) {
		for (let name, value in object(broker)) {
			let labels = { broker: broker.name };
			labels[label] = name;
			metric(labels, value);
		}
	}
}

let datapath = gauge("tunneldigger_datapath_info", "What carries the frames of tunnels; the value is always 1.");
for (let broker in status.brokers)
	datapath({ broker: broker.name, datapath: broker.datapath }, 1);
let listening = gauge("tunneldigger_listening", "Whether the broker listens at an address and port; 0 while it can not.");
for (let broker in status.brokers) {
	for (let at in broker.listeners)
		listening({ broker: broker.name, address: at.address, port: at.port }, at.listening);
}
each(gauge("tunneldigger_draining", "Whether the broker is being drained."), (broker) => broker.draining);
each(gauge("tunneldigger_tunnels", "Tunnels, those included that are coming or going."), (broker) => broker.tunnels);
each(gauge("tunneldigger_tunnels_limit", "How many tunnels there may be."), (broker) => broker.limit);
each(gauge("tunneldigger_waiting_clients", "Clients in the queue."), (broker) => broker.queued);
each(gauge("tunneldigger_unattached", "Tunnels that no bridge section fits."), (broker) => broker.unattached);
each(counter("tunneldigger_unattached_total", "Tunnels that no bridge section fitted when they came up or changed."),
	(broker) => broker.unattached_total);
each(gauge("tunneldigger_hook_failed", "Tunnels for which a hook has failed."), (broker) => broker.hook_failed);
members(counter("tunneldigger_requests_total", "Requests of a handshake."), "kind",
	(broker) => ({ cookie: broker.cookies, prepare: broker.prepares, usage: broker.usages }));
each(counter("tunneldigger_repeated_prepares_total", "Requests for a tunnel that stood already."), (broker) => broker.repeats);
each(counter("tunneldigger_tunnels_opened_total", "Tunnels that came up."), (broker) => broker.opened);
members(counter("tunneldigger_tunnels_closed_total", "Tunnels that were closed."), "reason", (broker) => broker.closed);
members(counter("tunneldigger_clients_refused_total", "Clients that were refused."), "reason", (broker) => broker.refused);
members(counter("tunneldigger_datagrams_dropped_total", "Datagrams that were dropped without an answer."), "kind",
	(broker) => broker.dropped);
each(counter("tunneldigger_clients_told_total", "Clients that were told that their tunnel is gone."), (broker) => broker.told);
each(counter("tunneldigger_uuid_twins_total", "UUIDs that two living nodes were seen to have."), (broker) => broker.uuid_twins);
members(gauge("tunneldigger_held_off", "Addresses and UUIDs that come too often and are held off."), "kind", (broker) => broker.held_off);

// A histogram, which that exporter can't declare: so its series come without a type.
const setup = "tunneldigger_setup_duration_seconds";
const bucket = gauge(setup + "_bucket", null, true);
const count = gauge(setup + "_count", null, true);
const sum = gauge(setup + "_sum", null, true);

for (let broker in status.brokers) {
	let labels = { broker: broker.name };
	let below = 0;
	for (let part in broker.setup.buckets) {
		below += part.count;
		bucket({ ...labels, le: part.up_to_seconds == null ? "+Inf" : "" + part.up_to_seconds }, below);
	}
	count(labels, broker.setup.count);
	sum(labels, broker.setup.sum_seconds);
}
