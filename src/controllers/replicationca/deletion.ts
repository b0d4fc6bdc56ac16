import { FINALIZER, REPLICATION_CA } from '../../api/names.ts';
import type { ReplicationCA } from '../../api/objects.ts';
import { type Client, isNotFound } from '../../runtime/client.ts';
import { secondTime } from '../../runtime/clock.ts';
import { finalizerStep } from '../../runtime/finalizers.ts';
import type { Authorities } from '../shared/authorities.ts';
import type { ControllerClock } from '../shared/clock.ts';
import { condition, nextConditions, progress, writeStatus } from '../shared/status.ts';
import { caKeyOf, secretNameOf } from '../shared/effective.ts';
import { CONFIG_MAPS } from '../shared/resources.ts';
import type { KeptSecret } from '../shared/kept-secrets.ts';
import { type Kept, objectOf } from '../shared/kept.ts';
import type { World } from '../shared/world.ts';
import { allows } from '../clustercertificate/observe.ts';
import { release } from './housekeeping.ts';
import type { Outcome } from './status.ts';

/**
 * A deleted ReplicationCA goes when no member is left. Then its Secrets are let go: kept without our finalizer (Retain, the default),
 * or deleted.
 */
export async function removeAuthority(
  {
    client,
    world,
    authorities,
    clock: { now },
  }: { client: Client; world: World; authorities: Authorities; clock: ControllerClock },
  kept: Kept<'ReplicationCA'>,
  ca: ReplicationCA,
  outcome: Outcome,
  signal: AbortSignal,
): Promise<void> {
  if (kept.meta.finalizers.own === null) return;
  const { namespace, name } = kept.meta;
  const members = membersLeft(world, ca, outcome);
  if (members.size > 0) {
    const names = [...members].toSorted().slice(0, 5).join(', ');
    const message = `Deleted at ${secondTime(Date.parse(ca.metadata.deletionTimestamp ?? '') || now())}, but ${members.size} members are left (${names}${members.size > 5 ? ', ...' : ''}). Delete their ClusterCertificates; the CA goes when none is left.`;
    const updates = [...progress(null, message), condition('Ready', 'False', 'Terminating', message)];
    const status = {
      ...ca.status,
      observedGeneration: kept.meta.generation,
      phase: 'Terminating',
      conditions: nextConditions(ca.status?.conditions, updates, kept.meta.generation, now()),
    };
    await writeStatus(client, REPLICATION_CA, world.cas, kept, status, signal);
    return;
  }
  const remove = ca.spec.deletionPolicy === 'Delete';
  for (const secret of world.secretsOf(`${namespace}/${name}`)) {
    if (secret.kind !== 'generation' && secret.kind !== 'ledger') continue;
    authorities.forget(secret.meta);
    await release(client, secret, remove, signal);
  }
  const trust = world.trust({ namespace, name });
  if (remove && trust !== null)
    await ignoreGone(client.delete(CONFIG_MAPS, trust.meta, { uid: trust.meta.uid, signal }));
  const step = finalizerStep({ ...kept.meta, deleting: true }, FINALIZER);
  if (step.case === 'cleanUp')
    await ignoreGone(client.patch(REPLICATION_CA, kept.meta, { type: 'json', operations: step.patch }, { signal }));
}

/**
 * Whoever lives on this CA: has a Secret of it and a ClusterCertificate that it serves (nobody is served whose object is being deleted,
 * however long somebody's finalizer holds it), or may have them where nobody looks. Who was never given a Secret loses nothing; and that
 * a Secret says whose it is does not make it one of ours, as long as the roster tells. In a rotation the roster keeps the others:
 * a CA that is created again goes on with them, not with an empty mesh that has nothing to prove.
 */
function membersLeft(world: World, ca: ReplicationCA, { ledger }: Outcome): ReadonlySet<string> {
  const { namespace, name } = ca.metadata;
  const self = `${namespace}/${name}`;
  const holders = [...world.secretsOf(self)].flatMap((secret) => {
    if (secret.kind !== 'member' && secret.kind !== 'unclaimed') return [];
    const member = secret.certificate;
    const home = namespaceOf(member);
    if (ledger !== null && !ledger.roster.has(member)) return [];
    if (home !== namespace && !allows(ca, home)) return [];
    return isAskedFor(secret, self, world.certificates.get(member)) ? [member] : [];
  });
  const hidden = [...(ledger?.roster.keys() ?? [])].filter(
    (member) => !world.certificates.watches(namespaceOf(member)),
  );
  return new Set([...holders, ...hidden]);
}

/** A certificate that cannot be read any more may well ask for the Secret that was made for it. */
function isAskedFor({ meta }: KeptSecret, ca: string, kept: Kept<'ClusterCertificate'> | undefined): boolean {
  if (kept === undefined || kept.meta.deleting) return false;
  const certificate = objectOf(kept);
  return certificate === null || (caKeyOf(certificate) === ca && secretNameOf(certificate) === meta.name);
}

function namespaceOf(key: string): string {
  return key.slice(0, key.indexOf('/'));
}

async function ignoreGone(request: Promise<unknown>): Promise<void> {
  try {
    await request;
  } catch (error) {
    if (!isNotFound(error)) throw error;
  }
}
