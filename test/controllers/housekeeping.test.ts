import { expect, test } from 'vitest';
import { publish, release } from '../../src/controllers/replicationca/housekeeping.ts';
import { Denials } from '../../src/controllers/shared/denials.ts';
import { generationLabels, trustConfigMap } from '../../src/controllers/shared/manifests.ts';
import { keepSecret, NO_CLAIMS } from '../../src/controllers/shared/kept-secrets.ts';
import { sha256 } from '../../src/controllers/shared/digest.ts';
import { keepTrust } from '../../src/controllers/shared/kept-secrets.ts';
import { FINALIZER } from '../../src/api/names.ts';
import { ApiError } from '../../src/runtime/client.ts';

const MESH = { namespace: 'storage', name: 'mesh' };
const BUNDLE = { pem: 'PEM', sha256: sha256('PEM') };
const { signal } = new AbortController();
const remember = () => expect.unreachable('nothing was made');
const published = trustConfigMap(MESH, 'before');
Object.assign(published.metadata, { uid: 'u', resourceVersion: '1' });

test.each([
  [403, 'Forbidden', 'exceeded quota: count/configmaps'],
  [422, 'Invalid', 'ValidatingAdmissionPolicy "none" denied request'],
])(
  'a bundle that may not be published (%i) is no conflict, but denied in the words of the API server',
  async (...said) => {
    const deny = async () => {
      throw new ApiError('create ConfigMap storage/mesh-trust', ...said);
    };
    for (const known of [null, keepTrust(published)]) {
      const world = { trust: () => known, configMaps: { remember } };
      const denied = new Denials().attempt('ConfigMap storage/mesh-trust', () =>
        publish({ create: deny, patch: deny }, world, MESH, BUNDLE, signal),
      );
      await expect(denied).rejects.toMatchObject({
        reason: 'WriteDenied',
        message: expect.stringContaining(said[2]) as string,
      });
    }
  },
);

test('a Secret that a policy does not let go is not taken for one that is gone', async () => {
  const metadata = {
    ...MESH,
    uid: 'g',
    resourceVersion: '1',
    labels: generationLabels(MESH, 1),
    finalizers: [FINALIZER],
  };
  const kept = keepSecret({ metadata, type: 'replicert.io/ca', data: {} }, NO_CLAIMS);
  const answering = (message: string) => ({
    patch: async () => {
      throw new ApiError('patch Secret storage/mesh', 422, 'Invalid', message);
    },
    delete: async () => expect.unreachable('it is only let go'),
  });
  await expect(release(answering("policy 'p' denied request: no"), kept, false, signal)).rejects.toThrow('denied');
  // The patch tells by its tests that it is another object by now.
  await release(answering('testing value /metadata/uid failed'), kept, false, signal);
});
