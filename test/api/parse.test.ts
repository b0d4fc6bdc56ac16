import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { KINDS } from '../../src/api/names.ts';
import { parseObject } from '../../src/api/parse.ts';

const problemsOf = (spec: unknown): readonly string[] => {
  const parsed = parseObject('ReplicationCA', { metadata: { name: 'vast' }, spec });
  return parsed.ok ? [] : parsed.problems;
};

describe('another version of an object that is known', () => {
  const version = (uid: string, generation: number, spec: unknown, status: unknown = {}) => ({
    metadata: { name: 'vast', namespace: 'storage', uid, generation },
    spec,
    status,
  });
  const first = parseObject('ReplicationCA', version('u', 1, { rotation: { generation: 2 } }));
  const known = first.ok ? first.object : null;
  const read = (raw: unknown) => {
    const parsed = parseObject('ReplicationCA', raw, known);
    return parsed.ok ? parsed.object : parsed.problems;
  };

  test('has the same spec where its generation is the same, and whatever else is new', () => {
    const now = read(version('u', 1, { rotation: { generation: 2 } }, { signer: 2 }));
    expect(now).toMatchObject({ status: { signer: 2 } });
    expect('spec' in now && now.spec, 'not even read').toBe(known?.spec);
  });

  test.each([
    ['a later generation', version('u', 2, { rotation: { generation: 3 } })],
    ['another object of that name', version('v', 1, { rotation: { generation: 3 } })],
    ['no generation', version('u', 0, { rotation: { generation: 3 } })],
  ])('is read anew: %s', (_, raw) => {
    expect(read(raw)).toMatchObject({ spec: { rotation: { generation: 3 } } });
  });

  test('is refused where its new spec is wrong', () => {
    expect(read(version('u', 2, { rotation: { generation: 0 } }))).toEqual([
      expect.stringContaining('rotation.generation'),
    ]);
  });
});

describe('what is accepted', () => {
  test('comes back typed, with complete metadata', () => {
    const parsed = parseObject('ReplicationCA', {
      apiVersion: 'replicert.io/v1alpha1',
      kind: 'ReplicationCA',
      metadata: {
        name: 'vast',
        namespace: 'storage',
        uid: 'u',
        resourceVersion: '7',
        generation: 3,
        labels: { a: 'b', wrong: 1 },
        finalizers: ['replicert.io/protect', 4],
        creationTimestamp: '2026-10-05T00:00:00Z',
        deletionTimestamp: '2026-10-06T00:00:00Z',
        managedFields: [],
      },
      spec: { rotation: { generation: 2 } },
      status: { signer: 1 },
    });
    expect(parsed).toEqual({
      ok: true,
      object: {
        kind: 'ReplicationCA',
        metadata: {
          name: 'vast',
          namespace: 'storage',
          uid: 'u',
          resourceVersion: '7',
          generation: 3,
          creationTimestamp: '2026-10-05T00:00:00Z',
          deletionTimestamp: '2026-10-06T00:00:00Z',
        },
        spec: { rotation: { generation: 2 } },
        status: { signer: 1 },
      },
    });
  });

  test('leaves out fields that no schema has: a later version may have written them', () => {
    const parsed = parseObject('ReplicationCA', {
      metadata: { name: 'a' },
      spec: { paused: true, rotation: { pause: 1 } },
    });
    expect(parsed).toMatchObject({ ok: true, object: { spec: {} } });
    expect(parsed.ok && Object.keys(parsed.object.spec)).toEqual(['rotation']);
  });

  test('keeps absent what is absent: no defaults', () => {
    const parsed = parseObject('ClusterCertificate', { metadata: { name: 'a' }, spec: { caRef: { name: 'vast' } } });
    expect(parsed.ok && parsed.object.spec).toEqual({ caRef: { name: 'vast' } });
  });

  test('drops a status that it does not understand, and keeps the object', () => {
    const parsed = parseObject('ReplicationCA', { metadata: { name: 'a' }, spec: {}, status: { signer: 'G1' } });
    expect(parsed).toMatchObject({ ok: true, object: { status: null } });
  });
});

describe('what is refused', () => {
  test('is named by path, rule and value', () => {
    expect(problemsOf({ rotation: { generation: 0 } })).toEqual([
      'spec.rotation.generation: must be 1 or more (got 0)',
    ]);
    expect(problemsOf({ subject: { countries: ['DE', 7] } })).toEqual([
      'spec.subject.countries[1]: must be a text (got 7)',
    ]);
  });

  test('is reported all at once', () => {
    expect(problemsOf({ profile: 'x', duration: '1d', privateKey: { algorithm: 'DSA' } })).toHaveLength(3);
  });

  test('comes with the metadata: a condition can be set, a finalizer released', () => {
    const parsed = parseObject('ReplicationPeer', { metadata: { name: 'p', namespace: 'n', uid: 'u' }, spec: 1 });
    expect(parsed).toMatchObject({ ok: false, metadata: { name: 'p', namespace: 'n', uid: 'u' } });
  });

  test('quotes a wrong value in short, with control characters escaped', () => {
    const [problem = ''] = problemsOf({ commonName: `\u001b[2J${'x'.repeat(56 - 4)}` });
    expect(problem).toContain('\\u001b[2J');
    const [long = ''] = problemsOf({ commonName: 'x'.repeat(100_000) });
    expect(long.length).toBeLessThan(200);
  });

  test('is cut short where it would fill a status', () => {
    const problems = problemsOf({ rotation: { departed: Array.from({ length: 500 }, (_, n) => `wrong ${n}`) } });
    expect(problems).toHaveLength(17);
    expect(problems.at(-1)).toBe('and 484 more problems');
  });
});

describe('hostile input', () => {
  test('of any shape is refused or read, never thrown at', () => {
    fc.assert(
      fc.property(fc.constantFrom(...KINDS), fc.jsonValue({ maxDepth: 5 }), fc.jsonValue(), (kind, spec, metadata) => {
        expect(parseObject(kind, { metadata, spec }).ok).toBeTypeOf('boolean');
        expect(parseObject(kind, spec).ok).toBeTypeOf('boolean');
      }),
    );
  });

  test('changes no prototype', () => {
    const raw: unknown = JSON.parse(
      '{"metadata":{"name":"a","labels":{"__proto__":"x"}},"__proto__":{"polluted":1},"spec":{"caRef":{"name":"b"},' +
        '"__proto__":{"profile":"generic"},"secretTemplate":{"labels":{"__proto__":"x","constructor":"y"}}}}',
    );
    const parsed = parseObject('ClusterCertificate', raw);
    expect(Object.getOwnPropertyDescriptor(Object.prototype, 'polluted')).toBeUndefined();
    expect(parsed.ok && parsed.object.spec.profile).toBeFalsy();
  });

  test('of great depth or length ends soon', () => {
    const began = process.threadCpuUsage();
    let deep: unknown = 1;
    for (let n = 0; n < 100_000; n++) deep = { spec: deep };
    expect(parseObject('ReplicationCA', { metadata: { name: 'a' }, spec: deep }).ok).toBe(true);
    expect(problemsOf({ commonName: 'x'.repeat(10_000_000), duration: '1'.repeat(10_000_000) })).toHaveLength(2);
    const members = Array.from({ length: 300_000 }, () => ({}));
    const parsed = parseObject('ReplicationPeer', { metadata: { name: 'a' }, spec: { members } });
    expect(!parsed.ok && parsed.problems).toContain('spec.members: must have at most 64 items');
    const { user, system } = process.threadCpuUsage(began);
    expect((user + system) / 1_000).toBeLessThan(3_000);
  });
});
