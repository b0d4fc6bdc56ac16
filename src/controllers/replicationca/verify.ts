import type { GenerationRecord, Ledger } from '../../api/ledger.ts';
import { ledgerSecretName } from '../../api/names.ts';
import { keyOf, type ObjectRef } from '../../runtime/client.ts';
import { missingGeneration } from '../shared/authorities.ts';
import { Refusal } from '../shared/refusal.ts';
import {
  type GenerationSecret,
  isProblem,
  type KeptSecret,
  type TrustConfigMap,
  type LedgerSecret,
} from '../shared/kept-secrets.ts';

/** What the Secrets of a CA say about its ledger, before anything is decided from it. */
export type LedgerState =
  /** Nothing exists yet. */
  | { readonly kind: 'new' }
  | { readonly kind: 'refused'; readonly refusal: Refusal }
  /** A named generation is not found by its labels: gone, unless it is there without them. */
  | {
      readonly kind: 'missing';
      readonly number: number;
      readonly record: GenerationRecord;
      readonly refusal: Refusal;
    }
  /** A named generation was restored from a backup: same name and certificate, another UID. */
  | {
      readonly kind: 'restored';
      readonly read: LedgerSecret;
      readonly ledger: Ledger;
      readonly number: number;
      readonly record: GenerationRecord;
    }
  | { readonly kind: 'good'; readonly read: LedgerSecret; readonly ledger: Ledger };

/**
 * Judges the ledger by what exists beside it (design section 3.1): its absence is never taken for a fresh start, an old one never for
 * the present, and a generation that it names is never minted again.
 * @param all the Secrets of this CA, wherever they are
 * @param trust the published bundle; a witness against a ledger, and never anything else
 */
export function judgeLedger(
  ca: ObjectRef,
  read: LedgerSecret | null,
  all: readonly KeptSecret[],
  trust: TrustConfigMap | null,
): LedgerState {
  // Who may write in a member's namespace must not be able to bring the whole mesh to a halt with a forged Secret.
  const secrets = all.filter(({ meta }) => meta.namespace === ca.namespace);
  const refused = (refusal: Refusal): LedgerState => ({ kind: 'refused', refusal });
  const name = `${ca.namespace}/${ledgerSecretName(ca.name)}`;
  const others = secrets.filter(({ kind }) => kind === 'member' || kind === 'unclaimed' || kind === 'generation');
  if (read === null) {
    if (others.length === 0) return { kind: 'new' };
    return refused(
      new Refusal(
        'LedgerMissing',
        `The ledger, Secret ${name}, is missing, but ${others.length} Secrets of this CA exist (${firstOf(others)}). Restore it from a backup; nothing is issued meanwhile, and no link breaks. Keep those Secrets: CA keys among them cannot be made again.`,
      ),
    );
  }
  if (isProblem(read.ledger)) {
    return refused(new Refusal('LedgerInvalid', `Secret ${name}: ${read.ledger.problem}. Restore it from a backup.`));
  }
  const { ledger } = read;
  const ahead = secrets
    .filter((kept) => kept.kind === 'member' || kept.kind === 'unclaimed')
    .find(({ epoch }) => epoch > ledger.epoch);
  if (ahead !== undefined) {
    return refused(
      new Refusal(
        'LedgerBehind',
        `The ledger, Secret ${name}, is at epoch ${ledger.epoch}, but Secret ${keyOf(ahead.meta)} was written in epoch ${ahead.epoch}: an older ledger was restored. Restore the newest one; nothing is changed meanwhile.`,
      ),
    );
  }
  const forgotten = forgottenGeneration(ledger, all, trust);
  if (forgotten !== null) {
    const { generation, witness } = forgotten;
    return refused(
      new Refusal(
        'LedgerBehind',
        `The ledger, Secret ${name}, does not name generation ${generation.number} (Secret ${keyOf(generation.meta)}), but ${witness} holds it: an older ledger was restored. Restore the newest one; nothing is changed meanwhile.`,
      ),
    );
  }
  for (const [text, record] of Object.entries(ledger.generations)) {
    const number = Number(text);
    const kept = secrets.find(
      (each): each is GenerationSecret =>
        each.kind === 'generation' && each.meta.name === record.secretName && each.number === number,
    );
    if (kept === undefined) {
      const refusal = new Refusal('GenerationSecretMissing', missingGeneration(ca, number, record));
      return { kind: 'missing', number, record, refusal };
    }
    if (isProblem(kept.certificate) || kept.certificate.fingerprint !== record.fingerprint) {
      return refused(
        new Refusal(
          'GenerationSecretInvalid',
          `Secret ${keyOf(kept.meta)} does not hold the certificate of generation ${number} that the ledger names. Restore it from a backup.`,
        ),
      );
    }
    if (kept.meta.uid !== record.secretUid) {
      return { kind: 'restored', read, ledger, number, record: { ...record, secretUid: kept.meta.uid } };
    }
  }
  return { kind: 'good', read, ledger };
}

/**
 * A generation that a newer ledger has named: this one does not know it, but its certificate is in the published bundle or in a member's,
 * where it gets only after it was named. Unlike an epoch, that cannot be forged by who may write in a member's namespace: nobody is
 * shown the certificate of a generation that was never named, and of one that was dropped the ledger has passed the number.
 */
function forgottenGeneration(
  { highest, generations }: Ledger,
  all: readonly KeptSecret[],
  trust: TrustConfigMap | null,
): { readonly generation: GenerationSecret; readonly witness: string } | null {
  const named = new Set(Object.values(generations).map(({ fingerprint }) => fingerprint));
  for (const generation of all) {
    if (generation.kind !== 'generation' || isProblem(generation.certificate)) continue;
    const { fingerprint } = generation.certificate;
    const unknown = generation.number > highest || generations[generation.number] !== undefined;
    if (!unknown || named.has(fingerprint)) continue;
    if (trust !== null && trust.bundle.includes(fingerprint))
      return { generation, witness: `ConfigMap ${keyOf(trust.meta)}` };
    const holder = all.find(
      (kept) => kept.kind === 'member' && !isProblem(kept.content) && kept.content.bundle.includes(fingerprint),
    );
    if (holder !== undefined) return { generation, witness: `Secret ${keyOf(holder.meta)}` };
  }
  return null;
}

const MOST_NAMED = 3;

/** Names the first of these Secrets, those that cannot be made again before the others, and counts the rest. */
function firstOf(secrets: readonly KeptSecret[]): string {
  const keys = (generations: boolean): readonly string[] =>
    secrets
      .filter(({ kind }) => (kind === 'generation') === generations)
      .map(({ meta }) => keyOf(meta))
      .toSorted();
  const all = [...keys(true), ...keys(false)];
  const more = all.length - MOST_NAMED;
  return `${all.slice(0, MOST_NAMED).join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
}

/** Generation Secrets that the ledger does not name although it names another for their number, or a higher one: leftovers (design 3.1). */
export function leftovers(ledger: Ledger, secrets: readonly KeptSecret[]): readonly GenerationSecret[] {
  // By UID alone: the number is a label, which anybody may have changed.
  const named = new Set(Object.values(ledger.generations).map(({ secretUid }) => secretUid));
  return secrets.filter(
    (kept): kept is GenerationSecret =>
      kept.kind === 'generation' && kept.number <= ledger.highest && !named.has(kept.meta.uid),
  );
}
