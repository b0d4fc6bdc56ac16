import { readFile } from 'node:fs/promises';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { membersOf, onFreePorts, withPorts } from './manifest.ts';

const EXAMPLE = await readFile(join(import.meta.dirname, '..', '..', 'examples', 'mesh.yaml'), 'utf8');

let busy: Server | null = null;
afterEach(() => busy?.close());

async function busyPort(): Promise<number> {
  busy = createServer();
  await new Promise<void>((resolve) => busy?.listen(0, '127.0.0.1', resolve));
  return (busy.address() as AddressInfo).port;
}

describe('the manifest of the demo', () => {
  test('says who listens where', () => {
    expect(membersOf(EXAMPLE)).toEqual([
      { name: 'east', host: '127.0.0.1', port: 7101 },
      { name: 'west', host: '127.0.0.1', port: 7102 },
      { name: 'north', host: '127.0.0.1', port: 7103 },
    ]);
  });

  test('gets other ports without losing anything else', () => {
    const other = withPorts(EXAMPLE, new Map([[7102, 9000]]));
    expect(membersOf(other).map(({ port }) => port)).toEqual([7101, 9000, 7103]);
    const words = (text: string): string => text.replaceAll(/\s+|710\d|9000/g, '');
    expect(words(other)).toBe(words(EXAMPLE));
  });

  test('avoids ports that are in use, and only those', async () => {
    const taken = await busyPort();
    const { members, exchanged } = await onFreePorts(withPorts(EXAMPLE, new Map([[7102, taken]])));
    const other = exchanged.get(taken);
    expect(other).toBeGreaterThan(0);
    expect(members.find(({ name }) => name === 'west')?.port).toBe(other);
    expect(taken).not.toBe(other);
  });

  test('must have one peer', () => {
    expect(() => membersOf('kind: ReplicationCA')).toThrow('one ReplicationPeer');
    expect(() => membersOf(`${EXAMPLE}\n---\n${EXAMPLE}`)).toThrow('not 2');
  });
});
