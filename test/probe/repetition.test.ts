/** Many verdicts over all set-ups, in quiet and with the processor busy: not one may be wrong. */
import { randomBytes } from 'node:crypto';
import { Worker } from 'node:worker_threads';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { SigningAuthority } from '../../src/pki/issue.ts';
import { Canaries, type CanarySet } from '../../src/probe/canary.ts';
import { Slots } from '../../src/probe/pacing.ts';
import { type EndpointObservation, probeEndpoint } from '../../src/probe/probe.ts';
import { lacking } from '../support/packages.ts';
import { type Identity, makeAuthority, makeLeaf } from './pki.ts';
import type { TestServer } from './servers.ts';
import { type Setup, setups } from './setups.ts';

/** A whole sweep covers each set-up once, with two verdicts each. */
const QUIET_SWEEPS = 5;
const BUSY_SWEEPS = 3;
const IN_PARALLEL = 8;

const lacks = await Promise.all(setups.map(({ needs }) => lacking(...needs)));
const present = setups.filter((_, at) => lacks[at] === null);
const servers = new Map<Setup, TestServer>();
let member: Identity;
let canaries: CanarySet;

beforeAll(async () => {
  const [old, next]: SigningAuthority[] = [await makeAuthority('mesh G1'), await makeAuthority('mesh G2')];
  if (old === undefined || next === undefined) throw new Error('no authorities');
  member = await makeLeaf(old, 'a.mesh');
  const authorities = new Map([
    [1, old],
    [2, next],
  ]);
  canaries = await new Canaries(randomBytes).make({ authorities, like: member.leaf, now: Date.now() });
  for (const setup of present) {
    servers.set(setup, await setup.start({ identity: member, bundle: old.certificate.pem }));
  }
}, 60_000);

afterAll(async () => {
  for (const server of servers.values()) await server[Symbol.asyncDispose]();
});

interface Measured {
  readonly verdicts: number;
  readonly wrong: readonly string[];
  readonly medianMs: number;
  readonly worstMs: number;
}

/** @param slots how many set-ups are probed at one time */
async function measure(sweeps: number, slots: Slots): Promise<Measured> {
  const wrong: string[] = [];
  const times: number[] = [];
  const signal = new AbortController().signal;
  for (let sweep = 0; sweep < sweeps; sweep += 1) {
    const runs = present.flatMap((setup) =>
      [...canaries.candidates].map(([generation, canary]) =>
        slots.run(
          '',
          async () => {
            const started = performance.now();
            const [seen] = await probeEndpoint({
              host: '127.0.0.1',
              port: servers.get(setup)?.port ?? 0,
              timeoutMs: 10_000,
              control: canaries.control,
              candidates: new Map([[generation, canary]]),
              signal,
            });
            times.push(performance.now() - started);
            const error = mistake(setup, generation, seen);
            if (error !== null) wrong.push(error);
          },
          signal,
        ),
      ),
    );
    await Promise.all(runs);
  }
  const sorted = times.toSorted((a, b) => a - b);
  return {
    verdicts: times.length,
    wrong,
    medianMs: Math.round(sorted[Math.floor(sorted.length / 2)] ?? 0),
    worstMs: Math.round(sorted.at(-1) ?? 0),
  };
}

function mistake(setup: Setup, generation: number, seen: EndpointObservation | undefined): string | null {
  if (seen?.kind !== 'reached') return `${setup.name}: ${seen?.reason}: ${seen?.message}`;
  const expected = !setup.enforcing ? 'unknown' : generation === 1 ? 'yes' : 'no';
  const trust = seen.trusts.get(generation);
  if (trust?.answer !== expected) return `${setup.name}, G${generation}: ${trust?.answer} (${trust?.detail})`;
  return seen.presented[0] === member.leaf.pem ? null : `${setup.name}: another leaf`;
}

describe(`verdicts over ${present.length} set-ups`, () => {
  test('one after another', { timeout: 120_000 }, async () => {
    const result = await measure(QUIET_SWEEPS, new Slots(1));
    console.log(`quiet: ${summary(result)}`);
    expect(result.wrong).toEqual([]);
  });

  test(`${IN_PARALLEL} at one time, two threads spinning`, { timeout: 120_000 }, async () => {
    const spinners = [1, 2].map(() => new Worker('for (;;) Math.sqrt(Math.random());', { eval: true }));
    try {
      const result = await measure(BUSY_SWEEPS, new Slots(IN_PARALLEL));
      console.log(`busy: ${summary(result)}`);
      expect(result.wrong).toEqual([]);
    } finally {
      await Promise.all(spinners.map((spinner) => spinner.terminate()));
    }
  });
});

function summary({ verdicts, wrong, medianMs, worstMs }: Measured): string {
  return `${verdicts} verdicts, ${wrong.length} wrong, median ${medianMs} ms, worst ${worstMs} ms`;
}
