/** Two generations, a member, and looks at it: what the tests with real servers share. */
import { randomBytes } from 'node:crypto';
import { encodeBundle } from '../../../src/pki/bundle.ts';
import type { SigningAuthority } from '../../../src/pki/issue.ts';
import { Canaries, type CanarySet } from '../../../src/probe/canary.ts';
import { type EndpointObservation, type ProbeRequest, probeEndpoint } from '../../../src/probe/probe.ts';
import { EndpointSessions } from '../../../src/probe/sessions.ts';
import { type Identity, makeAuthority, makeLeaf } from '../pki.ts';
import type { Material } from '../servers.ts';

export type Reached = Extract<EndpointObservation, { kind: 'reached' }>;
type Where = Pick<ProbeRequest, 'port' | 'protocol'> & Partial<ProbeRequest>;

export class TwoGenerations {
  readonly old: SigningAuthority;
  readonly next: SigningAuthority;
  readonly canaries: CanarySet;
  /** The member's leaf of each generation. */
  readonly leaves: readonly [old: Identity, next: Identity];

  private constructor(
    old: SigningAuthority,
    next: SigningAuthority,
    leaves: readonly [Identity, Identity],
    canaries: CanarySet,
  ) {
    this.old = old;
    this.next = next;
    this.leaves = leaves;
    this.canaries = canaries;
  }

  static async make(name = 'a.mesh'): Promise<TwoGenerations> {
    const [old, next] = [await makeAuthority('mesh G1'), await makeAuthority('mesh G2')];
    const leaves = [await makeLeaf(old, name), await makeLeaf(next, name)] as const;
    const authorities = new Map([
      [1, old],
      [2, next],
    ]);
    const canaries = await new Canaries(randomBytes).make({ authorities, like: leaves[0].leaf, now: Date.now() });
    return new TwoGenerations(old, next, leaves, canaries);
  }

  /** What the Secret of the member holds before a rotation and after each of its stages. */
  get stages(): readonly [start: Material, append: Material, roll: Material, drop: Material] {
    const bundle = (...all: readonly SigningAuthority[]) => encodeBundle(all.map(({ certificate }) => certificate));
    const { old, next } = this;
    const [of1, of2] = this.leaves;
    return [
      { identity: of1, bundle: bundle(old) },
      { identity: of1, bundle: bundle(old, next) },
      { identity: of2, bundle: bundle(old, next) },
      { identity: of2, bundle: bundle(next) },
    ];
  }

  async probe(where: Where): Promise<EndpointObservation> {
    const signal = AbortSignal.timeout(60_000);
    const request = { host: '127.0.0.1', timeoutMs: 5000, ...this.canaries, signal, ...where };
    const [seen] = await probeEndpoint(request);
    if (seen === undefined) throw new Error('an address has an observation');
    return seen;
  }

  async look(where: Where): Promise<Reached> {
    const seen = await this.probe(where);
    if (seen.kind !== 'reached') throw new Error(`not reached: ${seen.message}`);
    return seen;
  }

  /** Whether a member is seen to trust and to present what its Secret holds. */
  async holds(where: Where, { identity, bundle }: Material): Promise<boolean> {
    const { trusts, presented } = await this.look(where);
    const wanted = [this.old, this.next].map(({ certificate: { pem } }) =>
      bundle.includes(pem.trim()) ? 'yes' : 'no',
    );
    const answers = [...trusts.values()].map(({ answer }) => answer);
    return presented[0] === identity.certificate && answers.join() === wanted.join();
  }

  /**
   * Looks at a member before a rotation and after each stage.
   * @param load makes it load what its Secret holds then
   * @returns what was seen of generations 1 and 2, the generation of the leaf, and what became of sessions from before
   */
  async rotate(where: Where, load: (material: Material) => Promise<void>): Promise<readonly string[]> {
    const sessions = { generation: 1, dropping: true, kept: new EndpointSessions(Date.now) };
    const seen: string[] = [];
    for (const stage of this.stages) {
      await load(stage);
      const { presented, trusts, resumption } = await this.look({ ...where, sessions });
      const leaf = 1 + this.leaves.findIndex(({ leaf: { pem } }) => pem === presented[0]);
      const answers = [...trusts.values()].map(({ answer }) => answer);
      seen.push(`${answers.join(' ')}, presents ${leaf}, sessions ${resumption?.answer ?? 'not asked'}`);
    }
    return seen;
  }
}

/** Of a member that does at each stage what it is to do. */
export const ROTATED = [
  'yes no, presents 1, sessions not asked',
  'yes yes, presents 1, sessions not asked',
  'yes yes, presents 2, sessions not asked',
  'no yes, presents 2, sessions refuses',
];
