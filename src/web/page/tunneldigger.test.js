// Tests of the module that needs no browser: node --test src/web/page
'use strict';
const assert = require('node:assert');
const test = require('node:test');
const t = require('./tunneldigger.js');

function tunnel(id, more) {
	return Object.assign({
		id, broker: 'wan', uuid: `node-${id}`, endpoint: null, interface: `l2tp${id}-${id}`, bridge: 'br-mesh', state: 'up', mtu: 1446,
		age_seconds: 60, heard_seconds: 1, rx_bytes: 0, tx_bytes: 0, limit_kbit: 0, unattached: null, hook_failed: null,
	}, more);
}

function status(tunnels, more) {
	return Object.assign({ pid: 7, brokers: [{ opened: tunnels.length, closed: {}, refused: { full: 2, rate: 3 }, queued: 0 }], tunnels }, more);
}

test('numbers in words', () => {
	for (const [n, want] of [[undefined, '–'], [0, '0 bit/s'], [999, '999 bit/s'], [1000, '1.0 kbit/s'], [9940, '9.9 kbit/s'], [9960, '10 kbit/s'],
		[999600, '1.0 Mbit/s'], [1.5e9, '1.5 Gbit/s'], [2e12, '2000 Gbit/s']])
		assert.equal(t.bits(n), want);
	for (const [n, want] of [[-1, '0 s'], [59.9, '59 s'], [60, '1 min'], [3600, '1 h 00 min'], [90061, '1 d 01 h']])
		assert.equal(t.duration(n), want);
	assert.equal(t.count(1234567), '1\u202f234\u202f567');
});

test('rates need two looks at the same tunnel of the same process', () => {
	const m = t.memory();
	assert.equal(m.add(status([tunnel(1, { rx_bytes: 1000 })]), 10).total, null);
	const second = m.add(status([tunnel(1, { rx_bytes: 2000, tx_bytes: 500 }), tunnel(2, { rx_bytes: 99 })]), 12);
	assert.deepEqual(second.total, { rx: 4000, tx: 2000 });
	assert.equal(second.tunnels[0].rx, 4000);
	assert.deepEqual(second.tunnels[0].samples, [6000]);
	assert.equal(second.tunnels[1].rx, undefined);
	assert.equal(second.opened, 0.5);
	assert.equal(second.refused, 0);
	// Another tunnel has its place: its counter is smaller.
	assert.equal(m.add(status([tunnel(1, { rx_bytes: 5 })]), 14).tunnels[0].rx, undefined);
	assert.equal(m.add(status([tunnel(1, { rx_bytes: 9 })], { pid: 8 }), 16).total, null);
	for (let i = 0; i < 50; i++)
		m.add(status([tunnel(1, { rx_bytes: 100 * i + 10 })], { pid: 8 }), 17 + i);
	assert.equal(m.add(status([tunnel(1, { rx_bytes: 9999 })], { pid: 8 }), 100).tunnels[0].samples.length, 30);
});

test('what an operator should look at', () => {
	assert.deepEqual(t.flags(tunnel(1)), []);
	assert.deepEqual(t.flags(tunnel(1, { heard_seconds: 20, hook_failed: 'session.up: status 1', unattached: 'no section' })).map((f) => f[0]), ['silent', 'hook', 'unattached']);
	assert.deepEqual(t.flags(tunnel(1, { state: 'closing', heard_seconds: 20 })), [['state', 'closing']]);
});

test('searching and sorting', () => {
	const all = t.memory().add(status([tunnel(3, { uuid: 'Attic', mtu: 1280 }), tunnel(1, { uuid: 'barn', heard_seconds: 99 }), tunnel(2, { uuid: 'attic', bridge: 'br-two' })]), 1).tunnels;
	const ids = (...args) => t.select(all, ...args).map((x) => x.id);
	assert.deepEqual(ids('', 2, false), [1, 2, 3]);
	assert.deepEqual(ids('', 2, true), [3, 2, 1]);
	assert.deepEqual(ids('attic', 2, false), [2, 3]);
	assert.deepEqual(ids('ATTIC br-two', 2, false), [2]);
	assert.deepEqual(ids('silent', 2, false), [1]);
	assert.deepEqual(ids('l2tp3', 2, false), [3]);
	assert.deepEqual(ids('nobody', 2, false), []);
	assert.deepEqual(ids('', 4, false), [3, 1, 2]);
	assert.equal(all[0].id, 3, 'the list itself stays as it is');
});

test('five thousand tunnels are chosen from quickly enough to be done again with every look', () => {
	const all = t.memory().add(status(Array.from({ length: 5000 }, (_, i) => tunnel(i + 1))), 1).tunnels;
	assert.equal(t.select(all, 'node-49', 0, true).length, 111);
});

test('pictures', () => {
	assert.equal(t.ceiling([]), 1);
	assert.equal(t.ceiling([0, 3]), 5);
	assert.equal(t.ceiling([1001]), 2000);
	assert.equal(t.spark([1]), '');
	assert.match(t.spark([1, 2, 3]), /^M55\.9 \d+\.\dL57\.9 \d+\.\dL60\.0 1\.0$/);
	assert.equal(t.summary('Traffic', [{ name: 'a', points: [[1, 5], [2, 3]] }, { name: 'b', points: [] }], String), 'Traffic, last hour: a now 3, at most 5; b not known yet');
	assert.equal(t.reasons({ full: 2, old_client: 5, rate: 0 }), 'old client 5, full 2');
});
