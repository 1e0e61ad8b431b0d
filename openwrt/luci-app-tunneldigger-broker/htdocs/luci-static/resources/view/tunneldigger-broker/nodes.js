'use strict';
'require view';
'require form';
'require fs';
'require uci';
'require ui';
'require tunneldigger-broker.settings as settings';

/* Where the app may write; the firmware's upgrade keeps it. */
const FOLDER = '/etc/tunneldigger/';

/* The files of all lists: [path, [what it is for ...]]. */
function lists() {
	const found = new Map();
	for (const s of uci.sections(settings.CONFIG, 'broker'))
		for (const kind of ['allow_list', 'deny_list'])
			if (s[kind])
				found.set(s[kind], [...found.get(s[kind]) || [], `${s['.name']}: ${kind}`]);
	return [...found];
}

async function read(path) {
	try {
		return await fs.read(path);
	} catch (e) {
		if (e.name === 'NotFoundError')
			return '';
		throw e;
	}
}

async function write(path, area) {
	try {
		const lines = area.value.trim().replace(/\r\n?/g, '\n');
		await settings.check('', lines);
		await fs.write(path, lines ? `${lines}\n` : '');
		ui.addNotification(null, E('p', {}, [_('%s is written; the broker reads it within a second.').replace('%s', () => path)]), 'info');
	} catch (e) {
		ui.addNotification(null, E('p', { 'style': 'white-space: pre-wrap' }, [e.message]), 'danger');
	}
}

async function editor([path, uses]) {
	const head = E('h3', {}, [`${path} (${uses.join(', ')})`]);
	if (!path.startsWith(FOLDER) || path.includes('/../'))
		return E('div', { 'class': 'cbi-section' }, [head, E('p', {}, [_('Lists can be changed here if they are in %s.').replace('%s', FOLDER)])]);
	let text;
	try {
		text = await read(path);
	} catch (e) {
		return E('div', { 'class': 'cbi-section' }, [head, E('p', {}, [e.message])]);
	}
	const may = L.hasViewPermission();
	const area = E('textarea', { 'rows': 12, 'style': 'width: 100%; font-family: monospace', 'aria-label': path, 'readonly': may ? null : true }, [text]);
	return E('div', { 'class': 'cbi-section' }, [
		head, E('p', {}, [_('A UUID, an address or a prefix a line; what follows a # is a comment.')]), area,
		may ? E('div', { 'class': 'right' }, [E('button', { 'class': 'btn cbi-button cbi-button-save', 'click': () => write(path, area) }, [_('Check and write')])]) : '',
	]);
}

return view.extend({
	async load() {
		await uci.load(settings.CONFIG);
		return Promise.all(lists().map(editor));
	},

	async render(editors) {
		const parts = [];
		if (settings.rows('client')) {
			this.map = new form.Map(settings.CONFIG, _('Nodes'), _('What holds for one node, whatever else the settings say.'));
			settings.addSection(this.map, 'client', '', form.TableSection, false);
			parts.push(await this.map.render());
		} else {
			this.handleSave = this.handleSaveApply = this.handleReset = null;
			parts.push(E('h2', {}, [_('Nodes')]));
		}
		if (editors.length === 0)
			parts.push(E('p', {}, [_('No broker section has a list. In the settings, give one an allow_list or deny_list, as %s.').replace('%s', `${FOLDER}allow`)]));
		return E('div', {}, parts.concat(editors));
	},

	handleSave() {
		return settings.save(this.map);
	},
});
