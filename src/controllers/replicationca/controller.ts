import { emptyLedger, type GenerationRecord, type Ledger } from '../../api/ledger.ts';
import { FINALIZER, ledgerSecretName, REPLICATION_CA, trustConfigMapName } from '../../api/names.ts';
import type { ReplicationCA } from '../../api/objects.ts';
import type { Authority } from '../../pki/issue.ts';
import { type Decision, plan } from '../../rotation/plan.ts';
import { names, namespaceOf } from '../../rotation/story.ts';
import { type Client, keyOf, type ObjectRef, refOf } from '../../runtime/client.ts';
import { secondTime } from '../../runtime/clock.ts';
import { finalizerStep } from '../../runtime/finalizers.ts';
import { type Pass, type Wake, WaitingError } from '../../runtime/runner.ts';
import type { Authorities } from '../shared/authorities.ts';
import type { ControllerClock } from '../shared/clock.ts';
import { Denials } from '../shared/denials.ts';
import { generationsOf } from '../shared/facts.ts';
import { tellInvalid, type Teller } from '../shared/invalid.ts';
import type { Ledgers } from '../shared/ledgers.ts';
import type { ProvidedLeaves } from '../shared/provided.ts';
import { Refusal } from '../shared/refusal.ts';
import type { Rights } from '../shared/rights.ts';
import type { LedgerSecret } from '../shared/kept-secrets.ts';
import { sameJson, writeStatus } from '../shared/status.ts';
import type { Verdicts } from '../shared/verdicts.ts';
import { type Kept, objectOf } from '../shared/kept.ts';
import type { World } from '../shared/world.ts';
import { removeAuthority } from './deletion.ts';
import { ReplicationCAEvents } from './events.ts';
import { type Bundle, bundleOf, guard, isThere, publish, release } from './housekeeping.ts';
import { mint, type Minted } from './mint.ts';
import { observeRotation } from './observe.ts';
import { type Alarm, instantsOf, type Outcome, statusOf } from './status.ts';
import { judgeLedger, leftovers, type LedgerState } from './verify.ts';

export interface ReplicationCATools {
  readonly client: Client;
  readonly world: World;
  readonly ledgers: Ledgers;
  readonly authorities: Authorities;
  readonly rights: Rights;
  readonly verdicts: Verdicts;
  readonly provided: Pick<ProvidedLeaves, 'of'>;
  readonly tell: Teller;
  readonly clock: ControllerClock;
}

/** While nothing but counters changes, status follows at most this often. */
const COUNTER_PERIOD = 2_000;
/** In a rotation the whole is looked at again at least this often: evidence grows stale without anybody telling. */
const ROTATION_PERIOD = 10_000;

/** Keeps ledger, generations and published bundle of one CA: observe -> plan (the rotation machine) -> perform, one ledger write at most. */
export function replicationCAController(tools: ReplicationCATools) {
  const { client, world, ledgers, authorities, rights, verdicts, provided, tell, clock } = tools;
  const { now } = clock;
  const writtenAt = new Map<string, number>();
  const events = new ReplicationCAEvents(tell);
  const denials = new Denials();

  return async function reconcile(key: string, { signal, log }: Pass): Promise<Wake> {
    const kept = world.cas.get(key);
    const ref = refOf(key);
    const { namespace = '' } = ref;
    if (kept === undefined) {
      writtenAt.delete(key);
      events.forget(key);
      verdicts.forget(key);
      world.pace.forget(key);
      await rights.settle(namespace, world.hasCa(namespace), signal);
      return { kind: 'onChange' };
    }
    const ca = objectOf(kept);
    if (ca === null) {
      await tellInvalid({ client, tell, now }, REPLICATION_CA, world.cas, kept, signal);
      return { kind: 'onChange' };
    }
    if (ca.status === null && kept.status !== undefined) {
      // Not one of ours; the API server may refuse every other write as long as it stands there.
      const empty = statusOf(
        { ca, refusal: null, alarm: null, ledger: null, rotation: null, bundleSha256: null },
        now(),
      );
      await writeStatus(client, REPLICATION_CA, world.cas, kept, empty, signal);
    }
    if (!kept.meta.deleting) await rights.settle(namespace, true, signal);
    const began = performance.now();
    const outcome = await act(kept, ca, ref, signal, log);
    world.pace.looked(key, began);
    const refusal = kept.meta.deleting ? await remove(kept, outcome, signal) : outcome.refusal;
    if (kept.meta.deleting && refusal === null) return { kind: 'onChange' };
    return conclude(world.cas.get(key) ?? kept, { ...outcome, refusal }, signal);
  };

  /** @returns why it cannot be let go; null: it is, or says itself whom it waits for */
  async function remove(kept: Kept<'ReplicationCA'>, outcome: Outcome, signal: AbortSignal): Promise<Refusal | null> {
    const hidden = outcome.rotation === null ? hiddenMembers() : null;
    if (hidden !== null) return hidden;
    const what = `What ReplicationCA ${keyOf(kept.meta)} leaves behind`;
    return refusalOf(() => denials.attempt(what, () => removeAuthority(tools, kept, outcome.ca, outcome, signal)));
  }

  async function protect(kept: Kept<'ReplicationCA'>, ref: ObjectRef, signal: AbortSignal): Promise<void> {
    const step = finalizerStep(kept.meta, FINALIZER);
    if (step.case !== 'add') return;
    const patch = { type: 'json', operations: step.patch } as const;
    world.cas.remember(
      await denials.attempt(`The finalizer of ReplicationCA ${keyOf(ref)}`, () =>
        client.patch(REPLICATION_CA, ref, patch, { signal }),
      ),
    );
  }

  /** Without a ledger nobody knows by name who the members are in a namespace that is not seen. */
  function hiddenMembers(): Refusal | null {
    const [first] = world.unreadNamespaces;
    const unread = first === undefined ? null : world.unreadable(first);
    if (unread === null) return null;
    return new Refusal('NamespaceUnreadable', `It is deleted, but may have members that are not seen. ${unread}`);
  }

  /** Everything but status. A refusal ends the acting, not the pass. */
  async function act(
    kept: Kept<'ReplicationCA'>,
    ca: ReplicationCA,
    ref: ObjectRef,
    signal: AbortSignal,
    log: Pass['log'],
  ): Promise<Outcome> {
    const base = { ca, alarm: null, rotation: null, bundleSha256: null };
    let known: Ledger | null = null;
    try {
      const read = await judged(kept, ref, signal);
      if (read === null) return { ...base, ledger: null, refusal: null };
      known = read.ledger;
      const wrong = kept.meta.deleting ? null : clock.refusal();
      if (wrong !== null) throw wrong;
      const moved = await move(kept, ca, ref, read, signal, log);
      const { ledger } = moved.decision;
      const generations = generationsOf(world.secrets, ca.metadata.namespace, ledger);
      const bundle = bundleOf(ledger, generations);
      const rotation = { facts: moved.facts, decision: moved.decision, generations };
      const { stalled } = moved.decision;
      const unavailable = stalled === null ? null : new Refusal('GenerationUnavailable', stalled.message);
      const untidy = await keepHouse(kept, ref, ledger, bundle, signal);
      const refusal = moved.refusal ?? unavailable ?? untidy;
      return { ca, refusal, alarm: alarmOf(kept, ledger), ledger, rotation, bundleSha256: bundle?.sha256 ?? null };
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      return { ...base, ledger: known, refusal: error };
    }
  }

  /** As readLedger, and lets everybody know who is about to write a member's Secret. */
  async function judged(kept: Kept<'ReplicationCA'>, ref: ObjectRef, signal: AbortSignal) {
    const key = keyOf(ref);
    const { deleting } = kept.meta;
    try {
      if (kept.meta.finalizers.own === null && !deleting) await protect(kept, ref, signal);
      const read = await readLedger(ref, deleting, signal);
      if (read !== null) verdicts.good(key, read.ledger.epoch);
      return read;
    } catch (error) {
      if (error instanceof Refusal) verdicts.bad(key, error.message);
      throw error;
    }
  }

  /**
   * The ledger to decide from, by what is known; whatever looks wrong or new is read live before it is believed.
   * @returns null when there is none and none is to be made
   */
  async function readLedger(
    ref: ObjectRef,
    deleting: boolean,
    signal: AbortSignal,
  ): Promise<{ read: LedgerSecret; ledger: Ledger } | null> {
    const judge = (read: LedgerSecret | null): LedgerState => {
      return judgeLedger(ref, read, [...world.secretsOf(`${ref.namespace}/${ref.name}`)], world.trust(ref));
    };
    let state = judge(ledgers.cached(ref));
    if (state.kind !== 'good') state = judge(await ledgers.live(ref));
    switch (state.kind) {
      case 'refused':
        throw state.refusal;
      case 'missing':
        if (await isThere(client, ref, state.number, state.record, signal))
          throw new WaitingError(`Secret ${state.record.secretName} is there, but not seen yet`, 200);
        throw state.refusal;
      case 'new': {
        if (deleting) return null;
        await ledgers.create(ref, emptyLedger(secondTime(now())), signal);
        return readLedger(ref, deleting, signal);
      }
      case 'restored': {
        // Its key is checked like any other before the ledger names it.
        await authorities.get(ref, state.number, state.record, signal);
        const generations = { ...state.ledger.generations, [state.number]: state.record };
        const ledger = { ...state.ledger, epoch: state.ledger.epoch + 1, generations };
        const read = await ledgers.commit(ref, state.read, ledger, signal);
        return { read, ledger };
      }
      case 'good':
        return state;
    }
  }

  /**
   * One step of the machine. What changes anything is decided again on the ledger as it is on the API server.
   * @returns with it why a generation that is wanted cannot be had
   */
  async function move(
    kept: Kept<'ReplicationCA'>,
    ca: ReplicationCA,
    ref: ObjectRef,
    given: { read: LedgerSecret; ledger: Ledger },
    signal: AbortSignal,
    log: Pass['log'],
  ) {
    let { read, ledger } = given;
    const decide = async () => {
      const signers = new Map<number, Authority>();
      for (const [number, record] of Object.entries(ledger.generations))
        signers.set(Number(number), await authorities.get(ref, Number(number), record, signal));
      const facts = observeRotation(world, ca, ledger, signers, provided, now());
      return { signers, facts, decision: plan(facts, now()) };
    };
    let refusal: Refusal | null = null;
    let { signers, facts, decision } = await decide();
    if (decision.step.kind === 'rest') return { facts, decision, refusal };

    const live = await readLedger(ref, kept.meta.deleting, signal);
    if (live === null) throw new Error(`the ledger of ${ref.namespace}/${ref.name} is gone`);
    ({ read, ledger } = live);
    ({ signers, facts, decision } = await decide());
    let next: Ledger | null = null;
    if (decision.step.kind === 'mint') {
      const { generation } = decision.step;
      const made = await make(ca, ref, { read, ledger }, signers, generation, signal);
      if (made instanceof Refusal) {
        if (ledger.signer === null) throw made;
        // The mesh goes on as it is: who joins or leaves is not to wait for a generation that cannot be made.
        refusal = made;
        const message = `Generation ${generation} is wanted. ${made.message}`;
        facts = { ...facts, obstacle: { reason: made.reason, message } };
        decision = plan(facts, now());
      } else {
        next = made.ledger;
        decision = { ...decision, story: made.story };
      }
    }
    if (decision.step.kind === 'commit') {
      next = decision.step.ledger;
      await ledgers.commit(ref, read, next, signal);
    }
    if (next === null) return { facts, decision, refusal };
    log.info(
      { epoch: next.epoch, stage: next.rotation?.stage ?? 'Stable', signer: next.signer },
      'the ledger moved on',
    );
    // Events are lost with the Lease, or after an hour; on whose word something went on must not be.
    for (const { reason, note } of decision.story)
      if (reason === 'Acknowledged') log.info({ epoch: next.epoch, reason }, note);
    events.moved(kept.meta, decision, ledger, next);
    const after: Decision = { ...decision, ledger: next };
    return { facts: { ...facts, ledger: next }, decision: after, refusal };
  }

  /** @returns the ledger that names the new generation, as it was written, and what to tell; or why none can be made, or named */
  async function make(
    ca: ReplicationCA,
    ref: ObjectRef,
    { read, ledger }: { read: LedgerSecret; ledger: Ledger },
    signers: ReadonlyMap<number, Authority>,
    generation: number,
    signal: AbortSignal,
  ): Promise<Minted | Refusal> {
    const what = `The Secret of generation ${generation} of ReplicationCA ${keyOf(ref)}`;
    const parts = { client, secrets: world.secrets, authorities };
    let minted: Minted | null = null;
    try {
      ledgers.checkWritable(ref);
      minted = await denials.attempt(what, () => mint(parts, ca, ledger, signers, generation, now(), signal));
      await ledgers.commit(ref, read, minted.ledger, signal);
      return minted;
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      await discard(ref, minted?.ledger.generations[generation], signal);
      return error;
    }
  }

  /** A generation that the ledger may not name: nobody else knows of it, and the next attempt would leave another one behind. */
  async function discard(ref: ObjectRef, record: GenerationRecord | undefined, signal: AbortSignal): Promise<void> {
    const kept = record === undefined ? undefined : world.secrets.get(`${ref.namespace}/${record.secretName}`);
    if (kept === undefined) return;
    authorities.forget(kept.meta);
    await refusalOf(() => denials.attempt(`Secret ${keyOf(kept.meta)}`, () => release(client, kept, true, signal)));
  }

  /** Everything that can be done is done, also when one thing is refused. @returns the first refusal; null: there was none */
  async function keepHouse(
    kept: Kept<'ReplicationCA'>,
    ref: ObjectRef,
    ledger: Ledger,
    bundle: Bundle | null,
    signal: AbortSignal,
  ): Promise<Refusal | null> {
    if (kept.meta.deleting) return null;
    let first: Refusal | null = null;
    const tidy = async (what: string, write: () => Promise<void>): Promise<boolean> => {
      const refusal = await refusalOf(() => denials.attempt(what, write));
      first ??= refusal;
      return refusal === null;
    };
    const secrets = [...world.secretsOf(`${ref.namespace}/${ref.name}`)];
    for (const left of leftovers(ledger, secrets)) {
      authorities.forget(left.meta);
      if (left.meta.deleting && left.meta.finalizers.own === null) continue;
      if (!(await tidy(`Secret ${keyOf(left.meta)}`, () => release(client, left, true, signal)))) continue;
      tell(
        REPLICATION_CA,
        kept.meta,
        'Normal',
        'GenerationRemoved',
        `Secret ${left.meta.name} of generation ${left.number} is deleted: the ledger no longer names it`,
      );
    }
    const named = new Set(Object.values(ledger.generations).map(({ secretUid }) => secretUid));
    for (const secret of secrets) {
      if (secret.kind === 'ledger' || named.has(secret.meta.uid))
        await tidy(`Secret ${keyOf(secret.meta)}`, () => guard(client, world.secrets, secret, signal));
    }
    if (bundle !== null)
      await tidy(`ConfigMap ${ref.namespace}/${trustConfigMapName(ref.name)}, in which the bundle is published,`, () =>
        publish(client, world, ref, bundle, signal),
      );
    return first;
  }

  /** Somebody is deleting what the mesh still needs; our finalizer holds it, for now. */
  function alarmOf(kept: Kept<'ReplicationCA'>, ledger: Ledger): Alarm | null {
    if (kept.meta.deleting) return null;
    const alarm = (message: string): Alarm => ({ reason: 'SecretTerminating', message: `ALARM: ${message}` });
    const { namespace } = kept.meta;
    for (const [number, { secretName }] of Object.entries(ledger.generations)) {
      if (world.secrets.get(`${namespace}/${secretName}`)?.meta.deleting !== true) continue;
      return alarm(
        `Secret ${namespace}/${secretName} of generation ${number} is being deleted; only its finalizer keeps it. It still signs. Set spec.rotation.generation to ${ledger.highest + 1} to replace it.`,
      );
    }
    const ledgerName = ledgerSecretName(kept.meta.name);
    if (world.secrets.get(`${namespace}/${ledgerName}`)?.meta.deleting !== true) return unreadableOf(ledger);
    return alarm(
      `Secret ${namespace}/${ledgerName}, the ledger, is being deleted; only its finalizer keeps it. Save it as a backup (without uid, resourceVersion and times of deletion), stop the operator, remove the finalizer, kubectl create what was saved, start the operator.`,
    );
  }

  /** Members where nobody may look: they stay, and are waited for. */
  function unreadableOf({ roster }: Ledger): Alarm | null {
    const members = [...roster.keys()];
    for (const namespace of new Set(members.map(namespaceOf))) {
      const unreadable = world.unreadable(namespace);
      if (unreadable === null) continue;
      const there = members.filter((member) => namespaceOf(member) === namespace);
      const message = `${unreadable} Its members (${names(there)}) stay in the mesh and get nothing; every rotation waits for them.`;
      return { reason: 'NamespaceUnreadable', message };
    }
    return null;
  }

  async function conclude(kept: Kept<'ReplicationCA'>, outcome: Outcome, signal: AbortSignal): Promise<Wake> {
    const { ca, refusal, rotation } = outcome;
    const at = now();
    const status = statusOf(outcome, at);
    const key = `${kept.meta.namespace}/${kept.meta.name}`;
    const idle = rotation?.decision.ledger.rotation === null && refusal === null;
    if (idle && onlyCountersDiffer(ca.status, status)) {
      const rest = (writtenAt.get(key) ?? 0) + COUNTER_PERIOD - at;
      if (rest > 0) return { kind: 'after', ms: rest };
    }
    if (await writeStatus(client, REPLICATION_CA, world.cas, kept, status, signal)) {
      writtenAt.set(key, at);
      events.concluded(kept.meta, outcome, status);
    }
    if (rotation !== null) events.regress(kept.meta, rotation.decision);
    return wakeAfter(outcome, at);
  }

  function wakeAfter({ refusal, rotation }: Outcome, at: number): Wake {
    const wakes: number[] = [];
    if (refusal?.retryAfter != null) wakes.push(refusal.retryAfter);
    if (rotation !== null) {
      const { decision } = rotation;
      if (decision.hold?.kind === 'soak') wakes.push(decision.hold.until - at);
      if (decision.ledger.rotation !== null) wakes.push(ROTATION_PERIOD);
      else for (const instant of instantsOf(rotation)) if (instant > at) wakes.push(instant - at);
      // A new CA and a step of a rotation are followed up at once; who has just joined asks for nothing more.
      if (decision.step.kind === 'mint' || (decision.step.kind === 'commit' && decision.ledger.rotation !== null))
        wakes.push(0);
    }
    return wakes.length === 0 ? { kind: 'onChange' } : { kind: 'after', ms: Math.min(...wakes) };
  }
}

/** The refusal in which something ends; null: it was done. */
async function refusalOf(work: () => Promise<unknown>): Promise<Refusal | null> {
  try {
    await work();
    return null;
  } catch (error) {
    if (error instanceof Refusal) return error;
    throw error;
  }
}

function onlyCountersDiffer(before: ReplicationCA['status'], after: ReturnType<typeof statusOf>): boolean {
  if (before === null) return false;
  return sameJson({ ...before, members: null }, { ...after, members: null });
}
