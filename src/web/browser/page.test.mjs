// The page in a real browser, before a broker of 5000 tunnels that is only said to be one: node --test with CHROMIUM, WEB (the
// program) and MODULES (where playwright-core and axe-core are) set, see `make test-web`.
import assert from 'node:assert';
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, mkdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';

const require = createRequire(path.join(process.env.MODULES, 'x.js'));
const { chromium } = require('playwright-core');
const axe = require.resolve('axe-core/axe.min.js');

const EVIL = '<script>document.title="taken"</script><img/src=x/onerror=alert(1)>';
const folder = mkdtempSync(path.join(tmpdir(), 'page'));
const socket = path.join(folder, 'socket');
const asked = [];
const began = Date.now();
let uptime = 100, kicked = new Set(), draining = false;

function tunnel(id) {
	return {
		id, session: id, uuid: id === 142 ? EVIL : `node-${id}`, endpoint: `192.0.2.${id % 250}:${id}`, interface: `l2tp${id}-${id}`,
		bridge: id % 100 === 7 ? null : 'br-mesh', unattached: id % 100 === 7 ? 'no bridge section fits its MTU' : null,
		hook_failed: id === 203 ? 'session.up: exit status 1' : null, broker: 'wan', state: 'up', mtu: 1280 + id % 200, age_seconds: Math.floor(uptime) + id,
		heard_seconds: id === 301 ? 42 : id % 5, rx_bytes: Math.round(id * uptime * 10), rx_packets: 1, tx_bytes: Math.round(id * uptime * 30), tx_packets: 1, limit_kbit: 0, features: 1,
	};
}

function status() {
	uptime = 100 + (Date.now() - began) / 1000;
	const tunnels = Array.from({ length: 5000 }, (_, i) => tunnel(100 + i)).filter((t) => !kicked.has(String(t.id)));
	return {
		version: '9.9', pid: 7, started: 1, uptime_seconds: Math.floor(uptime), memory_resident_bytes: 9e6, send_failures: 0,
		hooks: { running: 1, waiting: 0, ended: 20, failed: 1 }, tunnels,
		brokers: [{
			name: 'wan', interface: null, listening: ['0.0.0.0:8942'], waiting_for: null, tunnels: tunnels.length, limit: 6000, queued: 3, unattached: 50, hook_failed: 1,
			listeners: [{ address: '0.0.0.0', port: 8942, listening: true, why: null }, { address: '::', port: 123, listening: false, why: 'chronyd has it' }],
			draining, close_rate: 0, opened: 5000 + Math.floor(uptime), told: 12, closed: { timeout: 9 }, refused: { full: 0, rate: 4 }, dropped: { stranger: 1 },
			setup: { count: 5000, p50_seconds: 0.004, p95_seconds: 0.01, p99_seconds: 0.5 },
		}],
	};
}

const broker = net.createServer((c) => c.once('data', (request) => {
	const words = String(request).trim();
	asked.push(words);
	if (words === 'status json')
		return c.end('ok\n' + JSON.stringify(status()));
	if (words.startsWith('kick '))
		kicked.add(words.slice(5));
	if (words.startsWith('drain'))
		draining = words === 'drain';
	c.end('ok\nDone.\n');
}));

let browser, programs = [];

// web starts the program and returns where it listens.
function web(...options) {
	const p = spawn(process.env.WEB, ['--listen', '127.0.0.1:0', '--socket', socket, ...options], { stdio: ['ignore', 'ignore', 'pipe'] });
	programs.push(p);
	let said = '';
	return new Promise((done, fail) => {
		p.stderr.on('data', (piece) => {
			said += piece;
			const at = /http:\/\/\S+/.exec(said);
			if (at)
				done(at[0]);
		});
		p.on('exit', () => fail(new Error(`the program ended: ${said}`)));
	});
}

// open shows the page and notes whatever it should not do.
async function open(url, options) {
	const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
	const page = await context.newPage();
	page.wrong = [];
	page.on('console', (m) => ['error', 'warning'].includes(m.type()) && page.wrong.push(m.text()));
	page.on('pageerror', (e) => page.wrong.push(String(e)));
	page.on('request', (r) => r.url().startsWith(url) || page.wrong.push(`asks for ${r.url()}`));
	await page.goto(url);
	await page.getByText('5\u202f000 tunnels', { exact: true }).waitFor();
	return page;
}

before(async () => {
	await new Promise((done) => broker.listen(socket, done));
	browser = await chromium.launch({
		executablePath: process.env.CHROMIUM, args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
	});
});

after(async () => {
	await browser?.close();
	programs.forEach((p) => p.kill());
	broker.close();
	rmSync(folder, { recursive: true });
});

const nodes = (page) => page.locator('.td-row td.td-node').allTextContents();
const looks = async (page, n) => {
	const seen = asked.length;
	await page.waitForFunction(([n]) => performance.getEntriesByName('td-update').length >= n, [n + await page.evaluate(() => performance.getEntriesByName('td-update').length)]);
	return asked.length - seen;
};

test('shows, sorts, searches and updates', async () => {
	const page = await open(await web());
	assert.match(await page.locator('#program').textContent(), /version 9\.9/);
	assert.match(await page.locator('#overview').textContent(), /5\u202f000 of 6\u202f000 tunnels/);
	assert.match(await page.locator('#overview').textContent(), /\[::\]:123 does not listen: chronyd has it/);
	assert.ok((await page.locator('.td-row').count()) < 80, 'only the rows that are seen are there');

	await page.getByRole('button', { name: 'MTU' }).click();
	assert.equal(await page.locator('th[aria-sort=ascending]').textContent(), 'MTU');
	assert.equal(await page.locator('.td-row td').nth(4).textContent(), '1280');
	await page.getByRole('button', { name: 'MTU' }).click();
	assert.equal(await page.locator('.td-row td').nth(4).textContent(), '1479');

	await looks(page, 2);
	await page.getByRole('button', { name: 'From it' }).click();
	assert.equal((await nodes(page))[0], 'node-5099', 'the one with the most traffic');
	assert.match(await page.locator('.td-row td').nth(7).textContent(), /bit\/s$/);

	await page.getByRole('searchbox').fill('silent');
	assert.deepEqual(await nodes(page), ['node-301']);
	assert.match(await page.locator('.td-row').getAttribute('class'), /td-silent/);
	await page.getByRole('searchbox').fill('hook');
	assert.deepEqual(await nodes(page), ['node-203']);
	await page.getByRole('searchbox').fill('not attached');
	assert.equal(await page.locator('.td-found').textContent(), '50 of 5\u202f000 tunnels');

	await page.getByRole('searchbox').fill('');
	await page.locator('.td-scroll').evaluate((e) => { e.scrollTop = e.scrollHeight; });
	await page.waitForFunction(() => [...document.querySelectorAll('.td-row td.td-node')].some((e) => e.textContent === 'node-100'));
	assert.deepEqual(page.wrong, []);
});

test('what strangers chose is text', async () => {
	const page = await open(await web());
	await page.getByRole('searchbox').fill('script');
	assert.deepEqual(await nodes(page), [EVIL]);
	assert.equal(await page.title(), 'Tunneldigger broker');
	assert.equal(await page.locator('.td-table script, .td-table img').count(), 0);
	assert.deepEqual(page.wrong, []);
});

test('an update takes little of the browser', async () => {
	const page = await open(await web());
	await looks(page, 3);
	const took = await page.evaluate(() => performance.getEntriesByName('td-update').map((m) => m.duration).sort((a, b) => a - b));
	console.log(`# updates of 5000 tunnels took ${took.map((t) => t.toFixed(0)).join(', ')} ms of script, the median ${took[took.length >> 1].toFixed(0)}`);
});

test('is for everybody: contrast, labels, keyboard, narrow screens', async () => {
	const url = await web('--control');
	for (const options of [{ colorScheme: 'light' }, { colorScheme: 'dark' }, { colorScheme: 'light', viewport: { width: 360, height: 740 } }]) {
		const page = await open(url, options);
		await page.getByRole('searchbox').fill('2'); // some of each kind of row
		await looks(page, 1);
		await page.evaluate(await (await import('node:fs/promises')).readFile(axe, 'utf8'));
		const { violations } = await page.evaluate(() => axe.run());
		assert.deepEqual(violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.html).slice(0, 3)}`), []);
		assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), 'nothing is wider than the screen');
		assert.deepEqual(await page.locator('.td-row td.td-number').evaluateAll((cells) => cells.filter((c) => c.scrollWidth > c.clientWidth).map((c) => c.textContent)), [], 'numbers are whole');
		if (process.env.PICTURES) {
			mkdirSync(process.env.PICTURES, { recursive: true });
			await page.getByRole('searchbox').fill('');
			await page.screenshot({ path: path.join(process.env.PICTURES, `page-${options.colorScheme}-${options.viewport?.width || 1280}.png`) });
		}
		assert.deepEqual(page.wrong, []);
	}
	const page = await open(url);
	await page.getByRole('button', { name: 'Node', exact: true }).focus();
	await page.keyboard.press('Enter');
	assert.equal(await page.locator('th[aria-sort=descending]').textContent(), 'Node');
});

// files/doc/web.png; its hour is made up.
if (process.env.PICTURES) {
	test('has its picture taken for the documents', async () => {
		const context = await browser.newContext({ viewport: { width: 1160, height: 900 } });
		const page = await context.newPage();
		await page.route('**/history.json', (route) => {
			const now = Date.now() / 1000 - 20, day = (i) => 1 + Math.sin(i / 9) / 4 + Math.sin(i * i) / 20;
			route.fulfill({ json: { control: false, points: Array.from({ length: 60 }, (_, i) => ({ time: now - 3600 + 60 * i, tunnels: 4800 + Math.round(200 * Math.sin(i / 40)), waiting: i % 7, rx: 1e9 * day(i), tx: 3e9 * day(i) })) } });
		});
		await page.goto(await web());
		await page.getByRole('button', { name: 'State' }).click();
		await looks(page, 4);
		mkdirSync(process.env.PICTURES, { recursive: true });
		await page.screenshot({ path: path.join(process.env.PICTURES, 'web.png') });
	});
}

test('closes tunnels and drains only when asked twice, and only with --control', async () => {
	const page = await open(await web());
	assert.equal(await page.getByRole('button', { name: /Close|Drain/ }).filter({ visible: true }).count(), 0);

	const ruled = await open(await web('--control'));
	await ruled.getByRole('searchbox').fill('node-777');
	const commands = () => asked.filter((words) => !words.startsWith('status'));
	await ruled.getByRole('button', { name: 'Close the tunnel of node-777' }).click();
	await ruled.getByRole('button', { name: 'No', exact: true }).click();
	await ruled.getByRole('button', { name: 'Close the tunnel of node-777' }).click();
	await ruled.getByRole('button', { name: 'Yes', exact: true }).click();
	await ruled.getByText('0 of 4\u202f999 tunnels').waitFor();
	assert.deepEqual(commands(), ['kick 777']);
	kicked.clear();
	await ruled.getByRole('button', { name: 'Drain' }).click();
	await ruled.getByRole('button', { name: 'Yes', exact: true }).click();
	await ruled.getByRole('button', { name: 'End draining' }).waitFor();
	assert.deepEqual(commands(), ['kick 777', 'drain']);
	draining = false;
	assert.deepEqual(ruled.wrong, []);
});

test('says when the broker is away', async () => {
	const page = await open(await web());
	broker.close();
	rmSync(socket, { force: true });
	await page.getByRole('alert').filter({ hasText: 'What is below is old' }).waitFor();
	assert.match(await page.getByRole('alert').textContent(), /no broker answers/);
});
