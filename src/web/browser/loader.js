// A stand-in for LuCI's loader and the classes that the app's views use, as small as the tests of the views allow: classes are
// loaded as LuCI does it, forms are labels and inputs, and whatever a router would answer comes from window.router.
(() => {
	const classes = {};
	const extend = (properties) => {
		const made = function made() {};
		Object.assign(made.prototype, properties);
		return made;
	};

	window._ = (text) => text;
	window.E = (name, attributes, children) => {
		const e = document.createElement(name);
		for (const a in attributes) {
			if (typeof attributes[a] === 'function')
				e.addEventListener(a, attributes[a]);
			else if (attributes[a] !== null)
				e.setAttribute(a, attributes[a] === true ? '' : attributes[a]);
		}
		for (const child of [].concat(children ?? []))
			e.append(child);
		return e;
	};

	// What an option of each class becomes.
	const make = {
		Value: (o, value) => E('input', { 'value': value ?? '', 'placeholder': o.placeholder ?? null }),
		DynamicList: (o, value) => E('input', { 'value': [].concat(value ?? []).join(' '), 'placeholder': o.placeholder ?? null, 'data-list': true }),
		Flag: (o, value) => E('input', { 'type': 'checkbox', 'checked': (value ?? o.default) === '1' ? true : null }),
		ListValue: (o, value) => E('select', {}, ['', ...o.words].map((w) => E('option', { 'value': w, 'selected': w === value ? true : null }, [w || o.placeholder]))),
	};
	const read = { Flag: (e) => e.checked ? '1' : '0', DynamicList: (e) => e.value.split(' ').filter((w) => w), Value: (e) => e.value, ListValue: (e) => e.value };

	class Section {
		constructor(map, type, title) {
			Object.assign(this, { map, type, title, options: [] });
		}

		option(kind, name, title, help) {
			const o = { kind, name, title, help, words: [], known: {}, value(w) { this.words.push(w); } };
			this.options.push(o);
			return o;
		}

		render() {
			this.inputs = [];
			return E('fieldset', { 'data-type': this.type }, [E('legend', {}, [this.title]), ...classes.uci.sections(this.map.config, this.type).flatMap((s) => this.options.map((o) => {
				const input = make[o.kind](o, o.known[s['.name']]), title = E('span');
				input.name = `${s['.name']}.${o.name}`;
				title.innerHTML = o.title;
				this.inputs.push([s, o, input]);
				return E('p', {}, [E('label', {}, [title, input]), E('span', {}, [o.help])]);
			}))]);
		}

		load() {
			for (const o of this.options)
				for (const s of classes.uci.sections(this.map.config, this.type))
					o.known[s['.name']] = s[o.name];
		}

		// An option that has the value that it had when it was loaded is left as it is.
		parse() {
			for (const [s, o, input] of this.inputs) {
				const value = read[o.kind](input);
				const fine = o.validate && value.length ? [].concat(value).map((v) => o.validate(s['.name'], v)).find((said) => said !== true) ?? true : true;
				if (fine !== true)
					throw new Error(`${o.name}: ${fine}`);
				if (value === o.default || value.length === 0)
					delete s[o.name];
				else if (String(value) !== String(o.known[s['.name']]))
					s[o.name] = value;
			}
		}
	}

	class Form {
		constructor(config, title, help) {
			Object.assign(this, { config, title, help, list: [] });
		}

		section(kind, type, title) {
			this.list.push(new Section(this, type, title));
			return this.list[this.list.length - 1];
		}

		async load() {
			this.list.forEach((s) => s.load());
		}

		async render() {
			await this.load();
			return E('form', {}, [E('h2', {}, [this.title]), E('p', {}, [this.help]), ...this.list.map((s) => s.render())]);
		}

		async save(between) {
			this.list.forEach((s) => s.parse());
			await between();
			await classes.uci.save();
			return this.load();
		}
	}

	const shown = (kind) => (title, children) => {
		document.querySelector('#said').replaceChildren(E('div', { 'class': kind }, [title ?? '', ...[].concat(children)]));
	};

	Object.assign(classes, {
		baseclass: { extend },
		view: { extend },
		rpc: { declare: ({ object, method, params }) => async (...args) => {
			const named = Object.fromEntries((params || []).map((p, i) => [p, args[i]]));
			return window.router.call(object, method, named);
		} },
		form: { Map: Form, Value: 'Value', DynamicList: 'DynamicList', Flag: 'Flag', ListValue: 'ListValue', TypedSection: 'TypedSection', TableSection: 'TableSection' },
		uci: {
			load: async (config) => { if (!window.router.uci[config]) throw new Error('no such file'); },
			sections: (config, type) => (window.router.uci[config] || []).filter((s) => !type || s['.type'] === type),
			get: (config, id, name) => window.router.uci[config].find((s) => s['.name'] === id)[name],
			add: (config, type) => window.router.uci[config].push({ '.type': type, '.name': 'new', '.anonymous': true }) && 'new',
			set: (config, id, name, value) => { window.router.uci[config].find((s) => s['.name'] === id)[name] = value; },
			save: async () => { window.router.saved++; },
		},
		fs: {
			read: async (path) => window.router.files[path] ?? Promise.reject(Object.assign(new Error(path), { name: 'NotFoundError' })),
			write: async (path, text) => { window.router.files[path] = text; },
		},
		poll: { add: (turn, seconds) => { turn(); setInterval(turn, 100 * seconds); } },
		ui: { showModal: shown('modal'), hideModal: () => document.querySelector('#said').replaceChildren(), addNotification: shown('note'), changes: { apply: () => { window.router.applied++; } } },
	});

	async function load(name) {
		if (classes[name])
			return classes[name];
		const answer = await fetch(`/luci-static/resources/${name.replace(/\./g, '/')}.js`);
		if (!answer.ok)
			throw new Error(`${name}: ${answer.status}`);
		const source = await answer.text();
		// Only what stands before the first other statement counts.
		const needs = [...source.match(/^(\s*'[^'\n]*';)*/)[0].matchAll(/'require ([^ ']+)(?: as ([^']+))?'/g)];
		const found = await Promise.all(needs.map((m) => load(m[1])));
		const made = new Function('window', 'document', 'L', ...needs.map((m) => m[2] || m[1].replace(/\W/g, '_')), source);
		const instance = new (made(window, document, window.L, ...found))();
		return classes[name] = instance;
	}

	window.L = { require: load, resource: (path) => `/luci-static/resources/${path}`, hasViewPermission: () => window.router.may };
	window.show = async (name) => {
		const view = await load(`view.tunneldigger-broker.${name}`);
		document.querySelector('#view').replaceChildren(await view.render(await view.load?.()));
		if (view.handleSave)
			document.querySelector('#view').append(E('button', { 'type': 'button', 'click': () => view.handleSave().catch((e) => classes.ui.addNotification(null, e.message)) }, ['Save']));
	};
})();
