import type { Ledger, RosterEntry } from '../api/ledger.ts';
import type { Facts, MemberKey } from './facts.ts';
import type { Story } from './story.ts';
import { namespaceOf } from './story.ts';

/**
 * Who is a member now. While Stable a joiner is admitted with its content at once; in a rotation it is only entered,
 * and its first Secret is a grant like any other (design rule 5). A member leaves when its ClusterCertificate is known
 * to be gone, in a rotation only when `spec.rotation.departed` says that it is really gone (rule 7). That word counts as well of a member
 * that may not be served any more: else whoever keeps an object from going (a finalizer) would hold the rotation.
 * @param epoch the epoch of the ledger that is being made
 */
export function updateRoster(facts: Facts, epoch: number, story: Story): Ledger['roster'] {
  const { ledger, certificates, wish, watched } = facts;
  const next = new Map<MemberKey, RosterEntry>(ledger.roster);
  let changed = false;

  for (const [member, entry] of ledger.roster) {
    const certificate = certificates.get(member);
    const departed = wish.departed.has(member);
    if (certificate !== undefined && !(departed && certificate.barred !== null)) {
      if (certificate.uid !== entry.uid) {
        next.set(member, { ...entry, uid: certificate.uid });
        changed = true;
      }
      continue;
    }
    if (!watched(namespaceOf(member)) && !departed) continue;
    const free = ledger.rotation === null || entry.leaf === null || departed;
    if (!free) continue;
    next.delete(member);
    changed = true;
    const accepted =
      entry.leaf === null ? '' : `; its leaf is accepted until generation ${entry.leaf} is dropped or the leaf expires`;
    story.tell('Normal', 'MemberLeft', `${member} left the mesh${accepted}`);
  }

  if (!wish.deleting) {
    for (const [member, { uid, barred }] of certificates) {
      if (next.has(member) || barred !== null || ledger.signer === null) continue;
      next.set(
        member,
        ledger.rotation === null
          ? { uid, leaf: ledger.signer, bundle: ledger.bundle, since: epoch, grant: null }
          : { uid, leaf: null, bundle: [], since: epoch, grant: null },
      );
      changed = true;
      story.joined(member);
    }
  }
  return changed ? next : ledger.roster;
}
