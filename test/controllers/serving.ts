import type { KubeObject } from '../../src/runtime/client.ts';
import type { Arrival, FakeApiServer } from '../runtime/fake-apiserver.ts';

/**
 * Answers lists page by page, as many objects as are asked for, and single objects, and leaves watches open. Both are by plural, and both may be changed
 * while it serves. Ends with the server.
 */
export async function serve(
  server: FakeApiServer,
  objects: Readonly<Record<string, readonly KubeObject[]>>,
  watches = new Map<string, Arrival>(),
): Promise<never> {
  for (;;) {
    const arrival = await server.next();
    const plural = arrival.path.split('/').at(-1) ?? '';
    if (arrival.query.get('watch') === 'true') {
      watches.set(plural, arrival);
      continue;
    }
    const single = objects[arrival.path.split('/').at(-2) ?? '']?.find(({ metadata }) => metadata.name === plural);
    if (single !== undefined) {
      arrival.json(200, single);
      continue;
    }
    const all = objects[plural] ?? [];
    const from = Number(arrival.query.get('continue') ?? 0);
    const to = from + Number(arrival.query.get('limit'));
    arrival.page('1', all.slice(from, to), to < all.length ? String(to) : undefined);
  }
}
