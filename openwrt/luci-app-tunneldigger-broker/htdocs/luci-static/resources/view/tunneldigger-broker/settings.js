'use strict';
'require view';
'require form';
'require uci';
'require ui';
'require tunneldigger-broker.settings as settings';

const PORTS = ['53', '123', '8942'];

const enabled = () => uci.sections(settings.CONFIG, 'broker').filter((s) => s.enabled !== '0');

/* The ports of enabled sections that no rule of the firewall lets in from outside, by number. */
function closed() {
	const ports = new Set(enabled().flatMap((s) => s.port || PORTS));
	for (const rule of uci.sections('firewall', 'rule')) {
		const protocols = [].concat(rule.proto || 'tcp udp').join(' ').split(/\s+/);
		if (rule.target !== 'ACCEPT' || rule.enabled === '0' || rule.dest || !['wan', '*'].includes(rule.src) ||
			rule.src_ip || rule.family || !protocols.some((p) => ['udp', 'all', 'any'].includes(p)))
			continue;
		const spans = rule.dest_port ? [].concat(rule.dest_port).join(' ').split(/\s+/) : ['1-65535'];
		for (const span of spans) {
			const [low, high = low] = span.split(/[-:]/).map(Number);
			for (const p of ports)
				if (p >= low && p <= high)
					ports.delete(p);
		}
	}
	return [...ports].sort((a, b) => a - b);
}

function offer() {
	const ports = closed();
	if (enabled().length === 0)
		return '';
	if (ports.length === 0)
		return E('p', {}, [_('The firewall lets clients in from wan at every port.')]);
	return E('div', { 'class': 'alert-message warning' }, [
		E('p', {}, [_('No rule of the firewall lets clients in from wan at UDP port %s.').replace('%s', ports.join(', '))]),
		E('button', { 'class': 'btn cbi-button cbi-button-add', 'disabled': L.hasViewPermission() ? null : true, 'click': async (ev) => {
			ev.currentTarget.disabled = true;
			const id = uci.add('firewall', 'rule');
			const rule = { name: 'tunneldigger', src: 'wan', proto: 'udp', dest_port: closed().join(' '), target: 'ACCEPT' };
			for (const name in rule)
				uci.set('firewall', id, name, rule[name]);
			await uci.save();
			ui.changes.apply(true);
		} }, [_('Add a rule and apply it')]),
	]);
}

return view.extend({
	load() {
		return Promise.all([uci.load(settings.CONFIG), uci.load('firewall').catch(() => null)]);
	},

	async render([, firewall]) {
		const map = this.map = new form.Map(settings.CONFIG, _('Settings of the Tunneldigger broker'),
			_('What is saved is checked by the broker before. A reload, when it is applied, costs no tunnel.'));
		settings.addSection(map, 'broker', _('Brokers'), form.TypedSection, true);
		settings.addSection(map, 'bridge', _('Bridges'), form.TypedSection, false);
		settings.addSection(map, 'hooks', _('Hooks'), form.TypedSection, false);
		settings.addSection(map, 'log', _('Log'), form.TypedSection, false);
		const forms = await map.render();
		return E('div', {}, [firewall === null ? '' : offer(), forms]);
	},

	handleSave() {
		return settings.save(this.map);
	},
});
