/** Leaves that users bring (`spec.provided`): read from Secrets of theirs, judged, and delivered as they are. */
import type { GenerationRecord } from '../../api/ledger.ts';
import { generationName, LABELS, MANAGED_BY, type MemberKey, memberKey, SECRET_KEYS } from '../../api/names.ts';
import type { ClusterCertificate } from '../../api/objects.ts';
import { type Certificate, signedBy } from '../../pki/certificate.ts';
import { PkiError } from '../../pki/errors.ts';
import { type LeafDemands, objectionAt, objectionUnder, type ProvidedLeaf, readProvided } from '../../pki/provided.ts';
import type { Blocker } from '../../rotation/facts.ts';
import { type Client, isNotFound, type KubeObject } from '../../runtime/client.ts';
import { WaitingError } from '../../runtime/runner.ts';
import { textOf } from './authorities.ts';
import { caKeyOf, providedSecretsOf } from './effective.ts';
import { SECRETS } from './resources.ts';
import { type UserSecrets, versionOf } from './user-secrets.ts';

/** A Secret that brings a leaf, as it was judged; no key is kept. */
export interface Brought {
  /** Its name, in the namespace of the certificate. */
  readonly secret: string;
  /** Null: it is refused. */
  readonly leaf: Certificate | null;
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

/** A leaf that can be delivered. */
export interface Candidate {
  readonly secret: string;
  readonly leaf: Certificate;
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
   * Certificate and key of a leaf that was chosen, read live.
   * @throws WaitingError when the Secret holds something else by now
   */
  async take(
    certificate: ClusterCertificate,
    { secret, leaf }: Candidate,
    now: number,
    signal: AbortSignal,
  ): Promise<ProvidedLeaf> {
    // The very certificate that was judged: only whether its key is still beside it is new.
    const read = await this.#read(certificate, [], secret, signal);
    const holds = !('refusal' in read) && read.certificate.fingerprint === leaf.fingerprint;
    if (!holds || objectionAt(leaf, now) !== null)
      throw new WaitingError(`Secret ${certificate.metadata.namespace}/${secret} has just changed`, 200);
    return read;
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
    if ('refusal' in read) return { ...common, leaf: null, refusal: read.refusal, until: null };
    const { certificate: leaf } = read;
    const objection = objectionAt(leaf, now);
    if (objection === null) return { ...common, leaf, refusal: null, until: leaf.notAfter };
    const refusal = refusalFor(certificate, secret, objection);
    return { ...common, leaf: null, refusal, until: now < leaf.notBefore ? leaf.notBefore : null };
  }

  async #read(
    certificate: ClusterCertificate,
    demands: readonly LeafDemands[],
    secret: string,
    signal: AbortSignal,
  ): Promise<{ readonly version: string | null } & (ProvidedLeaf | { readonly refusal: string })> {
    const { namespace } = certificate.metadata;
    const refused = (version: string | null, why: string) => ({
      version,
      refusal: refusalFor(certificate, secret, why),
    });
    let raw: KubeObject;
    try {
      raw = await this.#client.get(SECRETS, { namespace, name: secret }, { signal });
    } catch (error) {
      if (!isNotFound(error)) throw error;
      const files = `--cert=tls.crt --key=tls.key`;
      return refused(
        null,
        `it does not exist; create it: kubectl -n ${namespace} create secret tls ${secret} ${files}`,
      );
    }
    const version = versionOf(raw);
    if (raw.metadata.labels?.[LABELS.managedBy] === MANAGED_BY)
      return refused(version, 'it is kept by Replicert itself; bring the leaf in a Secret of your own');
    const { certificate: certificateKey, privateKey: privateKeyKey } = SECRET_KEYS;
    const [pem, keyPem] = [textOf(raw, certificateKey), textOf(raw, privateKeyKey)];
    if (pem === null || keyPem === null)
      return refused(
        version,
        `it has no key ${pem === null ? certificateKey : privateKeyKey}; put the leaf and its key there`,
      );
    try {
      return { version, ...readProvided({ certificate: pem, privateKey: keyPem }, demands) };
    } catch (error) {
      if (!(error instanceof PkiError)) throw error;
      const readable = error.reason === 'InvalidLeaf';
      const rule = readable
        ? ''
        : `; both must be PEM, the leaf alone under ${certificateKey}, its key alone under ${privateKeyKey}`;
      return refused(version, `${error.message}${rule}`);
    }
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
  return JSON.stringify(judged.map(({ secret, leaf, refusal }) => [secret, leaf?.fingerprint, refusal]));
}

/** Whether a leaf of this generation is the user's to bring: who has minted a generation has its key, and nobody else. */
export function isBrought({ spec }: Pick<ClusterCertificate, 'spec'>, record: GenerationRecord | undefined): boolean {
  if (record === undefined) return false;
  return record.withoutKey || (record.imported && providedSecretsOf(spec).length > 0);
}

/** Among what is brought the newest leaf that this CA has signed; null: none. */
export function candidateFor(brought: readonly Brought[], ca: Certificate): Candidate | null {
  let best: Candidate | null = null;
  for (const { secret, leaf } of brought) {
    if (leaf === null || !signedBy(leaf, ca) || objectionUnder(leaf, ca) !== null) continue;
    if (best === null || leaf.notBefore > best.leaf.notBefore) best = { secret, leaf };
  }
  return best;
}

/** Why what is brought cannot be given to its member, one after the other; empty: nothing is wrong with it. */
export function refusalsOf(
  namespace: string,
  brought: readonly Brought[],
  generations: ReadonlyMap<number, Certificate>,
): readonly string[] {
  return brought.flatMap(({ secret, leaf, refusal }) => {
    if (refusal !== null || leaf === null) return refusal ?? [];
    return [...generations.values()].flatMap((ca) => {
      const objection = signedBy(leaf, ca) ? objectionUnder(leaf, ca) : null;
      return objection === null ? [] : `Secret ${namespace}/${secret}: ${objection}.`;
    });
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
  const others = brought.flatMap(({ secret, leaf }) => {
    if (leaf === null || (ca !== undefined && signedBy(leaf, ca))) return [];
    const issuer = [...generations].find(([, each]) => signedBy(leaf, each));
    const whose = issuer === undefined ? `issued by "${leaf.issuer}"` : `of ${generationName(issuer[0])}`;
    return `The leaf in Secret ${namespace}/${secret} is ${whose}.`;
  });
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
