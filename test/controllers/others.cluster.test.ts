/** What one mesh comes to where it looks holds up no mesh of another namespace. */
import { once } from 'node:events';
import net from 'node:net';
import { expect, test } from 'vitest';
import { testBed } from './bed.ts';
import { Member } from './member.ts';
import { ca, certificate, peer } from './scene.ts';

const bed = testBed(4);
const TIMEOUT = 180_000;

test.concurrent('an endpoint where another mesh looks in vain is looked at by this one all the same', {
  timeout: TIMEOUT,
}, async () => {
  const [here, there] = [await bed.scene(), await bed.scene()];
  await using a = await Member.start(here, 'a');
  await there.apply(ca('mesh', { profile: 'postgres' }), certificate('x', 'mesh'), peer('mesh', { x: a.port }));
  const dark = () => there.peers.get('mesh')?.status?.members?.[0]?.reason;
  await there.peers.until('x is dark', () => /^(Unreachable|ProtocolError)$/.test(dark() ?? ''));
  const { spec, ...rest } = peer('mesh', { a: a.port });
  const seldom = { ...rest, spec: { ...(typeof spec === 'object' ? spec : {}), probe: { interval: '30s' } } };
  await here.apply(ca('mesh'), certificate('a', 'mesh'), seldom);
  // What is dead is asked again after twice the interval at the soonest.
  await here.condition('ReplicationPeer', 'mesh', 'Verified', { status: 'True' }, 45_000);
  expect(dark()).not.toBe('Verified');
});

test.concurrent('peers that all wait for an endpoint which says nothing hold up no other namespace', {
  timeout: TIMEOUT,
}, async () => {
  const [here, there] = [await bed.scene(), await bed.scene()];
  const sockets = new Set<net.Socket>();
  const silent = net.createServer((socket) => sockets.add(socket.on('error', () => {})));
  await once(silent.listen(0, '127.0.0.1'), 'listening');
  const address = silent.address();
  if (address === null || typeof address === 'string') throw new Error('a TCP server has a port');
  const looked = once(silent, 'connection');
  try {
    const many = Array.from({ length: 80 }, (_, i) => peer(`p${i}`, { x: address.port }, '60s'));
    await there.apply(...many);
    await there.apply(ca('mesh'), certificate('x', 'mesh'));
    await looked;
    await using a = await Member.start(here, 'a');
    await here.apply(ca('mesh'), certificate('a', 'mesh'), peer('mesh', { a: a.port }));
    // Longer than anybody is looked at who does not ask for more.
    await here.condition('ReplicationPeer', 'mesh', 'Verified', { status: 'True' }, 40_000);
    expect(sockets.size, 'they wait').toBe(1);
  } finally {
    silent.close();
    for (const socket of sockets) socket.destroy();
  }
});
