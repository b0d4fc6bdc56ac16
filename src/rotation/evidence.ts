import type { Rotation } from '../api/ledger.ts';
import { contentOf } from './content.ts';
import type { Blocker, Evidence, Facts, MemberKey, SecretFact, Witness } from './facts.ts';

/**
 * What the evidence says about one question. `contrary` tells a seen *no* from a mere *unknown*:
 * both block, but only a seen no stops what already runs.
 */
export type Finding = { readonly ok: true } | ({ readonly ok: false; readonly contrary: boolean } & Blocker);

export const OK: Finding = { ok: true };
const unknown = (reason: string, message: string): Finding => ({ ok: false, contrary: false, reason, message });
const contrary = (reason: string, message: string): Finding => ({ ok: false, contrary: true, reason, message });

/** What is asked of a member. */
export type Question =
  | { readonly kind: 'trusts'; readonly generation: number }
  | { readonly kind: 'presents'; readonly generation: number }
  | { readonly kind: 'refuses'; readonly generation: number };

/** What a stage must see of the member that was granted, and at the end of every member. */
export function proofOf(rotation: Rotation): readonly Question[] {
  const trusts: Question = { kind: 'trusts', generation: rotation.to };
  const presents: Question = { kind: 'presents', generation: rotation.to };
  switch (rotation.stage) {
    case 'Append':
      return [trusts];
    case 'Roll':
      return [trusts, presents];
    case 'Drop':
      return [trusts, presents, { kind: 'refuses', generation: rotation.from }];
  }
}

/** What is asked of a member whose grant was turned round: what the stage asks, and the very leaf that came with it. */
export function proofOfReopened(rotation: Rotation): readonly Question[] {
  return [...proofOf(rotation), { kind: 'presents', generation: contentOf(rotation).leaf }];
}

/** What a grant asks of every *other* member: that it will accept what the grantee is about to show, and be accepted. */
export function neededForGrant(rotation: Rotation): readonly Question[] {
  switch (rotation.stage) {
    case 'Append':
      return [];
    case 'Roll':
      return [{ kind: 'trusts', generation: rotation.to }];
    case 'Drop':
      return [
        { kind: 'trusts', generation: rotation.to },
        { kind: 'presents', generation: rotation.to },
      ];
  }
}

/**
 * Asks every witness of a member all questions; the first answer that is not *yes* is the finding, a seen no before an unknown.
 * @param sinceEpoch evidence of an older epoch is unknown: the question was asked later
 */
export function ask(
  facts: Facts,
  member: MemberKey,
  secret: SecretFact | null,
  questions: readonly Question[],
  sinceEpoch: number,
  now: number,
): Finding {
  if (questions.length === 0) return OK;
  if (secret === null) return missingSecret(facts, member);
  const witnesses = facts.witnesses.get(member) ?? [];
  if (witnesses.length === 0) {
    return unknown(
      'NoPeer',
      `${member} is in no ReplicationPeer of the CA's namespace, so nothing is known of it. Add it to spec.members of one.`,
    );
  }
  let first: Finding = OK;
  for (const witness of witnesses) {
    const finding = hear(witness, secret, questions, sinceEpoch, now);
    if (finding.ok) continue;
    if (finding.contrary) return finding;
    if (first.ok) first = finding;
  }
  return first;
}

function missingSecret(facts: Facts, member: MemberKey): Finding {
  const namespace = member.slice(0, member.indexOf('/'));
  if (!facts.watched(namespace)) {
    return unknown(
      'NotWatched',
      `Namespace ${namespace} of ${member} is not watched by the operator. Add it to --namespaces.`,
    );
  }
  if (!facts.certificates.has(member)) {
    return unknown(
      'Deleted',
      `ClusterCertificate ${member} was deleted during the rotation. Restore it, or name it in spec.rotation.departed if the member is really gone.`,
    );
  }
  return unknown(
    'WaitingForSecret',
    `The Secret of ${member} does not exist yet; see the conditions of the ClusterCertificate.`,
  );
}

function hear(
  witness: Witness,
  secret: SecretFact,
  questions: readonly Question[],
  sinceEpoch: number,
  now: number,
): Finding {
  const { evidence, member, peer } = witness;
  if (evidence === null) return unknown('NeverObserved', `ReplicationPeer ${peer} has not probed ${member} yet.`);
  if (evidence.observedAt > now + CLOCK_TOLERANCE) {
    return unknown(
      'FromTheFuture',
      `ReplicationPeer ${peer} claims to have seen ${member} in the future. Check the clocks.`,
    );
  }
  if (now - evidence.observedAt > witness.freshFor) {
    const reason = evidence.reason === '' ? 'Stale' : evidence.reason;
    return unknown(reason, `ReplicationPeer ${peer} last saw ${member} too long ago. ${evidence.message}`.trim());
  }
  if (evidence.revision !== secret.revision || evidence.epoch < sinceEpoch) {
    const why =
      evidence.message === ''
        ? `The next probe of ReplicationPeer ${peer} answers; nothing is to be done.`
        : evidence.message;
    return unknown(
      evidence.reason === '' ? 'Outdated' : evidence.reason,
      `${member} was not seen since the last change. ${why}`,
    );
  }
  let first: Finding = OK;
  for (const question of questions) {
    const finding = answer(question, witness, evidence, secret);
    if (finding.ok) continue;
    if (finding.contrary) return finding;
    if (first.ok) first = finding;
  }
  return first;
}

/** Clocks of one cluster differ by less; more is a wrong clock. */
const CLOCK_TOLERANCE = 60_000;

function answer(question: Question, { member, roles }: Witness, evidence: Evidence, secret: SecretFact): Finding {
  const g = question.generation;
  const { trusts, refuses } = evidence;
  switch (question.kind) {
    case 'trusts': {
      if (refuses.includes(g)) {
        return contrary(
          'NotTrusted',
          `${member} was seen to refuse generation ${g}: it has not loaded the bundle of its Secret.`,
        );
      }
      if (roles.listens && !trusts.listening.includes(g))
        return silent(evidence, `whether ${member} trusts generation ${g}`);
      if (roles.dials && !trusts.dialling.includes(g))
        return silent(evidence, `whether ${member} trusts generation ${g} when it dials`);
      return OK;
    }
    case 'presents': {
      const shown = evidence.presents;
      if (shown === null) return silent(evidence, `which leaf ${member} presents`);
      if (shown.fingerprint === secret.leafFingerprint && shown.generation === g) return OK;
      const what =
        shown.generation === null ? 'a certificate of a foreign issuer' : `a leaf of generation ${shown.generation}`;
      return contrary(
        'NotPresented',
        `${member} presents ${what} (${shown.fingerprint.slice(0, 8)}), not the leaf of its Secret (${secret.leafFingerprint.slice(0, 8)}): it has not reloaded.`,
      );
    }
    case 'refuses': {
      if (refuses.includes(g)) return OK;
      if (trusts.listening.includes(g) || trusts.dialling.includes(g)) {
        return contrary(
          'StillTrusted',
          `${member} still accepts generation ${g}: it has not loaded the bundle of its Secret.`,
        );
      }
      return silent(evidence, `whether ${member} refuses generation ${g}`);
    }
  }
}

function silent(evidence: Evidence, what: string): Finding {
  return unknown(
    evidence.reason === '' ? 'Unknown' : evidence.reason,
    evidence.message === '' ? `It is unknown ${what}.` : evidence.message,
  );
}
