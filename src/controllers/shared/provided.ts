/** Leaves that users bring (`spec.provided`): read from Secrets of theirs, judged, and delivered as they are. */
import type { GenerationRecord } from '../../api/ledger.ts';
import { generationName, LABELS, leafKeys, MANAGED_BY, type MemberKey, memberKey } from '../../api/names.ts';
import type { ClusterCertificate } from '../../api/objects.ts';
import { type Certificate, signedBy } from '../../pki/certificate.ts';
import { PkiError } from '../../pki/errors.ts';
import { type LeafDemands, objectionAt, objectionUnder, type ProvidedLeaf, readProvided } from '../../pki/provided.ts';
import { leavesOf } from '../../profiles/index.ts';
import type { Blocker } from '../../rotation/facts.ts';
import { type Client, isNotFound, type KubeObject } from '../../runtime/client.ts';
import { WaitingError } from '../../runtime/runner.ts';
import { textOf } from './authorities.ts';
import { caKeyOf, providedSecretsOf } from './effective.ts';
import { SECRETS } from './resources.ts';
import { type UserSecrets, versionOf } from './user-secrets.ts';

/** A leaf in a Secret of its user. */
interface BroughtLeaf {
  /** Which leaf of the profile it is. */
  readonly name: string;
  /** The key of the Secret that it is under. */
  readonly file: string;
  readonly certificate: Certificate;
}

/** A Secret that brings all leaves of a member (most have one), as it was judged; no key is kept. */
export interface Brought {
  /** Its name, in the namespace of the certificate. */
  readonly secret: string;
  /** In the order of the profile's; null: it is refused. */
  readonly leaves: readonly BroughtLeaf[] | null;
  /** Names Secret, rule and remedy; null: nothing is wrong with it by itself. */
  readonly refusal: string | null;
  /** There is no such Secret: it may be yet to come. */
  readonly missing: boolean;
  /** Epoch milliseconds: when it is to be judged anew although nobody has changed it; null: never. */
  readonly until: number | null;
}

interface Judged extends Brought {
  /** Of what it follows from, to compare with. */
  readonly from: string;
}

/** Leaves that can be delivered. */
export interface Candidate {
  readonly secret: string;
  readonly leaves: readonly BroughtLeaf[];
}

/**
 * What the ClusterCertificate controller found in the Secrets that bring leaves. It alone judges them; whoever decides on grants asks here,
 * so that none is given to a member whose leaf is not there.
 */
export class ProvidedLeaves {
  readonly #client: Pick<Client, 'get'>;
  readonly #userSecrets: Pick<UserSecrets, 'version'>;
  readonly #onChange: (ca: string) => void;
  readonly #byMember = new Map<MemberKey, readonly Judged[]>();

  /** @param onChange told when a member of this CA brings something else than before */
  constructor(client: Pick<Client, 'get'>, userSecrets: Pick<UserSecrets, 'version'>, onChange: (ca: string) => void) {
    this.#client = client;
    this.#userSecrets = userSecrets;
    this.#onChange = onChange;
  }

  /** Null: not judged yet in this process, or it brings none. */
  of(member: MemberKey): readonly Brought[] | null {
    return this.#byMember.get(member) ?? null;
  }

  forget(member: MemberKey): void {
    this.#byMember.delete(member);
  }

  /**
   * Reads and judges what has changed since it was asked last, live.
   * @param demands see `leafDemands`; null: they are not known, so nothing is judged
   * @returns null when its user brings none, or nothing is judged
   */
  async judge(
    certificate: ClusterCertificate,
    demands: readonly LeafDemands[] | null,
    now: number,
    signal: AbortSignal,
  ): Promise<readonly Brought[] | null> {
    const { namespace, name } = certificate.metadata;
    const member = memberKey(namespace, name);
    const known = this.#byMember.get(member);
    const names = providedSecretsOf(certificate.spec);
    if (names.length === 0 || demands === null) {
      this.forget(member);
      return null;
    }
    const judged: Judged[] = [];
    for (const secret of names) {
      const before = known?.find((each) => each.secret === secret);
      const from = originOf(demands, this.#userSecrets.version(`${namespace}/${secret}`));
      const holds = before?.from === from && (before.until === null || now < before.until);
      judged.push(holds ? before : await this.#judge(certificate, demands, secret, now, signal));
    }
    this.#byMember.set(member, judged);
    if (known === undefined || tellsOf(known) !== tellsOf(judged)) this.#onChange(caKeyOf(certificate));
    return judged;
  }

  /**
   * Certificate and key of each leaf that was chosen, read live.
   * @throws WaitingError when the Secret holds something else by now
   */
  async take(
    certificate: ClusterCertificate,
    { secret, leaves }: Candidate,
    now: number,
    signal: AbortSignal,
  ): Promise<readonly (BroughtLeaf & ProvidedLeaf)[]> {
    // The very certificates that were judged: only whether their keys are still beside them is new.
    const read = await this.#read(certificate, [], secret, signal);
    const holds =
      !('refusal' in read) &&
      read.pairs.every((pair) => {
        const chosen = leaves.find(({ name }) => name === pair.name);
        return chosen?.certificate.fingerprint === pair.certificate.fingerprint;
      });
    if (!holds || leaves.some((leaf) => objectionAt(leaf.certificate, now) !== null))
      throw new WaitingError(`Secret ${certificate.metadata.namespace}/${secret} has just changed`, 200);
    return read.pairs;
  }

  async #judge(
    certificate: ClusterCertificate,
    demands: readonly LeafDemands[],
    secret: string,
    now: number,
    signal: AbortSignal,
  ): Promise<Judged> {
    const read = await this.#read(certificate, demands, secret, signal);
    const from = originOf(demands, read.version);
    const common = { secret, missing: read.version === null, from };
    if ('refusal' in read) return { ...common, leaves: null, refusal: read.refusal, until: null };
    const leaves = read.pairs.map(({ name, file, certificate: leaf }) => ({ name, file, certificate: leaf }));
    for (const { certificate: leaf } of leaves) {
      const objection = objectionAt(leaf, now);
      if (objection === null) continue;
      const refusal = refusalFor(certificate, secret, objection);
      return { ...common, leaves: null, refusal, until: now < leaf.notBefore ? leaf.notBefore : null };
    }
    const until = Math.min(...leaves.map((leaf) => leaf.certificate.notAfter));
    return { ...common, leaves, refusal: null, until };
  }

  async #read(
    certificate: ClusterCertificate,
    demands: readonly LeafDemands[],
    secret: string,
    signal: AbortSignal,
  ): Promise<
    { readonly version: string | null } & (
      | { readonly pairs: readonly (BroughtLeaf & ProvidedLeaf)[] }
      | { readonly refusal: string }
    )
  > {
    const { namespace } = certificate.metadata;
    const files = leavesOf(certificate.spec).map((name, index) => ({ name, ...leafKeys(name, index) }));
    const refused = (version: string | null, why: string) => ({
      version,
      refusal: refusalFor(certificate, secret, why),
    });
    let raw: KubeObject;
    try {
      raw = await this.#client.get(SECRETS, { namespace, name: secret }, { signal });
    } catch (error) {
      if (!isNotFound(error)) throw error;
      const command =
        files.length === 1
          ? `tls ${secret} --cert=tls.crt --key=tls.key`
          : `generic ${secret} ${files.map((keys) => `--from-file=${keys.certificate} --from-file=${keys.privateKey}`).join(' ')}`;
      return refused(null, `it does not exist; create it: kubectl -n ${namespace} create secret ${command}`);
    }
    const version = versionOf(raw);
    if (raw.metadata.labels?.[LABELS.managedBy] === MANAGED_BY)
      return refused(version, 'it is kept by Replicert itself; bring the leaf in a Secret of your own');
    const pairs: (BroughtLeaf & ProvidedLeaf)[] = [];
    for (const keys of files) {
      const read = readPair(raw, keys, demands);
      if ('refusal' in read)
        return refused(version, files.length === 1 ? read.refusal : `${keys.certificate}: ${read.refusal}`);
      const twin = pairs.find((pair) => pair.certificate.fingerprint === read.certificate.fingerprint);
      if (twin !== undefined)
        return refused(
          version,
          `${twin.file} and ${keys.certificate} hold the same certificate, but these must be different ones; have another issued`,
        );
      pairs.push({ name: keys.name, file: keys.certificate, ...read });
    }
    return { version, pairs };
  }
}

function readPair(
  raw: KubeObject,
  keys: ReturnType<typeof leafKeys>,
  demands: readonly LeafDemands[],
): ProvidedLeaf | { readonly refusal: string } {
  const [pem, keyPem] = [textOf(raw, keys.certificate), textOf(raw, keys.privateKey)];
  if (pem === null || keyPem === null)
    return {
      refusal: `it has no key ${pem === null ? keys.certificate : keys.privateKey}; put the leaf and its key there`,
    };
  try {
    return readProvided({ certificate: pem, privateKey: keyPem }, demands);
  } catch (error) {
    if (!(error instanceof PkiError)) throw error;
    const readable = error.reason === 'InvalidLeaf';
    const rule = `; both must be PEM, the leaf alone under ${keys.certificate}, its key alone under ${keys.privateKey}`;
    return { refusal: `${error.message}${readable ? '' : rule}` };
  }
}

function refusalFor({ metadata }: ClusterCertificate, secret: string, why: string): string {
  return `Secret ${metadata.namespace}/${secret}: ${why}.`;
}

/** What a judgement follows from, as a text to compare. */
function originOf(demands: readonly LeafDemands[], version: string | null): string {
  return JSON.stringify([version, demands]);
}

/** What others make of a judgement, as a text to compare. */
function tellsOf(judged: readonly Judged[]): string {
  return JSON.stringify(
    judged.map(({ secret, leaves, refusal }) => [secret, leaves?.map((leaf) => leaf.certificate.fingerprint), refusal]),
  );
}

/** Whether a leaf of this generation is the user's to bring: who has minted a generation has its key, and nobody else. */
export function isBrought({ spec }: Pick<ClusterCertificate, 'spec'>, record: GenerationRecord | undefined): boolean {
  if (record === undefined) return false;
  return record.withoutKey || (record.imported && providedSecretsOf(spec).length > 0);
}

/** Among what is brought the newest that this CA has signed, all leaves of it; null: none. */
export function candidateFor(brought: readonly Brought[], ca: Certificate): Candidate | null {
  let best: (Candidate & { readonly issued: number }) | null = null;
  for (const { secret, leaves } of brought) {
    if (leaves === null || !leaves.every((leaf) => signedBy(leaf.certificate, ca))) continue;
    if (leaves.some((leaf) => objectionUnder(leaf.certificate, ca) !== null)) continue;
    const issued = Math.max(...leaves.map((leaf) => leaf.certificate.notBefore));
    if (best === null || issued > best.issued) best = { secret, leaves, issued };
  }
  return best;
}

/** Why what is brought cannot be given to its member, one after the other; empty: nothing is wrong with it. */
export function refusalsOf(
  namespace: string,
  brought: readonly Brought[],
  generations: ReadonlyMap<number, Certificate>,
): readonly string[] {
  return brought.flatMap(({ secret, leaves, refusal }) => {
    if (refusal !== null || leaves === null) return refusal ?? [];
    return leaves.flatMap(({ certificate: leaf }) =>
      [...generations.values()].flatMap((ca) => {
        const objection = signedBy(leaf, ca) ? objectionUnder(leaf, ca) : null;
        return objection === null ? [] : `Secret ${namespace}/${secret}: ${objection}.`;
      }),
    );
  });
}

/** That no leaf of a generation is brought, what is brought instead, and what to do. */
export function lackOf(
  member: MemberKey,
  brought: readonly Brought[],
  generation: number,
  generations: ReadonlyMap<number, Certificate>,
): string {
  const namespace = member.slice(0, member.indexOf('/'));
  const ca = generations.get(generation);
  const others = brought.flatMap(({ secret, leaves }) =>
    (leaves ?? []).flatMap(({ file, certificate: leaf }) => {
      if (ca !== undefined && signedBy(leaf, ca)) return [];
      const issuer = [...generations].find(([, each]) => signedBy(leaf, each));
      const whose = issuer === undefined ? `issued by "${leaf.issuer}"` : `of ${generationName(issuer[0])}`;
      return `The leaf in Secret ${namespace}/${secret}${leaves?.length === 1 ? '' : ` (${file})`} is ${whose}.`;
    }),
  );
  return [
    `ClusterCertificate ${member} brings no leaf of generation ${generation} that could be delivered.`,
    ...refusalsOf(namespace, brought, generations),
    ...others,
    `Have one issued by "${ca?.subject ?? 'that CA'}", put it into a Secret, and name that in spec.provided.`,
  ].join(' ');
}

/**
 * Why no leaf of a generation can be delivered to the member of a certificate; null: one can.
 * @param brought null: it was not judged yet in this process
 */
export function obstacleOf(
  { metadata, spec }: ClusterCertificate,
  brought: readonly Brought[] | null,
  generation: number,
  generations: ReadonlyMap<number, Certificate>,
): Blocker | null {
  const member = memberKey(metadata.namespace, metadata.name);
  if (brought === null && providedSecretsOf(spec).length > 0)
    return { reason: 'WaitingForSecret', message: `What ClusterCertificate ${member} brings is about to be read.` };
  const ca = generations.get(generation);
  if (ca !== undefined && candidateFor(brought ?? [], ca) !== null) return null;
  return { reason: 'LeafUnavailable', message: lackOf(member, brought ?? [], generation, generations) };
}
