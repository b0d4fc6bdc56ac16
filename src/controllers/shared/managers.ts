import { isList, isRecord } from '../../api/raw.ts';
import type { KubeObject } from '../../runtime/client.ts';

/**
 * Who wrote `acknowledged` of each member of a ReplicationPeer, as the API server knows it: by member name, the field manager that owns
 * the field since last. A manager is what a client calls itself, e.g. kubectl-edit or the name of a GitOps tool.
 */
export function acknowledgersOf({ metadata }: KubeObject): ReadonlyMap<string, string> {
  const found = new Map<string, { readonly manager: string; readonly time: string }>();
  const entries: unknown = metadata['managedFields'];
  for (const entry of isList(entries) ? entries : []) {
    if (!isRecord(entry) || typeof entry['manager'] !== 'string') continue;
    const { manager } = entry;
    const time = typeof entry['time'] === 'string' ? entry['time'] : '';
    const members = at(at(entry['fieldsV1'], 'f:spec'), 'f:members');
    for (const [key, fields] of Object.entries(isRecord(members) ? members : {})) {
      const name = nameIn(key);
      if (name === null || at(fields, 'f:acknowledged') === undefined) continue;
      if (time >= (found.get(name)?.time ?? '')) found.set(name, { manager, time });
    }
  }
  return new Map([...found].map(([name, { manager }]) => [name, manager]));
}

function at(value: unknown, key: string): unknown {
  return isRecord(value) ? value[key] : undefined;
}

/** The name in a key such as `k:{"name":"vast1"}`. */
function nameIn(key: string): string | null {
  return /^k:\{"name":"([a-z0-9-]+)"\}$/.exec(key)?.[1] ?? null;
}
