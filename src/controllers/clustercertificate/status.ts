import type { ClusterCertificateStatus } from '../../api/cluster-certificate.ts';
import { clip, MAX_DISPLAY } from '../../api/fields.ts';
import { generationName } from '../../api/names.ts';
import type { ConditionUpdate } from '../../runtime/conditions.ts';
import { secondTime } from '../../runtime/clock.ts';
import { issuerOf } from '../shared/facts.ts';
import type { Refusal } from '../shared/refusal.ts';
import { allLeaves, isProblem, type MemberContent, type MemberSecret } from '../shared/kept-secrets.ts';
import { condition, nextConditions, progress } from '../shared/status.ts';
import type { CertificateFacts } from './facts.ts';
import { type Plan, renewalTime } from './plan.ts';

/** The status of a certificate after a pass, made from scratch: nothing is read back but the times of transitions. */
export function statusOf(
  facts: CertificateFacts,
  plan: Plan,
  secret: MemberSecret | null,
  refusal: Refusal | null,
  now: number,
): ClusterCertificateStatus {
  const { certificate, issuing } = facts;
  const { generation } = certificate.metadata;
  const content = secret === null || isProblem(secret.content) ? null : secret.content;
  const busy = refusal === null && plan.work.kind === 'wait' ? plan.work.because : null;
  const updates = [
    ...progress(refusal, busy),
    ready(plan, content, refusal, now),
    ...(content === null ? [] : [delivered(facts, content)]),
  ];
  return {
    observedGeneration: generation,
    conditions: nextConditions(certificate.status?.conditions, updates, generation, now),
    ...(content === null || secret === null || issuing === null ? {} : served(content, secret, issuing)),
  };
}

function served(
  content: MemberContent,
  secret: MemberSecret,
  { wish, generations }: NonNullable<CertificateFacts['issuing']>,
) {
  const { leaf, revision, bundleSha256 } = content;
  const generation = issuerOf(leaf, generations);
  if (generation === null) return {};
  return {
    certificates: allLeaves(content).map(({ name, leaf: each }) => ({
      name,
      serialNumber: each.serialNumber,
      fingerprint: each.fingerprint,
      generation,
      notBefore: secondTime(each.notBefore),
      notAfter: secondTime(each.notAfter),
      renewalTime: secondTime(renewalTime(each, wish.renewBefore)),
    })),
    bundleSha256,
    secretName: secret.meta.name,
    revision,
    issuer: generationName(generation),
    expires: clip(secondTime(leaf.notAfter).slice(0, 10), MAX_DISPLAY),
  };
}

function ready(plan: Plan, content: MemberContent | null, refusal: Refusal | null, now: number): ConditionUpdate {
  if (refusal !== null) return condition('Ready', 'False', refusal.reason, refusal.message);
  if (content === null) {
    return condition(
      'Ready',
      'False',
      'NotIssued',
      plan.work.kind === 'wait' ? plan.work.because : 'No Secret has been written yet.',
    );
  }
  if (now >= content.leaf.notAfter) {
    return condition(
      'Ready',
      'False',
      'Expired',
      `The leaf expired at ${secondTime(content.leaf.notAfter)}. ${plan.warning?.message ?? ''}`.trim(),
    );
  }
  const message = `Secret holds a leaf valid until ${secondTime(content.leaf.notAfter)} and the bundle to trust.`;
  return condition('Ready', 'True', 'Issued', plan.warning === null ? message : `${message} ${plan.warning.message}`);
}

function delivered({ sightings }: CertificateFacts, { leaf, revision }: MemberContent): ConditionUpdate {
  if (sightings.length === 0) {
    return condition(
      'Delivered',
      'Unknown',
      'NotObserved',
      'No ReplicationPeer names this member, so nobody looks. Name it in spec.members of one.',
    );
  }
  const other = sightings.find(({ presented }) => presented !== null && presented !== leaf.fingerprint);
  if (other !== undefined) {
    return condition(
      'Delivered',
      'False',
      'NotPresented',
      `ReplicationPeer ${other.peer} sees another leaf (${other.presented?.slice(0, 8)}) than this Secret's (${leaf.fingerprint.slice(0, 8)}). If that lasts, ${other.reload}.`,
    );
  }
  const blind = sightings.find(({ presented }) => presented === null);
  if (blind !== undefined) return condition('Delivered', 'Unknown', 'NotObserved', blind.message);
  return condition('Delivered', 'True', 'Presented', `The member presents this leaf (revision ${revision}).`);
}
