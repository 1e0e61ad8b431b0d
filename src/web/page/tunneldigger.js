/*
 * What the page for servers and the view for LuCI both show of a broker: its state in words, pictures of the last
 * hour, and a table of tunnels that stays quick with thousands of them. It takes what `tunneldigger-broker status
 * --json` prints and builds elements; what strangers chose (UUIDs) only ever becomes text. It asks nobody for anything:
 * that is for whoever uses it.
 */
const tunneldigger = (() => {
	'use strict';

	const SILENT = 15;      // seconds without a word, where a client says something every 5
	const SAMPLES = 30;     // of each tunnel's small picture
	const ROW = 30;         // pixels, as in the style sheet
	const SVG = 'http://www.w3.org/2000/svg';

	/* Numbers in words */

	function bits(n) {
		if (!(n >= 0))
			return '–';
		for (const unit of ['bit/s', 'kbit/s', 'Mbit/s', 'Gbit/s']) {
			if (n < 999.5 || unit === 'Gbit/s')
				return `${n < 9.95 && unit !== 'bit/s' ? n.toFixed(1) : Math.round(n)} ${unit}`;
			n /= 1000;
		}
	}

	function duration(seconds) {
		const s = Math.max(0, Math.floor(seconds));
		const two = (n) => String(n).padStart(2, '0');
		if (s < 60)
			return `${s} s`;
		if (s < 3600)
			return `${Math.floor(s / 60)} min`;
		if (s < 86400)
			return `${Math.floor(s / 3600)} h ${two(Math.floor(s / 60) % 60)} min`;
		return `${Math.floor(s / 86400)} d ${two(Math.floor(s / 3600) % 24)} h`;
	}

	function count(n) {
		return String(n).replace(/\B(?=(\d{3})+$)/g, '\u202f');
	}

	/* What happened between two looks */

	const key = (t) => `${t.broker}\n${t.interface}`;

	/*
	 * A memory of the looks so far: rates and small pictures of each tunnel. add(status, seconds) takes a look in and
	 * returns { tunnels, total, opened, closed, refused }, rates per second; tunnels are those of status, each with
	 * rx, tx (bit/s, undefined at first sight), samples and flags.
	 */
	function memory() {
		let last = null;
		let known = new Map();

		function sums(status) {
			const all = { opened: 0, closed: 0, refused: 0 };
			for (const b of status.brokers) {
				all.opened += b.opened;
				for (const name of ['closed', 'refused'])
					for (const reason in b[name])
						all[name] += b[name][reason];
			}
			return all;
		}

		function add(status, seconds) {
			const now = sums(status);
			const again = last !== null && last.pid === status.pid && seconds > last.seconds;
			const span = again ? seconds - last.seconds : 0;
			const next = new Map();
			const total = { rx: 0, tx: 0 };
			for (const t of status.tunnels) {
				const before = known.get(key(t));
				const same = again && before && t.rx_bytes >= before.rx && t.tx_bytes >= before.tx && t.id === before.id;
				t.samples = same ? before.samples : [];
				if (same) {
					t.rx = 8 * (t.rx_bytes - before.rx) / span;
					t.tx = 8 * (t.tx_bytes - before.tx) / span;
					total.rx += t.rx;
					total.tx += t.tx;
					t.samples.push(t.rx + t.tx);
					if (t.samples.length > SAMPLES)
						t.samples.shift();
				}
				t.flags = flags(t);
				next.set(key(t), { id: t.id, rx: t.rx_bytes, tx: t.tx_bytes, samples: t.samples });
			}
			const rate = (name) => again && now[name] >= last[name] ? (now[name] - last[name]) / span : undefined;
			const result = {
				tunnels: status.tunnels, total: again ? total : null,
				opened: rate('opened'), closed: rate('closed'), refused: rate('refused'),
			};
			known = next;
			last = Object.assign(now, { pid: status.pid, seconds });
			return result;
		}

		return { add };
	}

	/* What an operator should look at, in words: [kind, text], the worst first. */
	function flags(t) {
		const found = [];
		if (t.state === 'up' && t.heard_seconds > SILENT)
			found.push(['silent', `silent for ${duration(t.heard_seconds)}`]);
		if (t.hook_failed)
			found.push(['hook', `hook failed: ${t.hook_failed}`]);
		if (t.unattached)
			found.push(['unattached', `not attached: ${t.unattached}`]);
		if (t.state !== 'up')
			found.push(['state', t.state]);
		return found;
	}

	/* Elements */

	function element(name, attributes, ...children) {
		const e = document.createElement(name);
		fill(e, attributes);
		e.append(...children.filter((c) => c !== null && c !== undefined));
		return e;
	}

	function fill(e, attributes) {
		for (const name in attributes) {
			const value = attributes[name];
			if (name.startsWith('on'))
				e.addEventListener(name.slice(2), value);
			else if (value !== null && value !== undefined && value !== false)
				e.setAttribute(name, value === true ? '' : value);
		}
	}

	function svg(name, attributes, ...children) {
		const e = document.createElementNS(SVG, name);
		fill(e, attributes);
		e.append(...children);
		return e;
	}

	function text(e, value) {
		if (e.textContent !== value)
			e.textContent = value;
	}

	/* A number of at most 1, 2, 5, 10, 20, 50 … above the values. */
	function ceiling(values) {
		const most = Math.max(1, ...values);
		const unit = 10 ** Math.floor(Math.log10(most));
		return [1, 2, 5, 10].map((n) => n * unit).find((n) => n >= most);
	}

	/*
	 * A picture of an hour. series: [{ name, kind, points: [[seconds, value] …] }]; kind is a class of the style sheet.
	 * Gaps in what was seen are gaps in the line.
	 */
	function chart(title, series, words, now) {
		const width = 600, height = 160, left = 64, bottom = 18, top = 8;
		const top_ = ceiling(series.flatMap((s) => s.points.map((p) => p[1])));
		const x = (t) => left + (width - left) * Math.max(0, 1 - (now - t) / 3600);
		const y = (v) => top + (height - top - bottom) * (1 - v / top_);
		const picture = svg('svg', { viewBox: `0 0 ${width} ${height}`, role: 'img', class: 'td-chart', 'aria-label': summary(title, series, words) });
		for (const part of [0, 0.5, 1]) {
			picture.append(
				svg('line', { x1: left, x2: width, y1: y(part * top_), y2: y(part * top_), class: 'td-grid' }),
				label(left - 6, y(part * top_) + 4, 'end', part === 0.5 && words(top_ / 2) === words(top_) ? '' : words(part * top_)));
		}
		for (const minutes of [60, 45, 30, 15, 0])
			picture.append(label(x(now - 60 * minutes), height - 4, minutes === 60 ? 'start' : minutes ? 'middle' : 'end', minutes ? `−${minutes} min` : 'now'));
		for (const s of series)
			picture.append(svg('path', { d: line(s.points.filter((p) => p[0] >= now - 3600), x, y), class: `td-line td-${s.kind}` }));
		return element('figure', { class: 'td-figure' },
			element('figcaption', {}, title, ...series.map((s) => element('span', { class: `td-key td-${s.kind}` },
				`${s.name} ${s.points.length ? words(s.points[s.points.length - 1][1]) : '–'}`))),
			picture);
	}

	function label(x, y, anchor, words) {
		const e = svg('text', { x, y, 'text-anchor': anchor });
		e.textContent = words;
		return e;
	}

	function summary(title, series, words) {
		return `${title}, last hour: ` + series.map((s) => s.points.length
			? `${s.name} now ${words(s.points[s.points.length - 1][1])}, at most ${words(Math.max(...s.points.map((p) => p[1])))}`
			: `${s.name} not known yet`).join('; ');
	}

	const GAP = 200; // seconds between two looks that make a gap

	function line(points, x, y) {
		let d = '', last = null;
		for (const [t, v] of points) {
			d += `${last === null || t - last > GAP ? 'M' : 'L'}${x(t).toFixed(1)} ${y(v).toFixed(1)}`;
			last = t;
		}
		return d;
	}

	/* The path of a small picture, 60 × 18. */
	function spark(samples) {
		if (samples.length < 2)
			return '';
		const most = Math.max(1, ...samples);
		return samples.map((v, i) => `${i ? 'L' : 'M'}${(60 * (i + SAMPLES - samples.length) / (SAMPLES - 1)).toFixed(1)} ${(17 - 16 * v / most).toFixed(1)}`).join('');
	}

	/*
	 * The last hour of a broker. past(point) takes what somebody else has seen, { time, tunnels, waiting, rx, tx }; add(status,
	 * rates, seconds) a look and what memory has made of it; pictures(seconds) shows them all.
	 */
	function hour() {
		const seen = { rx: [], tx: [], tunnels: [], waiting: [] };

		function past(point) {
			for (const name in seen) {
				if (point[name] !== null && point[name] !== undefined)
					seen[name].push([point.time, point[name]]);
				while (seen[name].length && seen[name][0][0] < point.time - 3600)
					seen[name].shift();
			}
		}

		function add(status, rates, now) {
			past({ time: now, tunnels: status.tunnels.length, waiting: status.brokers.reduce((n, b) => n + b.queued, 0), ...rates.total });
		}

		function pictures(now) {
			return [
				chart('Traffic', [{ name: 'from nodes', kind: 'rx', points: seen.rx }, { name: 'to nodes', kind: 'tx', points: seen.tx }], bits, now),
				chart('Tunnels', [{ name: 'up', kind: 'tunnels', points: seen.tunnels }, { name: 'waiting', kind: 'waiting', points: seen.waiting }],
					(n) => Number.isInteger(n) ? count(n) : '', now),
			];
		}

		return { past, add, pictures };
	}

	/* Columns: [title, class, what it is sorted by, what it shows]; the style sheet says how wide they are, in the font's size. */
	const COLUMNS = [
		['Node', 'td-node', (t) => t.uuid, (t) => t.uuid],
		['Address', 'td-address', (t) => t.endpoint || '', (t) => t.endpoint || '–'],
		['Interface', 'td-widest', (t) => t.id, (t) => t.interface],
		['Bridge', 'td-wide', (t) => t.bridge || '', (t) => t.bridge || '–'],
		['MTU', 'td-number td-wide', (t) => t.mtu, (t) => String(t.mtu)],
		['Up for', 'td-number td-middle', (t) => t.age_seconds, (t) => duration(t.age_seconds)],
		['Heard', 'td-number td-middle', (t) => t.heard_seconds, (t) => duration(t.heard_seconds)],
		['From it', 'td-number', (t) => t.rx ?? -1, (t) => bits(t.rx)],
		['To it', 'td-number', (t) => t.tx ?? -1, (t) => bits(t.tx)],
		['Traffic', 'td-spark td-middle', (t) => (t.rx ?? -1) + (t.tx ?? 0), null],
		['Limit', 'td-number td-widest', (t) => t.limit_kbit || Infinity, (t) => t.limit_kbit ? bits(1000 * t.limit_kbit) : 'none'],
		['State', 'td-state', (t) => t.flags.length ? t.flags[0][1] : '', null],
	];

	/* With less room than so many times the font's size, the table has fewer columns. */
	const ROOM = [[102, 'td-no-widest'], [82, 'td-no-wide'], [70, 'td-no-address'], [48, 'td-narrow']];

	/* Those that the words are found in, in order. Pure; sorting is stable. */
	function select(tunnels, words, column, descending) {
		const parts = words.toLowerCase().split(/\s+/).filter((w) => w);
		const kept = parts.length ? tunnels.filter((t) => {
			const all = [t.uuid, t.endpoint || '', t.interface, t.bridge || '', t.broker, ...t.flags.map((f) => f[1])].join('\n').toLowerCase();
			return parts.every((w) => all.includes(w));
		}) : tunnels.slice();
		const by = COLUMNS[column][2];
		const keys = new Map(kept.map((t) => [t, by(t)]));
		const compare = (a, b) => {
			const x = keys.get(a), y = keys.get(b);
			return x < y ? -1 : x > y ? 1 : a.id - b.id;
		};
		return kept.sort(descending ? (a, b) => compare(b, a) : compare);
	}

	/*
	 * The table of tunnels. Only the rows that are seen are there, so that it is as quick with 5000 as with 5. kick, if
	 * given, is called with a tunnel that somebody wants closed.
	 */
	function table({ kick } = {}) {
		let tunnels = [], shown = [], column = 0, descending = false, queued = false;
		const rows = [];
		const head = element('tr', {});
		const buttons = COLUMNS.map(([title, kind], i) => {
			const button = element('button', { type: 'button', onclick: () => sort(i) }, title);
			head.append(element('th', { scope: 'col', class: kind, 'aria-sort': 'none' }, button));
			return button;
		});
		if (kick)
			head.append(element('th', { scope: 'col', class: 'td-action' }, element('span', { class: 'td-hidden' }, 'Action')));
		// A colspan would make columns for those that a narrow screen does not show.
		const above = element('tr', { 'aria-hidden': 'true' }, element('td', { class: 'td-space' }));
		const below = element('tr', { 'aria-hidden': 'true' }, element('td', { class: 'td-space' }));
		const body = element('tbody', {}, above, below);
		const grid = element('table', { class: 'td-table' },
			element('caption', { class: 'td-hidden' }, 'Tunnels; the titles of the columns sort them'), element('thead', {}, head), body);
		const scroll = element('div', { class: 'td-scroll', tabindex: 0, role: 'region', 'aria-label': 'Tunnels', onscroll: later }, grid);
		const search = element('input', { type: 'search', class: 'td-search', 'aria-label': 'Find tunnels', placeholder: 'Find a node, address, bridge or state', oninput: () => choose() });
		const found = element('span', { class: 'td-found', role: 'status' });

		function sort(i) {
			descending = i === column ? !descending : i >= 5; // the largest first, where it is a size
			column = i;
			choose();
		}

		function choose() {
			shown = select(tunnels, search.value, column, descending);
			[...head.children].forEach((th, i) => {
				if (i < COLUMNS.length)
					th.setAttribute('aria-sort', i === column ? (descending ? 'descending' : 'ascending') : 'none');
			});
			text(found, shown.length === tunnels.length ? `${count(tunnels.length)} tunnels` : `${count(shown.length)} of ${count(tunnels.length)} tunnels`);
			grid.setAttribute('aria-rowcount', shown.length + 1);
			draw();
		}

		function later() {
			if (!queued)
				requestAnimationFrame(() => { queued = false; draw(); });
			queued = true;
		}

		function row() {
			const cells = COLUMNS.map(([, kind, , show]) => element('td', { class: kind }));
			const path = svg('path', { class: 'td-line' });
			cells[9].append(svg('svg', { viewBox: '0 0 60 18', class: 'td-small', 'aria-hidden': 'true' }, path));
			const r = { line: element('tr', { class: 'td-row' }, ...cells), cells, path, tunnel: null };
			if (kick)
				r.line.append(element('td', { class: 'td-action' }, r.kick = element('button', { type: 'button', class: 'td-kick', onclick: () => kick(r.tunnel) }, 'Close')));
			return r;
		}

		/* A row keeps its tunnel while that is seen, so that what has the focus keeps it. */
		function draw() {
			const seen = Math.ceil((scroll.clientHeight || 600) / ROW) + 8;
			const first = Math.max(0, Math.min(Math.floor(scroll.scrollTop / ROW) - 4, shown.length - seen));
			const n = Math.min(seen, shown.length - first);
			while (rows.length < n) {
				rows.push(row());
				below.before(rows[rows.length - 1].line);
			}
			while (rows.length > n)
				rows.pop().line.remove();
			for (let i = 0; i < n; i++)
				show(rows[i], shown[first + i], first + i);
			above.firstChild.style.height = `${first * ROW}px`;
			below.firstChild.style.height = `${(shown.length - first - n) * ROW}px`;
			above.hidden = first === 0;
			below.hidden = shown.length === first + n;
		}

		function show(r, t, i) {
			r.tunnel = t;
			r.line.setAttribute('aria-rowindex', i + 2);
			const kind = t.flags.length ? `td-row td-${t.flags[0][0]}` : 'td-row';
			if (r.line.className !== kind)
				r.line.className = kind;
			COLUMNS.forEach(([, , , words], c) => {
				if (words)
					text(r.cells[c], words(t));
			});
			const state = t.flags.map((f) => f[1]).join('; ') || 'up';
			text(r.cells[11], state);
			r.cells[11].title = state;
			r.cells[0].title = t.uuid;
			r.cells[1].title = t.endpoint || '';
			const d = spark(t.samples);
			if (r.path.getAttribute('d') !== d)
				r.path.setAttribute('d', d);
			if (r.kick)
				r.kick.setAttribute('aria-label', `Close the tunnel of ${t.uuid}`);
		}

		const root = element('section', { class: 'td-tunnels' },
			element('div', { class: 'td-bar' }, search, found), scroll);
		// As container queries would, which the minifier of LuCI's build takes apart.
		new ResizeObserver(() => {
			const room = root.clientWidth / parseFloat(getComputedStyle(root).fontSize);
			root.className = ['td-tunnels', ...ROOM.filter(([least]) => room < least).map(([, kind]) => kind)].join(' ');
		}).observe(root);
		return { element: root, buttons, search, set(list) { tunnels = list; choose(); } };
	}

	/* What the broker does now, in words; a list of sections. */
	function overview(status, rates) {
		return status.brokers.map((b) => {
			const used = b.limit ? Math.min(1, b.tunnels / b.limit) : 0;
			const bar = svg('svg', { viewBox: '0 0 100 4', preserveAspectRatio: 'none', class: 'td-used', 'aria-hidden': 'true' },
				svg('rect', { width: 100, height: 4, class: 'td-rest' }), svg('rect', { width: (100 * used).toFixed(1), height: 4, class: used > 0.9 ? 'td-full' : 'td-taken' }));
			const facts = [
				['Waiting', b.queued ? count(b.queued) : ''],
				['Not attached', b.unattached ? count(b.unattached) : ''],
				['Hook failed', b.hook_failed ? count(b.hook_failed) : ''],
				['Set-up', b.setup.count ? `50 % within ${seconds(b.setup.p50_seconds)}, 99 % within ${seconds(b.setup.p99_seconds)}` : ''],
				['Refused', reasons(b.refused)],
				['Closed', reasons(b.closed)],
				['Told', b.told ? `${count(b.told)} clients that their tunnel is gone` : ''],
				['Dropped', reasons(b.dropped)],
			].filter((f) => f[1]);
			return element('section', { class: 'td-card', 'aria-label': `Broker ${b.name}` },
				element('h2', {}, b.name, b.draining ? element('span', { class: 'td-badge td-warning' }, b.close_rate ? `draining, closes ${b.close_rate} a minute` : 'draining') : null),
				element('p', { class: 'td-large' }, `${count(b.tunnels)} of ${count(b.limit)} tunnels`), bar,
				element('ul', { class: 'td-listeners' }, ...b.listeners.map((l) => element('li', { class: l.listening ? 'td-good' : 'td-bad' },
					(l.address.includes(':') ? `[${l.address}]` : l.address) + `:${l.port}`,
					l.listening ? element('span', { class: 'td-hidden' }, ' listens') : element('span', {}, ` does not listen: ${l.why || 'it waits'}`)))),
				element('dl', {}, ...facts.flatMap(([name, words]) => [element('dt', {}, name), element('dd', {}, words)])));
		});
	}

	function seconds(s) {
		return s < 1 ? `${Math.round(1000 * s)} ms` : `${s.toFixed(1)} s`;
	}

	function reasons(counts) {
		return Object.entries(counts).filter((e) => e[1]).sort((a, b) => b[1] - a[1]).map((e) => `${e[0].replace(/_/g, ' ')} ${count(e[1])}`).join(', ');
	}

	/* One line about the program. */
	function program(status) {
		const h = status.hooks;
		return `version ${status.version}, up for ${duration(status.uptime_seconds)}, ${(status.memory_resident_bytes / 1e6).toFixed(1)} MB; ` +
			`hooks: ${count(h.running)} running, ${count(h.waiting)} waiting, ${count(h.failed)} of ${count(h.ended)} failed`;
	}

	return { bits, duration, count, memory, flags, ceiling, chart, hour, summary, spark, select, table, overview, reasons, program, element, text, COLUMNS };
})();

if (typeof module === 'object')
	module.exports = tunneldigger;
