/* The page for servers: asks its server again and again, and shows what module tunneldigger makes of the answers. */
(() => {
	'use strict';

	const $ = (id) => document.getElementById(id);
	const { element, text } = tunneldigger;
	const memory = tunneldigger.memory();
	const hour = tunneldigger.hour();
	let control = false, draining = false, failures = 0;
	const table = tunneldigger.table();
	let shown = table;

	async function ask(path, options) {
		const answer = await fetch(path, Object.assign({ cache: 'no-store', credentials: 'same-origin' }, options));
		if (!answer.ok)
			throw new Error((await answer.text()).trim() || `the server answers ${answer.status}`);
		return answer;
	}

	/* What the server has seen before somebody looked. */
	async function past() {
		const before = await (await ask('history.json')).json();
		control = before.control;
		before.points.forEach(hour.past);
		if (control) {
			shown = tunneldigger.table({ kick });
			$('control').hidden = false;
		}
		$('tunnels').replaceChildren(shown.element);
	}

	function show(status) {
		const now = Date.now() / 1000;
		const seen = memory.add(status, now);
		hour.add(status, seen, now);
		text($('program'), tunneldigger.program(status));
		$('overview').replaceChildren(...tunneldigger.overview(status, seen));
		$('charts').replaceChildren(...hour.pictures(now));
		shown.set(status.tunnels);
		draining = status.brokers.some((b) => b.draining);
		text($('drain'), draining ? 'End draining' : 'Drain');
	}

	function trouble(words) {
		$('trouble').hidden = !words;
		text($('trouble'), words);
	}

	async function turn() {
		let wait = 2000;
		try {
			const status = await (await ask('status.json')).json();
			performance.mark('td-begin');
			show(status);
			performance.measure('td-update', 'td-begin');
			performance.clearMarks('td-begin');
			wait = status.tunnels.length > 1000 ? 5000 : 2000;
			failures = 0;
			trouble('');
		} catch (e) {
			failures++;
			trouble(`What is below is old: ${e.message}`);
			wait = Math.min(30000, 2000 * failures);
		}
		if (document.hidden)
			document.addEventListener('visibilitychange', turn, { once: true });
		else
			setTimeout(turn, wait);
	}

	/* Asked twice: by a button, and once more here. */
	function sure(question) {
		text($('question'), question);
		$('ask').returnValue = 'no';
		$('ask').showModal();
		return new Promise((done) => $('ask').addEventListener('close', () => done($('ask').returnValue === 'yes'), { once: true }));
	}

	async function command(question, words) {
		if (!await sure(question))
			return;
		try {
			await ask('command', { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(words) });
			trouble('');
		} catch (e) {
			trouble(e.message);
		}
	}

	function kick(t) {
		command(`Close the tunnel of ${t.uuid} (${t.interface})? Its client may come back.`, ['kick', String(t.id)]);
	}

	$('drain').addEventListener('click', () => command(
		draining ? 'Take new tunnels again?' : 'Take no new tunnels? Those that stand stay; newcomers go elsewhere.',
		draining ? ['drain', 'off'] : ['drain']));

	past().catch((e) => trouble(e.message)).then(() => {
		if (!$('tunnels').firstChild)
			$('tunnels').replaceChildren(shown.element);
		turn();
	});
})();
