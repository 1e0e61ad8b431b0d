'use strict';
'require view';
'require poll';
'require rpc';
'require ui';
'require tunneldigger-broker.tunneldigger as tunneldigger';

const declare = (method, params) => rpc.declare({ object: 'tunneldigger-broker', method, params, reject: true });
const callStatus = declare('status');
const callTunnels = declare('tunnels');
const callKick = declare('kick', ['id']);
const callDrain = declare('drain', ['off']);

/* The plugin of rpcd says in words why not. */
async function answer(call) {
	const said = await call;
	if (said.error)
		throw new Error(said.error);
	return said;
}

async function look() {
	const [status, list] = await Promise.all([answer(callStatus()), answer(callTunnels())]);
	return Object.assign(status, { tunnels: list.tunnels });
}

/* Whether what is behind the page is dark, which only the theme knows. */
function dark() {
	const colour = getComputedStyle(document.body).backgroundColor.match(/[\d.]+/g);
	return colour !== null && colour[3] !== '0' && 2 * colour[0] + 5 * colour[1] + 1 * colour[2] < 8 * 128;
}

/* Asked twice: by a button, and once more here. */
function sure(question, what, run) {
	ui.showModal(_('Are you sure?'), [
		E('p', {}, [question]),
		E('div', { 'class': 'right' }, [
			E('button', { 'class': 'btn cbi-button', 'click': ui.hideModal }, [_('Cancel')]), ' ',
			E('button', { 'class': 'btn cbi-button cbi-button-negative', 'click': async () => {
				ui.hideModal();
				try {
					await answer(run());
				} catch (e) {
					ui.addNotification(null, E('p', {}, [e.message]), 'danger');
				}
			} }, [what]),
		]),
	]);
}

return view.extend({
	handleSave: null,
	handleSaveApply: null,
	handleReset: null,

	render() {
		const { element, text } = tunneldigger;
		const may = L.hasViewPermission();
		const memory = tunneldigger.memory(), hour = tunneldigger.hour();
		const table = tunneldigger.table(may ? { kick: (t) => sure(
			_('Close the tunnel of %s (%s)? Its client may come back.').replace('%s', () => t.uuid).replace('%s', () => t.interface),
			_('Close'), () => callKick(String(t.id))) } : {});
		const program = element('p', {}), trouble = element('p', { class: 'td-bad', role: 'alert', hidden: true });
		const cards = element('div', { class: 'td-cards' }), charts = element('div', { class: 'td-charts' });
		let draining = false, seen = false;
		const drain = element('button', { type: 'button', hidden: true, onclick: () => {
			const off = draining;
			sure(off ? _('Take new tunnels again?') : _('Take no new tunnels? Those that stand stay; newcomers go elsewhere.'),
				off ? _('End draining') : _('Drain'), () => callDrain(off));
		} });

		async function turn() {
			try {
				const status = await look(), now = Date.now() / 1000;
				const rates = memory.add(status, now);
				hour.add(status, rates, now);
				text(program, tunneldigger.program(status));
				cards.replaceChildren(...tunneldigger.overview(status, rates));
				charts.replaceChildren(...hour.pictures(now));
				table.set(status.tunnels);
				draining = status.brokers.some((b) => b.draining);
				text(drain, draining ? _('End draining') : _('Drain'));
				trouble.hidden = seen = true;
				drain.hidden = false;
			} catch (e) {
				text(trouble, (seen ? _('What is below is old: %s') : _('The broker does not answer: %s')).replace('%s', () => e.message));
				trouble.hidden = false;
			}
		}

		text(drain, _('Drain'));
		poll.add(turn, 5);
		return element('div', { class: 'tunneldigger', style: `color-scheme: ${dark() ? 'dark' : 'light'}` },
			element('link', { rel: 'stylesheet', href: L.resource('tunneldigger-broker/tunneldigger.css') }),
			element('h2', {}, _('Tunneldigger broker')), program, trouble, may ? element('p', {}, drain) : null, cards, charts, table.element);
	},
});
