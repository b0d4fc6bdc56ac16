/**
 * Canaries: ten-minute client leaves that exist in memory only, made to be refused or accepted.
 * They are no kinder than the member's real leaf: same kind of key, same extensions, same set-back start.
 */
import { type KeyObject, createPublicKey } from 'node:crypto';
import type { Certificate } from '../pki/certificate.ts';
import { type SigningAuthority, issueCa, issueLeaf, newSerial } from '../pki/issue.ts';
import { type KeySpec, encodePrivateKey, generatePrivateKey, keySpecOf } from '../pki/keys.ts';

export interface Canary {
  /** PEM */
  readonly certificate: string;
  /** PEM, PKCS#8. Never logged, never stored. */
  readonly key: string;
}

export type Random = (size: number) => Buffer;

/** No allow-list and no database grant may ever name it. */
export const CANARY_COMMON_NAME = 'replicert-canary';
const CONTROL_COMMON_NAME = 'replicert-control';

/**
 * Canaries are made before their look waits for its turn, and a pass over a peer may take 13 minutes. Expired ones would be refused like
 * the control, by a server that has one alert for everything: that is a no that nobody has said.
 */
const LIFETIME_MS = 20 * 60_000;
/** As far as a real leaf's start is set back: a server whose clock is further behind refuses both. */
const SET_BACK_MS = 5 * 60_000;
const CONTROL_LIFETIME_MS = 365 * 24 * 3_600_000;
/** The throw-away CA is renewed in good time before a canary of it would be cut short. */
const CONTROL_RENEW_MS = 24 * 3_600_000;

/**
 * Signs one canary; its dates stay within those of the authority. One of an authority that has ended has ended with it: who still knows
 * that CA refuses it for another reason than the control, and once it is dropped for the same.
 * @param key the canary's own private key; any number of canaries may share it
 * @throws PkiError when the authority cannot sign
 */
function issueCanary(request: {
  authority: SigningAuthority;
  key: KeyObject;
  netscapeCertType: boolean;
  now: number;
  random: Random;
}): Canary {
  const { authority, key, netscapeCertType, now, random } = request;
  const { notBefore, notAfter } = authority.certificate;
  const certificate = issueLeaf({
    authority,
    publicKey: createPublicKey(key),
    subject: { commonName: CANARY_COMMON_NAME },
    dnsNames: [],
    ipAddresses: [],
    uris: [],
    netscapeCertType,
    notBefore: Math.max(Math.min(now, notAfter) - SET_BACK_MS, notBefore),
    notAfter: now + LIFETIME_MS,
    serial: newSerial(random),
  });
  return { certificate: certificate.pem, key: encodePrivateKey(key, 'PKCS8') };
}

/** What one probe presents; see `probeEndpoint`. */
export interface CanarySet {
  /** Signed by a throw-away CA: a server that takes it takes anything. */
  readonly control: Canary;
  /** Per generation. */
  readonly candidates: ReadonlyMap<number, Canary>;
}

/**
 * Makes canaries for one process. Canary keys and throw-away CAs are made once per kind of key and live as long as it:
 * an RSA-4096 key takes most of a second.
 */
export class Canaries {
  readonly #random: Random;
  readonly #keys = new Map<string, Promise<KeyObject>>();
  readonly #controls = new Map<string, Promise<SigningAuthority>>();

  constructor(random: Random) {
    this.#random = random;
  }

  /**
   * The canaries of one probe. The control differs from the candidates in nothing but its CA: that is of the kind of
   * the newest generation's, so that no rule about algorithms refuses it for another reason.
   * @param like the member's real leaf; null: P-256, as for a leaf with a kind of key that we do not make
   * @throws PkiError when a generation cannot sign
   */
  async make(request: {
    authorities: ReadonlyMap<number, SigningAuthority>;
    like: Certificate | null;
    now: number;
  }): Promise<CanarySet> {
    const { authorities, like, now } = request;
    const kind = kindOf(like?.publicKey) ?? DEFAULT_KIND;
    const newest = authorities.get(Math.max(...authorities.keys()));
    const key = await once(this.#keys, kind, () => generatePrivateKey(kind));
    const control = await this.#control(kindOf(newest?.key) ?? kind, now);
    const netscapeCertType = like !== null && like.netscapeCertType !== null;
    const sign = (authority: SigningAuthority): Canary =>
      issueCanary({ authority, key, netscapeCertType, now, random: this.#random });
    return {
      control: sign(control),
      candidates: new Map([...authorities].map(([generation, by]) => [generation, sign(by)])),
    };
  }

  async #control(kind: KeySpec, now: number): Promise<SigningAuthority> {
    const make = (): Promise<SigningAuthority> => makeControl(kind, now, this.#random);
    const known = await once(this.#controls, kind, make);
    if (known.certificate.notAfter - now > CONTROL_RENEW_MS) return known;
    this.#controls.delete(JSON.stringify(kind));
    return once(this.#controls, kind, make);
  }
}

const DEFAULT_KIND: KeySpec = { algorithm: 'ECDSA', size: 256 };

function kindOf(key: KeyObject | undefined): KeySpec | null {
  return key === undefined ? null : keySpecOf(key);
}

/** What is being made is shared; what failed is not kept. */
function once<T>(kept: Map<string, Promise<T>>, kind: KeySpec, make: () => Promise<T>): Promise<T> {
  const name = JSON.stringify(kind);
  const known = kept.get(name);
  if (known !== undefined) return known;
  const made = make();
  kept.set(name, made);
  made.catch(() => kept.delete(name));
  return made;
}

async function makeControl(kind: KeySpec, now: number, random: Random): Promise<SigningAuthority> {
  const key = await generatePrivateKey(kind);
  const certificate = issueCa({
    key,
    subject: { commonName: CONTROL_COMMON_NAME },
    notBefore: now - SET_BACK_MS,
    notAfter: now + CONTROL_LIFETIME_MS,
    serial: newSerial(random),
  });
  return { certificate, key };
}
