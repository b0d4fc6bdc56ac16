import type { GenerationRecord, Ledger } from '../../api/ledger.ts';
import { ledgerSecretName } from '../../api/names.ts';
import { keyOf, type ObjectRef } from '../../runtime/client.ts';
import { missingGeneration } from '../shared/authorities.ts';
import { Refusal } from '../shared/refusal.ts';
import { type GenerationSecret, isProblem, type KeptSecret, type LedgerSecret } from '../shared/secrets.ts';

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
 */
export function judgeLedger(ca: ObjectRef, read: LedgerSecret | null, all: readonly KeptSecret[]): LedgerState {
  // Who may write in a member's namespace must not be able to bring the whole mesh to a halt with a forged Secret.
  const secrets = all.filter(({ meta }) => meta.namespace === ca.namespace);
  const refused = (refusal: Refusal): LedgerState => ({ kind: 'refused', refusal });
  const name = `${ca.namespace}/${ledgerSecretName(ca.name)}`;
  const others = secrets.filter(({ kind }) => kind === 'member' || kind === 'unclaimed' || kind === 'generation');
  if (read === null) {
    const [first] = others;
    if (first === undefined) return { kind: 'new' };
    return refused(
      new Refusal(
        'LedgerMissing',
        `The ledger, Secret ${name}, is missing, but ${others.length} Secrets of this CA exist (${keyOf(first.meta)}). Restore it from a backup; nothing is issued meanwhile, and no link breaks. Keep those Secrets: CA keys among them cannot be made again.`,
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

/** Generation Secrets that the ledger does not name although it names another for their number, or a higher one: leftovers (design 3.1). */
export function leftovers(ledger: Ledger, secrets: readonly KeptSecret[]): readonly GenerationSecret[] {
  // By UID alone: the number is a label, which anybody may have changed.
  const named = new Set(Object.values(ledger.generations).map(({ secretUid }) => secretUid));
  return secrets.filter(
    (kept): kept is GenerationSecret =>
      kept.kind === 'generation' && kept.number <= ledger.highest && !named.has(kept.meta.uid),
  );
}
