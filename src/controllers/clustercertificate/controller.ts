import { generationName, CLUSTER_CERTIFICATE, memberKey } from '../../api/names.ts';
import type { ClusterCertificate } from '../../api/objects.ts';
import { type Client, isNotFound, keyOf, refOf } from '../../runtime/client.ts';
import { secondTime } from '../../runtime/clock.ts';
import type { Pass, Wake } from '../../runtime/runner.ts';
import type { Authorities } from '../shared/authorities.ts';
import type { ControllerClock } from '../shared/clock.ts';
import { Denials } from '../shared/denials.ts';
import { caKeyOf, secretNameOf } from '../shared/effective.ts';
import { tellInvalid, type Teller } from '../shared/invalid.ts';
import type { Ledgers } from '../shared/ledgers.ts';
import type { ProvidedLeaves } from '../shared/provided.ts';
import { Refusal } from '../shared/refusal.ts';
import { isProblem, type LedgerSecret, type MemberSecret } from '../shared/kept-secrets.ts';
import { SECRETS } from '../shared/resources.ts';
import { saysRefusal, writeStatus } from '../shared/status.ts';
import type { Verdicts } from '../shared/verdicts.ts';
import { type Kept, objectOf } from '../shared/kept.ts';
import type { World } from '../shared/world.ts';
import type { CertificateFacts } from './facts.ts';
import { leftObjectsOf, leftoverOf, observe } from './observe.ts';
import { Outputs } from './outputs.ts';
import { deleteLeftover, perform } from './perform.ts';
import { deleteObject, performObjects } from './perform-objects.ts';
import { planObjects } from './plan-objects.ts';
import { type Plan, planCertificate, type Warning, type Work } from './plan.ts';
import { statusOf } from './status.ts';

export interface ClusterCertificateTools {
  readonly client: Client;
  readonly world: World;
  readonly ledgers: Ledgers;
  readonly authorities: Authorities;
  readonly verdicts: Verdicts;
  readonly provided: ProvidedLeaves;
  readonly tell: Teller;
  readonly clock: ControllerClock;
}

/** A certificate that waits for its first Secret says so only when that lasts. */
const PATIENCE = 3_000;

/** Keeps one member's Secret as the ledger and its spec want it: observe -> plan -> (read the ledger live, plan again) -> perform. */
export function clusterCertificateController(tools: ClusterCertificateTools) {
  const { client, world, ledgers, authorities, verdicts, provided, tell, clock } = tools;
  const outputs = new Outputs(client, world.userSecrets);
  const { now } = clock;
  const denials = new Denials();

  return async function reconcile(key: string, { signal, log }: Pass): Promise<Wake> {
    const kept = world.certificates.get(key);
    if (kept === undefined) return forget(key, signal);
    const certificate = objectOf(kept);
    if (certificate === null) {
      await tellInvalid({ client, tell, now }, CLUSTER_CERTIFICATE, world.certificates, kept, signal);
      return { kind: 'onChange' };
    }
    if (kept.meta.deleting) return { kind: 'onChange' };

    await readSecret(certificate, signal);
    const ca = refOf(caKeyOf(certificate));
    const gather = async (ledger: LedgerSecret | null): Promise<CertificateFacts> => {
      const known = observe(world, certificate, ledger);
      const brought = await provided.judge(certificate, known.demands, now(), signal);
      return { ...known, outputs: await outputs.expect(known, signal), brought };
    };
    let facts = await gather(ledgers.cached(ca));
    let plan = planCertificate(facts, now());
    let { secret } = facts;
    const wrongClock = clock.refusal();
    // What is served stays as it was told: by a wrong clock everything looks expired. Only who has nothing yet is told why.
    if (wrongClock !== null && secret !== null) return { kind: 'after', ms: wrongClock.retryAfter ?? 0 };
    // What the Secret holds cannot be told to be right without a ledger.
    let refusal = wrongClock ?? plan.refusal ?? (facts.issuing === null ? doubtOf(facts) : null);
    let done: Work | null = null;
    if (acts(plan.work) && wrongClock === null) {
      // Its CA has not been judged yet in this process; that is a matter of moments.
      if (verdicts.of(facts.ca) === null) return { kind: 'after', ms: 200 };
      // Nothing is signed on hearsay: the decision is made again on the ledger as it is.
      facts = await gather(await ledgers.live(ca));
      plan = planCertificate(facts, now());
      ({ secret } = facts);
      ({ refusal } = plan);
      const doubt = doubtOf(facts);
      if (doubt !== null) refusal ??= doubt;
      else if (acts(plan.work) && facts.issuing !== null) {
        try {
          secret = await perform(
            { client, secrets: world.secrets, authorities, provided, denials, outputs },
            plan.work,
            facts,
            facts.issuing,
            now(),
            signal,
          );
          done = plan.work;
          log.info(
            { work: plan.work.kind, secret: secret.meta.name, epoch: secret.epoch },
            'wrote the Secret of a member',
          );
          facts = { ...facts, secret };
          facts = { ...facts, outputs: await outputs.expect(facts, signal) };
          plan = planCertificate(facts, now());
        } catch (error) {
          if (!(error instanceof Refusal)) throw error;
          refusal = error;
        }
      }
    }
    if (refusal === null && plan.work.kind === 'none') refusal = await settleObjects(facts, signal);
    return conclude({ kept, certificate, facts, plan, secret, refusal, done, signal });
  };

  /** The Secret is as it is to be: now what follows it. @returns why that cannot be done */
  async function settleObjects(facts: CertificateFacts, signal: AbortSignal): Promise<Refusal | null> {
    const works = planObjects(facts);
    if (works.length === 0 || facts.issuing === null) return null;
    try {
      const { changed, refusal } = await performObjects(
        { client, world, denials, outputs },
        works,
        facts,
        facts.issuing,
        signal,
      );
      const what = `${changed.join(', ')} ${changed.length === 1 ? 'follows' : 'follow'} Secret ${facts.secret?.meta.name}`;
      if (changed.length > 0) tell(CLUSTER_CERTIFICATE, facts.certificate.metadata, 'Normal', 'OutputsWritten', what);
      return refusal;
    } catch (error) {
      if (error instanceof Refusal) return error;
      throw error;
    }
  }

  /** A Secret that was there before its certificate (restored, or kept when that was deleted) was not read while nobody asked for it. */
  async function readSecret(certificate: ClusterCertificate, signal: AbortSignal): Promise<void> {
    const { namespace, name } = certificate.metadata;
    const ref = { namespace, name: secretNameOf(certificate) };
    const kept = world.secrets.get(keyOf(ref));
    if (kept?.kind !== 'unclaimed' || kept.certificate !== memberKey(namespace, name)) return;
    try {
      world.takeUp(await client.get(SECRETS, ref, { signal }));
    } catch (error) {
      // The watch tells when it is gone.
      if (!isNotFound(error)) throw error;
    }
  }

  /** Why the ledger is not to be acted on, or believed; the certificate is looked at again when its CA has been judged anew. */
  function doubtOf({ ca, issuing }: CertificateFacts): Refusal | null {
    const verdict = verdicts.of(ca);
    if (verdict === null) return null;
    if (!verdict.good)
      return new Refusal('CANotReady', `ReplicationCA ${ca} is stalled, so nothing is written: ${verdict.message}`);
    if (issuing !== null && issuing.ledger.epoch < verdict.epoch) {
      return new Refusal(
        'CANotReady',
        `The ledger of ReplicationCA ${ca} went back from epoch ${verdict.epoch} to ${issuing.ledger.epoch}; see its conditions.`,
        5_000,
      );
    }
    return null;
  }

  async function conclude(outcome: {
    kept: Kept<'ClusterCertificate'>;
    certificate: ClusterCertificate;
    facts: CertificateFacts;
    plan: Plan;
    secret: MemberSecret | null;
    refusal: Refusal | null;
    done: Work | null;
    signal: AbortSignal;
  }): Promise<Wake> {
    const { kept, certificate, facts, plan, secret, refusal, done, signal } = outcome;
    const at = now();
    if (plan.work.kind === 'wait' && refusal === null && secret === null) {
      const patience = Date.parse(certificate.metadata.creationTimestamp ?? '') + PATIENCE - at;
      if (patience > 0) return { kind: 'after', ms: patience };
    }
    const status = statusOf(facts, plan, secret, refusal, at);
    // Told before: should the status come too late, the next pass writes it, and does not know any more what was done.
    if (done !== null) tellWork(certificate, done, secret);
    const changed = await writeStatus(client, CLUSTER_CERTIFICATE, world.certificates, kept, status, signal);
    if (changed && refusal !== null && !saysRefusal(certificate.status, refusal)) {
      tell(
        CLUSTER_CERTIFICATE,
        kept.meta,
        'Warning',
        refusal.reason === 'SecretConflict' ? 'SecretConflict' : 'Stalled',
        refusal.message,
      );
    }
    if (changed && plan.warning !== null && !wasWarned(certificate, plan.warning))
      tell(CLUSTER_CERTIFICATE, kept.meta, 'Warning', plan.warning.reason, plan.warning.message);
    const wakes = refusal?.retryAfter == null ? [plan.wakeAt] : [at + refusal.retryAfter];
    // Whatever keeps it from being renewed: when it has expired, that is told.
    if (secret !== null && !isProblem(secret.content) && secret.content.leaf.notAfter > at)
      wakes.push(secret.content.leaf.notAfter);
    const soonest = Math.min(...wakes.filter((instant) => instant !== null));
    return soonest === Infinity ? { kind: 'onChange' } : { kind: 'after', ms: soonest - at };
  }

  function tellWork(certificate: ClusterCertificate, work: Work, secret: MemberSecret | null): void {
    if (secret === null || isProblem(secret.content)) return;
    const { leaf } = secret.content;
    const { metadata } = certificate;
    if (work.kind === 'issue') {
      const because = work.cause.kind === 'Issued' ? '' : ` (${work.cause.because})`;
      const source = work.from === null ? '' : `, from Secret ${work.from.secret}`;
      const note = `Leaf ${leaf.serialNumber.slice(0, 8)} of ${generationName(work.leaf)}, valid until ${secondTime(leaf.notAfter)}${source}, is in Secret ${secret.meta.name}${because}`;
      tell(CLUSTER_CERTIFICATE, metadata, 'Normal', work.cause.kind, note);
    } else if (work.kind === 'rebundle') {
      const bundle = work.bundle.map(generationName).join(' + ');
      tell(
        CLUSTER_CERTIFICATE,
        metadata,
        'Normal',
        'BundleWritten',
        `Secret ${secret.meta.name} trusts ${bundle} (${work.because})`,
      );
    } else if (work.kind === 'outputs') {
      const held = secret.outputs.size === 0 ? 'has no outputs' : `holds ${[...secret.outputs.keys()].join(', ')}`;
      tell(
        CLUSTER_CERTIFICATE,
        metadata,
        'Normal',
        'OutputsWritten',
        `Secret ${secret.meta.name} ${held} (${work.because})`,
      );
    }
  }

  /**
   * The certificate is not there. Nothing is deleted because something is missing, say a Secret that was restored before its certificate:
   * only what is of one that was seen to go, and that is gone when it is asked for once more.
   */
  async function forget(key: string, signal: AbortSignal): Promise<Wake> {
    const certificate = world.deleted.get(key);
    const left = certificate === undefined ? null : leftoverOf(world.secrets, certificate);
    const objects = certificate === undefined ? [] : leftObjectsOf(world, certificate);
    if ((left !== null || objects.length > 0) && (await isGone(key, signal))) {
      for (const object of objects) await deleteObject({ client }, object, signal);
      if (left !== null) await deleteLeftover({ client }, left, signal);
    }
    world.deleted.delete(key);
    outputs.forget(key);
    const { namespace = '', name } = refOf(key);
    provided.forget(memberKey(namespace, name));
    return { kind: 'onChange' };
  }

  async function isGone(key: string, signal: AbortSignal): Promise<boolean> {
    try {
      await client.getMetadata(CLUSTER_CERTIFICATE, refOf(key), { signal });
      return false;
    } catch (error) {
      if (!isNotFound(error)) throw error;
      return true;
    }
  }
}

function acts(work: Work): work is Exclude<Work, { kind: 'none' | 'wait' }> {
  return work.kind !== 'none' && work.kind !== 'wait';
}

function wasWarned({ status }: ClusterCertificate, { message }: Warning): boolean {
  return status?.conditions?.some((each) => each.type === 'Ready' && each.message.includes(message)) ?? false;
}
