import { expect, test } from 'vitest';
import { Denials, isDenied } from '../../src/controllers/shared/denials.ts';
import { Refusal } from '../../src/controllers/shared/refusal.ts';
import { ApiError } from '../../src/runtime/client.ts';

const WHAT = 'Secret storage/a';
const quota = new ApiError(
  `create ${WHAT}`,
  403,
  'Forbidden',
  'secrets "a" is forbidden: exceeded quota: few, requested: count/secrets=1, used: count/secrets=4, limited: count/secrets=4',
);

/** Denials by a clock of the test, and what is denied of one object. */
function scene() {
  let now = 0;
  let asked = 0;
  const denials = new Denials(() => now);
  return {
    denials,
    pass: (ms: number) => void (now += ms),
    asked: () => asked,
    refused: (error: Error = quota): Promise<unknown> =>
      denials
        .attempt(WHAT, async () => {
          asked += 1;
          throw error;
        })
        .catch((reason: unknown) => reason),
  };
}

test('a denial is a refusal in the words of the API server, with the next step', async () => {
  const refusal = await scene().refused();
  expect(refusal).toBeInstanceOf(Refusal);
  expect(refusal).toMatchObject({
    reason: 'WriteDenied',
    retryAfter: 5_000,
    message: `Secret storage/a cannot be written, for the API server denies it: ${quota.message}. Raise that ResourceQuota, or delete what it counts and nobody needs. It is tried again by itself, within two minutes.`,
  });
});

test('it is not asked again before a pause that doubles, up to two minutes, whatever gives cause to', async () => {
  const { refused, pass, asked, denials } = scene();
  const pauses: number[] = [];
  for (let denied = 1; denied <= 7; denied++) {
    const { retryAfter } = (await refused()) as Refusal;
    pauses.push(retryAfter ?? 0);
    for (let i = 0; i < 50; i++) expect(await refused()).toMatchObject({ reason: 'WriteDenied', retryAfter });
    pass((retryAfter ?? 0) - 1);
    expect(await refused()).toMatchObject({ retryAfter: 1 });
    expect(asked()).toBe(denied);
    pass(1);
  }
  expect(pauses).toEqual([5, 10, 20, 40, 80, 120, 120].map((seconds) => 1_000 * seconds));
  expect(await denials.attempt(WHAT, async () => 'done')).toBe('done');
  expect(await refused(), 'then it begins anew').toMatchObject({ retryAfter: 5_000 });
});

test('it holds up nothing else, and what is no denial passes through', async () => {
  const { refused, denials } = scene();
  await refused();
  expect(await denials.attempt('Secret storage/b', async () => 'done')).toBe('done');
  const conflict = new ApiError('update', 409, 'Conflict', 'the object has been modified');
  const other = scene();
  expect(await other.refused(conflict)).toBe(conflict);
  expect(await other.refused(conflict)).toBe(conflict);
  expect(other.asked()).toBe(2);
});

test.each([
  [403, 'Forbidden', 'User "system:serviceaccount:s:o" cannot create resource "secrets" in API group ""', true],
  [422, 'Invalid', `secrets "a" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'p' denied request: no`, true],
  [400, 'BadRequest', 'admission webhook "w.example.com" denied the request: no', true],
  [418, '', 'admission webhook "w.example.com" denied the request without explanation', true],
  [422, 'Invalid', 'Secret "a" is invalid: data: Forbidden: field is immutable when `immutable` is set', false],
  [409, 'Conflict', 'Operation cannot be fulfilled on secrets "a": the object has been modified', false],
  [409, 'AlreadyExists', 'secrets "a" already exists', false],
  [500, 'InternalError', 'failed calling webhook "w": denied request', false],
])('%i %s: %s', (status, reason, message, denied) => {
  expect(isDenied(new ApiError('create Secret ns/a', status, reason, message))).toBe(denied);
});

test.each([
  [
    'base64',
    Buffer.from('-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg').toString('base64'),
  ],
  ['PEM', '-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49AgEG\n-----END PRIVATE KEY-----'],
])('what a policy quotes of the object that it denies is not repeated: %s', async (_, content) => {
  const quoting = new ApiError(`create ${WHAT}`, 422, 'Invalid', `policy denied request: ${content}`);
  const { message } = (await scene().refused(quoting)) as Refusal;
  expect(message).toContain('policy denied request: ...');
  expect(message).not.toContain(content.slice(10, 60));
});
