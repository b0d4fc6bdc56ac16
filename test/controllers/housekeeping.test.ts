import { expect, test } from 'vitest';
import { publish } from '../../src/controllers/replicationca/housekeeping.ts';
import { Refusal } from '../../src/controllers/shared/refusal.ts';
import { sha256 } from '../../src/controllers/shared/secrets.ts';
import { ApiError } from '../../src/runtime/client.ts';

const trusts = { get: () => undefined, remember: () => expect.unreachable('nothing was made') };

test.each([
  [403, 'Forbidden', 'exceeded quota: count/configmaps'],
  [422, 'Invalid', 'ValidatingAdmissionPolicy "none" denied request'],
])(
  'a bundle that may not be published (%i) is a refusal in the words of the API server',
  async (status, reason, message) => {
    const client = {
      create: async () => {
        throw new ApiError('create ConfigMap storage/mesh-trust', status, reason, message);
      },
      patch: () => expect.unreachable('there is nothing to change'),
    };
    const signal = new AbortController().signal;
    const refusal: unknown = await publish(
      client,
      trusts,
      { namespace: 'storage', name: 'mesh' },
      { pem: 'PEM', sha256: sha256('PEM') },
      signal,
    ).catch((error: unknown) => error);
    expect(refusal).toBeInstanceOf(Refusal);
    expect(refusal).toHaveProperty('reason', 'TrustConflict');
    expect(String(refusal)).toContain(message);
    expect(String(refusal)).toContain('ConfigMap storage/mesh-trust');
  },
);
