import type { Rotation } from '../api/ledger.ts';
import { contentOf } from './content.ts';
import type { Blocker, Evidence, Facts, MemberKey, SecretFact, Witness } from './facts.ts';
import { rfc3339 } from './time.ts';

/**
 * What the evidence says about one question. `contrary` tells a seen *no* from a mere *unknown*:
 * both block, but only a seen no stops what already runs.
 */
export type Finding =
  /** `claims`: what it rests on besides what was seen. */
  | { readonly ok: true; readonly claims: readonly string[] }
  | ({ readonly ok: false; readonly contrary: boolean } & Blocker);

export const OK: Finding = { ok: true, claims: [] };
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
    case 'Swap':
      return [trusts, presents, { kind: 'refuses', generation: rotation.from }];
    case 'Prepare':
      return [
        { kind: 'trusts', generation: rotation.from },
        { kind: 'presents', generation: rotation.from },
      ];
  }
}

/**
 * Whether there is nothing to be seen before all change at one time: leaves of a generation that has expired are accepted nowhere, so nobody
 * is as it should be, and no link is left that the change could break. To wait for such evidence would be to wait for ever.
 */
export function isMoot({ generations }: Facts, { stage, from }: Rotation, now: number): boolean {
  return stage === 'Prepare' && now >= (generations.get(from)?.notAfter ?? Number.POSITIVE_INFINITY);
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
    // Links are down until the last one has changed: to wait for one of them would only make that longer.
    case 'Prepare':
    case 'Swap':
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
 * Asks every witness of a member all questions; the first answer that is not *yes* is the finding, a seen no before an unknown. What is
 * unknown may be acknowledged.
 * @param sinceEpoch evidence of an older epoch is unknown: the question was asked later
 * @param alike its leaf may be one from before, so that no look can tell what has arrived from what is on its way
 */
export function ask(
  facts: Facts,
  rotation: Rotation,
  member: MemberKey,
  secret: SecretFact | null,
  questions: readonly Question[],
  sinceEpoch: number,
  now: number,
  { alike = false }: { readonly alike?: boolean } = {},
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
  const unaskable = questions.find(
    ({ kind, generation }) => kind !== 'presents' && facts.ledger.generations[generation]?.withoutKey === true,
  );
  return worst(
    witnesses.map((witness) => {
      const seen = look(witness, secret, questions, sinceEpoch, now);
      const found = alike && seen.ok ? indistinct(witness, secret, rotation) : seen;
      if (found.ok || found.contrary) return found;
      const told = unaskable === undefined ? found : unasked(witness, secret, rotation, unaskable.generation, found);
      return acknowledge(witness, secret, questions, rotation, told, now);
    }),
  );
}

/** A seen no before an unknown, an unknown before a yes. */
function worst(findings: readonly Finding[]): Finding {
  const no = findings.find((finding) => !finding.ok && finding.contrary) ?? findings.find(({ ok }) => !ok);
  return no ?? { ok: true, claims: findings.flatMap((finding) => (finding.ok ? finding.claims : [])) };
}

/**
 * What an acknowledgement makes of an unknown. It says that the member uses this revision of its Secret, so it answers what that content
 * answers. Never against a seen no, however old: what was seen of this very revision stands until something else is seen.
 */
function acknowledge(
  witness: Witness,
  secret: SecretFact,
  questions: readonly Question[],
  rotation: Rotation,
  unknownBecause: Finding,
  now: number,
): Finding {
  const { acknowledged, acknowledgedWhen, evidence, member, probed } = witness;
  const { stage, to } = rotation;
  const counts =
    acknowledged !== null &&
    acknowledged.revision === secret.revision &&
    acknowledged.generation === to &&
    acknowledged.stage === stage &&
    now < acknowledged.expires &&
    questions.every((question) => holds(question, secret));
  if (!counts) {
    if (probed) return unknownBecause;
    return unknown(
      'NotAcknowledged',
      `${member} is not probed. When you have seen that ${acknowledgedWhen[stage]}, ${toAcknowledge(witness, secret, rotation)}`,
    );
  }
  if (evidence !== null && evidence.revision === secret.revision) {
    const seen = worst(questions.map((question) => answer(question, witness, evidence, secret)));
    // One of its addresses said no, or answers differ: that is seen, and not unknown.
    const differ = evidence.reason === 'Contradictory' || evidence.reason === 'Unsteady';
    if (!seen.ok && (seen.contrary || differ)) return seen;
  }
  const { by, manager, reason, expires } = acknowledged;
  const writer = manager === null ? '' : `, written down by field manager ${manager}`;
  const claim = `${stage} to generation ${to}: ${by} claims that ${member} uses revision ${secret.revision} of its Secret (${reason}${writer}); it counts until ${rfc3339(expires)}`;
  return { ok: true, claims: [claim] };
}

/** The line to commit. */
function toAcknowledge({ name, peer }: Witness, { revision }: SecretFact, { to, stage }: Rotation): string {
  return `set spec.members[name=${name}].acknowledged of ReplicationPeer ${peer}: {revision: ${revision}, generation: ${to}, stage: ${stage}, by: <you>, reason: <how>, expires: <when>}.`;
}

/** What nobody can ask, for the key is not here: where nothing else is amiss, that is what keeps it unknown. */
function unasked(
  witness: Witness,
  secret: SecretFact,
  rotation: Rotation,
  generation: number,
  found: Blocker & { readonly ok: false; readonly contrary: boolean },
): Finding {
  if (found.reason !== 'Unknown' && found.reason !== 'NotAsked') return found;
  return unknown(
    'NotAcknowledged',
    `Generation ${generation} was imported without its key, so that no look tells whether ${witness.member} trusts it. When you have seen that ${witness.acknowledgedWhen[rotation.stage]}, ${toAcknowledge(witness, secret, rotation)}`,
  );
}

/** A leaf that is brought may be the one from before the rotation turned round, with the change that was on its way still to come. */
function indistinct(witness: Witness, secret: SecretFact, rotation: Rotation): Finding {
  return unknown(
    'NotAcknowledged',
    `The rotation turned round while a change of ${witness.member} was on its way, and its leaf is one that it may have had before: no look tells whether that change is still to come. Make it load its Secret once more (restart it). When you have seen that it uses it, ${toAcknowledge(witness, secret, rotation)}`,
  );
}

/** Whether a member that uses this content answers yes. */
function holds({ kind, generation }: Question, { leaf, bundle }: SecretFact): boolean {
  switch (kind) {
    case 'trusts':
      return bundle?.includes(generation) === true;
    case 'presents':
      return leaf === generation;
    case 'refuses':
      return bundle?.includes(generation) === false;
  }
}

function missingSecret(facts: Facts, member: MemberKey): Finding {
  const namespace = member.slice(0, member.indexOf('/'));
  if (!facts.watched(namespace)) {
    return unknown(
      'NotWatched',
      `Namespace ${namespace} of ${member} is not seen by the operator. Name it in --namespaces, and kubectl apply -n ${namespace} -f deploy/watched-namespace.yaml.`,
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

/** The next step, for whoever reads it. */
const RELOAD = 'Wait for the files to arrive there; if that lasts, make it reload them.';

/** What was seen, by one peer. */
function look(
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
      `ReplicationPeer ${peer} claims to have looked at ${member} in the future. Check the clocks.`,
    );
  }
  if (now - evidence.observedAt > witness.freshFor) {
    const reason = evidence.reason === '' ? 'Stale' : evidence.reason;
    return unknown(reason, `ReplicationPeer ${peer} last looked at ${member} too long ago. ${evidence.message}`.trim());
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
  return worst(questions.map((question) => answer(question, witness, evidence, secret)));
}

/** Clocks of one cluster differ by less; more is a wrong clock. */
const CLOCK_TOLERANCE = 60_000;

function answer(question: Question, { member, roles }: Witness, evidence: Evidence, secret: SecretFact): Finding {
  const g = question.generation;
  const { trusts, refuses } = evidence;
  switch (question.kind) {
    case 'trusts': {
      if (refuses.fresh.includes(g)) {
        return contrary(
          'NotTrusted',
          `${member} was seen to refuse generation ${g}: it has not loaded the bundle of its Secret. ${RELOAD}`,
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
        `${member} presents ${what} (${shown.fingerprint.slice(0, 8)}), not the leaf of its Secret (${secret.leafFingerprint.slice(0, 8)}): it has not reloaded. ${RELOAD}`,
      );
    }
    case 'refuses': {
      if (trusts.listening.includes(g) || trusts.dialling.includes(g)) {
        return contrary(
          'StillTrusted',
          `${member} still accepts generation ${g}: it has not loaded the bundle of its Secret. ${RELOAD}`,
        );
      }
      if (evidence.resumes.includes(g)) return contrary('StillResumed', resumedMessage(evidence, member, g));
      if (!refuses.fresh.includes(g)) return silent(evidence, `whether ${member} refuses generation ${g}`);
      if (refuses.resumed.includes(g)) return OK;
      return silent(evidence, `whether ${member} still takes up sessions of generation ${g} from before`);
    }
  }
}

/** The peer knows where and how; its word is about another thing when something more pressing was seen. */
function resumedMessage({ reason, message }: Evidence, member: MemberKey, generation: number): string {
  if (reason === 'StillResumed') return message;
  return `${member} still takes up a session of generation ${generation} from before. Restart it, with new session ticket keys where they are shared.`;
}

function silent(evidence: Evidence, what: string): Finding {
  return unknown(
    evidence.reason === '' ? 'Unknown' : evidence.reason,
    evidence.message === '' ? `It is unknown ${what}.` : evidence.message,
  );
}
