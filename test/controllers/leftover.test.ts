/** Which Secret goes with a deleted ClusterCertificate: deleting the wrong one breaks a link and cannot be undone. */
import { expect, test } from 'vitest';
import { API_VERSION, ANNOTATIONS, LABELS } from '../../src/api/names.ts';
import { parseObject } from '../../src/api/parse.ts';
import { leftoverOf } from '../../src/controllers/clustercertificate/observe.ts';
import { keepSecret, NO_CLAIMS } from '../../src/controllers/shared/kept-secrets.ts';
import { memberMetadata } from '../../src/controllers/shared/manifests.ts';
import type { KubeObject } from '../../src/runtime/client.ts';

const parsed = parseObject('ClusterCertificate', {
  apiVersion: API_VERSION,
  kind: 'ClusterCertificate',
  metadata: { name: 'a', namespace: 'storage', uid: 'u1' },
  spec: { caRef: { name: 'mesh' }, secretName: 'tls', deletionPolicy: 'Delete' },
});
if (!parsed.ok) throw new Error(parsed.problems.join());
const certificate = parsed.object;

/** Its Secret, with something changed. */
function left(change: { labels?: object; annotations?: object; name?: string } = {}) {
  const { labels, annotations } = memberMetadata({ namespace: 'storage', name: 'mesh' }, 'a', 'u1', 'Delete', 3);
  const secret = {
    metadata: {
      name: change.name ?? 'tls',
      namespace: 'storage',
      labels: { ...labels, ...change.labels },
      annotations: { ...annotations, ...change.annotations },
    },
  } as KubeObject;
  const kept = keepSecret(secret, NO_CLAIMS);
  return leftoverOf(new Map([[`storage/${secret.metadata.name}`, kept]]), certificate)?.meta.name ?? null;
}

test('it is the one of its name that was made for this very object and is to go', () => {
  expect(left()).toBe('tls');
});

test.each<[string, Parameters<typeof left>[0]]>([
  ['under another name', { name: 'copy' }],
  ['of another certificate', { labels: { [LABELS.certificate]: 'b' } }],
  ['of a former certificate of that name', { annotations: { [ANNOTATIONS.certificateUid]: 'u0' } }],
  ['that does not say for which object it was made', { annotations: { [ANNOTATIONS.certificateUid]: undefined } }],
  ['that is to stay', { annotations: { [ANNOTATIONS.deletionPolicy]: 'Retain' } }],
  ['that says nothing of staying or going', { annotations: { [ANNOTATIONS.deletionPolicy]: undefined } }],
  ['that only carries our label', { labels: { [LABELS.role]: 'other' } }],
])('a Secret %s stays', (_, change) => {
  expect(left(change)).toBeNull();
});
