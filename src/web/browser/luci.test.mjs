// The app for LuCI, with a stand-in for LuCI's loader and forms: LUCI is the folder that its package installs.
import assert from 'node:assert';
import { readFileSync } from 'node:fs';
import http from 'node:http';
import { createRequire } from 'node:module';
import path from 'node:path';
import { after, before, test } from 'node:test';

const require = createRequire(path.join(process.env.MODULES, 'x.js'));
const { chromium } = require('playwright-core');

const EVIL = '<script>document.title="taken"</script><img/src=x/onerror=alert(1)>';
const kinds = { '.js': 'text/javascript', '.css': 'text/css' };
let browser, server, url;

const page = `<!DOCTYPE html><html lang="en"><meta charset="utf-8"><title>LuCI</title><link rel="icon" href="data:,"><style>body { line-height: 18px; } input:not([type=checkbox]) { box-sizing: content-box; height: 30px; }</style><body style="background: #fff">
<div id="said"></div><div id="view" style="max-width: 1180px; font: 13px sans-serif"></div><script src="/loader.js"></script>`;

// What a router would say; it is in the page, and what the page asked for is in asked.
const router = (may, evil) => {
	const tunnel = (id) => ({
		id, session: id, uuid: id === 103 ? evil : `node-${id}`, endpoint: '198.51.100.10:60205', interface: `l2tp${id}-${id}`, bridge: 'br-mesh', unattached: null, hook_failed: null,
		broker: 'wan', state: 'up', mtu: 1446, age_seconds: 5, heard_seconds: 1, rx_bytes: 1000 * Date.now(), rx_packets: 1, tx_bytes: 1, tx_packets: 1, limit_kbit: 0, features: 1,
	});
	let tunnels = [100, 101, 102, 103].map(tunnel), draining = false;
	window.router = {
		may, asked: [], saved: 0, applied: 0, fails: '',
		files: { '/etc/tunneldigger/allow': 'node-100\n' },
		uci: {
			'tunneldigger-broker': [
				{ '.type': 'broker', '.name': 'wan', '.anonymous': false, enabled: '1', port: ['123', '8942'], allow_list: '/etc/tunneldigger/allow', deny_list: '/srv/deny', tunnel_id_base: '200' },
				{ '.type': 'bridge', '.name': 'cfg01', '.anonymous': true, interface: "br-it's" }, { '.type': 'hooks', '.name': 'cfg02', '.anonymous': true },
				{ '.type': 'log', '.name': 'cfg03', '.anonymous': true, verbosity: 'WARNING' }, { '.type': 'client', '.name': 'cfg04', '.anonymous': true, uuid: 'node-1' },
			],
			firewall: [{ '.type': 'rule', '.name': 'cfg01', proto: 'udp', src: 'wan', dest_port: '100-200', target: 'ACCEPT' }],
		},
		call(object, method, args) {
			if (object !== (method === 'check' ? 'luci.' : '') + 'tunneldigger-broker')
				throw new Error(`no method ${method} of ${object}`);
			this.asked.push([method, args]);
			if (this.fails)
				return { error: this.fails };
			if (method === 'tunnels')
				return { tunnels: tunnels.map((t) => ({ ...t, rx_bytes: 1000 * Date.now() })) };
			if (method === 'kick')
				tunnels = tunnels.filter((t) => String(t.id) !== args.id);
			if (method === 'drain')
				draining = !args.off;
			return method !== 'status' ? { result: 'fine' } : {
				version: '9.9', pid: 7, started: 1, uptime_seconds: 100, memory_resident_bytes: 9e6, send_failures: 0, hooks: { running: 0, waiting: 0, ended: 0, failed: 0 },
				brokers: [{
					name: 'wan', tunnels: tunnels.length, limit: 1024, queued: 0, unattached: 0, hook_failed: 0, listeners: [{ address: '0.0.0.0', port: 8942, listening: true, why: null }],
					draining, close_rate: 0, opened: 4, told: 0, closed: {}, refused: {}, dropped: {}, setup: { count: 0 },
				}],
			};
		},
	};
};

async function open(view, may = true) {
	const context = await browser.newContext({ viewport: { width: 1920, height: 900 } });
	const p = await context.newPage();
	p.wrong = [];
	p.on('console', (m) => ['error', 'warning'].includes(m.type()) && p.wrong.push(m.text()));
	p.on('pageerror', (e) => p.wrong.push(String(e)));
	p.on('request', (r) => r.url().startsWith(url) || r.url().startsWith('data:') || p.wrong.push(`asks for ${r.url()}`));
	await p.goto(url);
	await p.evaluate(`(${router})(${may}, ${JSON.stringify(EVIL).replace(/</g, '\\x3c')})`);
	await p.evaluate((v) => show(v), view);
	return p;
}

const asked = (p, method) => p.evaluate((m) => router.asked.filter((a) => a[0] === m).map((a) => a[1]), method);

before(async () => {
	server = http.createServer((request, response) => {
		const name = new URL(request.url, 'http://x').pathname;
		response.setHeader('Content-Type', kinds[path.extname(name)] || 'text/html');
		response.end(name === '/' ? page : readFileSync(name === '/loader.js' ? new URL('loader.js', import.meta.url) : path.join(process.env.LUCI, 'www', path.normalize(name))));
	});
	await new Promise((done) => server.listen(0, '127.0.0.1', done));
	url = `http://127.0.0.1:${server.address().port}/`;
	browser = await chromium.launch({ executablePath: process.env.CHROMIUM, args: ['--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'] });
});

after(async () => {
	await browser?.close();
	server.closeAllConnections();
	server.close();
});

test('status shows tunnels, what strangers chose as text', async () => {
	const p = await open('status');
	await p.getByText('4 tunnels', { exact: true }).waitFor();
	const scale = await p.locator('.td-chart').first().locator('text[text-anchor=end]').allTextContents(); // nothing has passed yet
	assert.equal(new Set(scale).size, scale.length, `the scale ${scale}`);
	assert.ok(await p.locator('.td-search').evaluate((e) => e.offsetHeight) < 36, 'the theme makes the field too high');
	assert.ok(await p.locator('.td-large').evaluate((e) => e.scrollHeight <= e.clientHeight), 'the theme makes the line too low');
	assert.deepEqual(await p.locator('.td-row td.td-node').allTextContents(), [EVIL, 'node-100', 'node-101', 'node-102']);
	assert.equal(await p.locator('.td-table script, .td-table img').count(), 0);
	assert.equal(await p.title(), 'LuCI');
	await p.locator('.td-row td').nth(7).filter({ hasText: 'Mbit/s' }).waitFor(); // the rates of a second look
	// LuCI's page is no wider on a wide screen.
	assert.deepEqual(await p.locator('.td-row').locator('.td-number, .td-address').evaluateAll((cells) => cells.filter((c) => c.scrollWidth > c.clientWidth).map((c) => c.textContent)), []);
	await p.evaluate(() => { router.fails = 'no broker runs'; });
	await p.getByRole('alert').filter({ hasText: 'What is below is old: no broker runs' }).waitFor();
	await p.evaluate(() => show('status'));
	await p.getByRole('alert').filter({ hasText: 'The broker does not answer: no broker runs' }).waitFor();
	assert.equal(await p.getByRole('button', { name: 'Drain' }).count(), 0);
	assert.deepEqual(p.wrong, []);
});

test('status closes tunnels and drains when asked twice, and only with the right to', async () => {
	const p = await open('status');
	await p.getByRole('button', { name: 'Close the tunnel of node-101' }).click();
	await p.getByText('Close the tunnel of node-101 (l2tp101-101)? Its client may come back.').waitFor();
	await p.getByRole('button', { name: 'Cancel' }).click();
	assert.deepEqual(await asked(p, 'kick'), []);
	await p.getByRole('button', { name: 'Close the tunnel of node-101' }).click();
	await p.locator('.modal').getByRole('button', { name: 'Close', exact: true }).click();
	await p.getByText('3 tunnels', { exact: true }).waitFor();
	assert.deepEqual(await asked(p, 'kick'), [{ id: '101' }]);
	await p.getByRole('button', { name: 'Drain' }).click();
	await p.locator('.modal').getByRole('button', { name: 'Drain' }).click();
	await p.getByRole('button', { name: 'End draining' }).click();
	await p.locator('.modal').getByRole('button', { name: 'End draining' }).click();
	await p.getByRole('button', { name: 'Drain', exact: true }).waitFor();
	assert.deepEqual(await asked(p, 'drain'), [{ off: false }, { off: true }]);
	assert.deepEqual(p.wrong, []);

	const reader = await open('status', false);
	await reader.getByText('4 tunnels', { exact: true }).waitFor();
	assert.equal(await reader.getByRole('button', { name: /Close|Drain/ }).count(), 0);
});

test('settings have every option of the documents, and ask check before they are saved', async () => {
	const p = await open('settings');
	// configuration.md is held to the program's options by a test of its own.
	const documents = readFileSync(new URL('../../../files/doc/configuration.md', import.meta.url), 'utf8').split(/^## /m).filter((part) => /^config [a-z]+\n/.test(part));
	const seen = { broker: 'wan', bridge: 'cfg01', hooks: 'cfg02', log: 'cfg03' };
	for (const part of documents) {
		const type = /^config (\w+)/.exec(part)[1];
		if (!seen[type])
			continue;
		const names = [...part.matchAll(/^\| `(\w+)`/gm)].map((m) => `${seen[type]}.${m[1]}`);
		delete seen[type];
		assert.ok(names.length > 2, `options of ${type}`);
		assert.deepEqual(await p.locator(`fieldset[data-type=${type}]`).locator('input, select').evaluateAll((list) => list.map((e) => e.name)), names);
	}
	assert.deepEqual(seen, {});
	const input = (name) => p.locator(`[name="${name}"]`);
	assert.equal(await input('wan.max_tunnels').getAttribute('placeholder'), '1024');
	assert.ok(await input('wan.enabled').isChecked());
	assert.equal(await input('wan.port').inputValue(), '123 8942');
	assert.equal(await input('cfg03.verbosity').inputValue(), 'WARNING');
	assert.deepEqual(await input('wan.datapath').locator('option').allTextContents(), ['auto (default)', 'auto', 'kernel', 'user']);

	const save = p.getByRole('button', { name: 'Save' });
	for (const [name, value, fault] of [['wan.max_tunnels', '70000', 'want 1–65535'], ['wan.pmtu', '500', 'want 0, 1280–8946'], ['wan.allow_list', 'allow', 'want a path from /'], ['wan.port', '123 x', 'want 1–65535']]) {
		const old = await input(name).inputValue();
		await input(name).fill(value);
		await save.click();
		await p.locator('.note', { hasText: `${name.split('.')[1]}: ${fault}` }).waitFor();
		await input(name).fill(old);
	}
	assert.deepEqual(await asked(p, 'check'), []);

	await input('wan.max_tunnels').fill('70');
	await p.evaluate(() => { router.fails = "line 2: a fault"; });
	await save.click();
	await p.locator('.note', { hasText: 'line 2: a fault' }).waitFor();
	assert.equal(await p.evaluate(() => router.saved), 0);
	await p.evaluate(() => { router.fails = ''; });

	// What was refused and is put back is not in what is checked next.
	await input('wan.tunnel_id_base').fill('65530');
	await p.evaluate(() => { router.fails = 'line 3: another'; });
	await save.click();
	await p.locator('.note', { hasText: 'line 3: another' }).waitFor();
	await input('wan.tunnel_id_base').fill('200');
	await p.evaluate(() => { router.fails = ''; });

	await save.click();
	await p.waitForFunction(() => router.saved === 1);
	assert.match((await asked(p, 'check'))[1].config, /tunnel_id_base '65530'/);
	assert.deepEqual((await asked(p, 'check'))[2], { list: '', config: "config broker 'wan'\n\tlist port '123'\n\tlist port '8942'\n\toption allow_list '/etc/tunneldigger/allow'\n\toption deny_list '/srv/deny'\n" +
		"\toption tunnel_id_base '200'\n\toption max_tunnels '70'\nconfig bridge\n\toption interface 'br-it'\\''s'\nconfig hooks\nconfig log\n\toption verbosity 'WARNING'\nconfig client\n\toption uuid 'node-1'\n" });
	assert.deepEqual(p.wrong, []);
});

test('settings offer a rule for the firewall', async () => {
	const p = await open('settings');
	await p.getByText('No rule of the firewall lets clients in from wan at UDP port 8942.').waitFor(); // 123 is let in
	await p.getByRole('button', { name: 'Add a rule' }).click();
	await p.waitForFunction(() => router.applied === 1);
	assert.deepEqual(await p.evaluate(() => router.uci.firewall[1]), { '.type': 'rule', '.name': 'new', '.anonymous': true, name: 'tunneldigger', src: 'wan', proto: 'udp', dest_port: '8942', target: 'ACCEPT' });
	await p.evaluate(() => show('settings'));
	await p.getByText('The firewall lets clients in from wan at every port.').waitFor();
	await p.evaluate(() => { router.uci['tunneldigger-broker'][0].enabled = '0'; return show('settings'); });
	assert.equal(await p.getByText('The firewall').count(), 0); // nobody is to come
	assert.deepEqual(p.wrong, []);
});

test('nodes has the lists, which are checked before they are written', async () => {
	const p = await open('nodes');
	await p.getByText('/srv/deny (wan: deny_list)').waitFor();
	await p.getByText('Lists can be changed here if they are in /etc/tunneldigger/.').waitFor();
	const area = p.getByLabel('/etc/tunneldigger/allow');
	assert.equal(await area.inputValue(), 'node-100\n');
	await area.fill('node-1\na b');
	await p.evaluate(() => { router.fails = 'line 2: want a UUID'; });
	await p.getByRole('button', { name: 'Check and write' }).click();
	await p.locator('.note', { hasText: 'line 2: want a UUID' }).waitFor();
	assert.equal(await p.evaluate(() => router.files['/etc/tunneldigger/allow']), 'node-100\n');
	await p.evaluate(() => { router.fails = ''; });
	await area.fill('node-1\nnode-2');
	await p.getByRole('button', { name: 'Check and write' }).click();
	await p.locator('.note', { hasText: 'is written' }).waitFor();
	assert.equal(await p.evaluate(() => router.files['/etc/tunneldigger/allow']), 'node-1\nnode-2\n');
	assert.deepEqual((await asked(p, 'check')).map((a) => a.list), ['node-1\na b', 'node-1\nnode-2']);
	assert.deepEqual(p.wrong, []);

	await p.locator('[name="cfg04.tunnel_id"]').fill('70000');
	await p.getByRole('button', { name: 'Save' }).click();
	await p.locator('.note', { hasText: 'tunnel_id: want 1–65535' }).waitFor();
	await p.locator('[name="cfg04.tunnel_id"]').fill('5000');
	await p.getByRole('button', { name: 'Save' }).click();
	await p.waitForFunction(() => router.saved === 1);
	assert.match((await asked(p, 'check'))[2].config, /config client\n\toption uuid 'node-1'\n\toption tunnel_id '5000'\n$/);

	const reader = await open('nodes', false);
	assert.equal(await reader.getByRole('button', { name: 'Check and write' }).count(), 0);
});
