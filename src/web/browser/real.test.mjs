// The page before a real broker with a real tunnel, on the programs' own data path, in a network namespace of its own. It takes
// root; BROKER and CLIENT are the programs, the rest is as for page.test.mjs.
import assert from 'node:assert';
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';

const require = createRequire(path.join(process.env.MODULES, 'x.js'));
const { chromium } = require('playwright-core');
const folder = mkdtempSync(path.join(tmpdir(), 'real'));
const socket = path.join(folder, 'socket');
const programs = [];
let browser;

function start(said, command, ...args) {
	const p = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'] });
	programs.push(p);
	let text = '';
	return new Promise((done, fail) => {
		for (const stream of [p.stdout, p.stderr])
			stream.on('data', (piece) => {
				text += piece;
				const found = said.exec(text);
				if (found)
					done(found[0]);
			});
		p.on('exit', () => fail(new Error(`${command} ended: ${text}`)));
	});
}

before(async () => {
	writeFileSync(path.join(folder, 'tunneldigger-broker'),
		"config broker 'wan'\n\tlist address '127.0.0.1'\n\tlist port '8942'\n\toption datapath 'user'\n");
	// The namespace ends with the shell, and the shell with its standard input.
	await start(/tunnel up.*uuid=a-real-node/, 'unshare', '-n', 'sh', '-c', `ip link set lo up
		'${process.env.BROKER}' -c '${folder}' --socket '${socket}' & broker=$!
		'${process.env.CLIENT}' -f -u a-real-node -b 127.0.0.1:8942 -i tun0 --datapath user & client=$!
		read -r _; kill $client $broker; wait`);
	browser = await chromium.launch({
		executablePath: process.env.CHROMIUM, args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
	});
});

after(async () => {
	await browser?.close();
	for (const p of programs)
		p.stdin.end();
	programs[1]?.kill();
	await Promise.all(programs.map((p) => p.exitCode !== null || p.signalCode !== null || new Promise((done) => p.on('exit', done))));
	assert.ok(!existsSync(socket), 'the broker stopped in order');
	rmSync(folder, { recursive: true });
});

test('shows a real tunnel', async () => {
	const url = await start(/http:\/\/\S+/, process.env.WEB, '--listen', '127.0.0.1:0', '--socket', socket);
	const page = await browser.newPage();
	const wrong = [];
	page.on('console', (m) => m.type() === 'error' && wrong.push(m.text()));
	page.on('pageerror', (e) => wrong.push(String(e)));
	await page.goto(url);
	await page.getByText('1 tunnels', { exact: true }).waitFor();
	const row = page.locator('.td-row', { hasText: 'a-real-node' });
	assert.match(await row.textContent(), /l2tp100-100/);
	await row.getByText(/bit\/s/).first().waitFor(); // seen twice: there are rates
	assert.match(await page.locator('#overview').textContent(), /127\.0\.0\.1:8942 listens/);
	assert.deepEqual(wrong, []);
});
