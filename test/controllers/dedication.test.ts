import { expect, test } from 'vitest';
import { dedication } from '../../src/controllers/replicationca/import.ts';
import { Refusal } from '../../src/controllers/shared/refusal.ts';
import { profileOf } from '../../src/profiles/index.ts';

const generic = profileOf('generic');
const strict = { ...generic, name: 'strict', demandsDedicatedAuthority: true };
const entry = { generation: 2, secretRef: { name: 'corp-ca' } };

test('a CA that is said to be dedicated is taken without a word', () => {
  for (const profile of [generic, strict])
    expect(dedication({ ...entry, dedicated: true }, 'ns/corp-ca', profile)).toBeNull();
});

test.each([undefined, false])(
  'dedicated: %s is refused where the profile demands it, with what it means to say it',
  (dedicated) => {
    const refusal = dedication({ ...entry, ...(dedicated === undefined ? {} : { dedicated }) }, 'ns/corp-ca', strict);
    expect(refusal).toBeInstanceOf(Refusal);
    expect(refusal).toMatchObject({
      reason: 'ImportRefused',
      message:
        'Secret ns/corp-ca cannot be imported as generation 2: profile strict demands a CA that signs for this mesh and for nothing else. ' +
        'Every member lets in whoever has a certificate of it, also those that were issued for something else. ' +
        'If it is one, set dedicated: true in this entry; if not, have one minted. Nothing is minted in its place.',
    });
  },
);

test('and told as a warning elsewhere', () => {
  expect(dedication(entry, 'ns/corp-ca', generic)).toMatchObject({ type: 'Warning', reason: 'NotDedicated' });
});
