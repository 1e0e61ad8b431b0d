'use strict';
'require baseclass';
'require form';
'require rpc';
'require uci';
'require tunneldigger-broker.options as options';

/* What the views of the settings and of the nodes share: sections with every option of the documents, and the check. */

const CONFIG = 'tunneldigger-broker';

const callCheck = rpc.declare({ object: 'luci.tunneldigger-broker', method: 'check', params: ['config', 'list'], reject: true });

const words = (range) => (/^[A-Za-z]+(, [A-Za-z]+)+$/).test(range) ? range.split(', ') : null;

/* What is wrong with a value by its range: "0, 0.001–3600", "a path". The rest is for the broker's own check. */
function fault(range, value) {
	if (value === '')
		return null;
	if (range === 'a path')
		return value.startsWith('/') ? null : _('want a path from /');
	if (!/^[\d., –]+$/.test(range))
		return null;
	const fits = range.split(', ').some((part) => {
		const [low, high = low] = part.split('–').map(Number);
		return Number(value) >= low && Number(value) <= high;
	});
	return fits ? null : _('want %s').replace('%s', range);
}

function addOption(section, [name, list, standard, range, help]) {
	const choice = words(range);
	const kind = list ? form.DynamicList : range === '0, 1' ? form.Flag : choice ? form.ListValue : form.Value;
	const o = section.option(kind, name, name.replace(/_/g, '_<wbr>'), help); // as HTML; a long name would push its field aside
	if (choice)
		choice.forEach((word) => o.value(word));
	if (kind === form.Flag)
		o.default = standard;
	else
		o.placeholder = choice ? _('%s (default)').replace('%s', standard) : standard;
	o.rmempty = standard !== 'must be set';
	o.optional = o.rmempty;
	if (!o.rmempty)
		o.width = '30%'; // in a table: a UUID is longer than its help
	if (kind !== form.Flag)
		o.validate = (id, value) => fault(range, value) || true;
	return o;
}

/* The rows of the options that section type has, or undefined in an older document. */
const rows = (type) => options[type];

/* addSection adds a form of all sections of a type to a map. kind is a class of form. */
function addSection(map, type, title, kind, named) {
	const section = map.section(kind, type, title);
	section.addremove = true;
	section.anonymous = !named;
	rows(type).forEach((row) => addOption(section, row));
	return section;
}

const quoted = (value) => `'${String(value).replace(/'/g, "'\\''")}'`;

/* The file as it will be, with what is not saved yet. */
function text() {
	let lines = '';
	for (const s of uci.sections(CONFIG)) {
		const named = s['.anonymous'] ? '' : ` ${quoted(s['.name'])}`;
		lines += `config ${s['.type']}${named}\n`;
		for (const name in s) {
			const value = name.startsWith('.') ? null : uci.get(CONFIG, s['.name'], name);
			if (Array.isArray(value))
				lines += value.map((v) => `\tlist ${name} ${quoted(v)}\n`).join('');
			else if (value !== null && value !== undefined && value !== '')
				lines += `\toption ${name} ${quoted(value)}\n`;
		}
	}
	return lines;
}

/* Asks the broker's own check, of a file or a list, and fails with what it finds. */
async function check(config, list) {
	const said = await callCheck(config, list);
	if (said.error)
		throw new Error(said.error);
	return said.result;
}

return baseclass.extend({ CONFIG, addSection, rows, fault, text, check,
	/* Saves a map if check finds no fault in what would come of it. Else its options look at their values again: one that is put back would count as unchanged. */
	save: (map) => map.save(() => check(text(), '').catch((e) => map.load().then(() => { throw e; }))) });
