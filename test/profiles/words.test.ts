/** What profiles say of the step after a Secret has changed: to whoever waits for it, and to whoever vouches for it. */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { PROFILES } from '../../src/api/fields.ts';
import { profileOf } from '../../src/profiles/index.ts';

/** What is done there, in the words of the page as well. */
const STEPS = {
  generic: 'files',
  postgres: 'SELECT pg_reload_conf()',
  mysql: 'FLUSH LOCAL SSL',
  galera: 'socket.ssl_reload=1',
  redis: 'CONFIG SET',
  nats: 'nats-server --signal reload',
  etcd: 'restart',
  rabbitmq: 'ssl:clear_pem_cache()',
  drbd: 'tlshd',
  a9s: 'cf update-service',
  vast: 'upload',
} as const satisfies Record<(typeof PROFILES)[number], string>;

const system = PROFILES.filter((name) => name !== 'generic');

test.each(PROFILES)('%s names the step that its page names', (name) => {
  const page = readFileSync(new URL(`../../docs/targets/${name}.md`, import.meta.url), 'utf8');
  expect(page).toContain(STEPS[name]);
  expect(profileOf(name).reload).toContain(STEPS[name]);
});

describe.each(system)('%s', (name) => {
  const { reload, acknowledgedWhen } = profileOf(name);

  test('says it in its own words, as a clause', () => {
    for (const clause of [reload, ...Object.values(acknowledgedWhen)]) expect(clause).toMatch(/[^.]$/);
    expect(reload).not.toBe(profileOf('generic').reload);
    for (const stage of ['Append', 'Roll', 'Drop'] as const)
      expect(acknowledgedWhen[stage], stage).not.toBe(profileOf('generic').acknowledgedWhen[stage]);
  });
});
