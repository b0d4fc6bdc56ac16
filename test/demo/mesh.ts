import { join } from 'node:path';
import type { ReplicationCA } from '../../src/api/objects.ts';
import type { Report } from '../mesh/endpoint.ts';
import type { Cluster } from './cluster.ts';
import type { Company } from './company.ts';
import type { MemberAddress } from './manifest.ts';
import type { MemberView, View } from './view.ts';

const MESH = join(import.meta.dirname, '..', 'mesh');
const REPORT_EVERY_MS = 500;

/** The clusters of the demo: an endpoint each, and whatever brings it its files. */
export class Mesh {
  readonly members: readonly MemberAddress[];
  readonly #reports = new Map<string, Report>();

  constructor(members: readonly MemberAddress[]) {
    this.members = members;
  }

  /** Starts two processes for each member; their files are kept below `dir`. */
  start(
    company: Company,
    where: {
      readonly kubeconfig: string;
      readonly namespace: string;
      readonly dir: string;
      /** Between a change of a Secret and the files of the endpoint; a real kubelet takes a minute and more. */
      readonly lagMs: readonly [least: number, most: number];
    },
  ): void {
    const { kubeconfig, namespace, dir, lagMs } = where;
    const lag = ['--lag-min', String(lagMs[0]), '--lag-max', String(lagMs[1])];
    for (const { name, host, port } of this.members) {
      const files = join(dir, name);
      const delivery = ['--kubeconfig', kubeconfig, '--namespace', namespace, '--secret', name, '--dir', files];
      company.start(`${name}-kubelet`, [join(MESH, 'kubelet.ts'), ...delivery, ...lag]);
      const self = ['--name', name, '--dir', files, '--listen', `${host}:${port}`, '--report', `${REPORT_EVERY_MS}`];
      const others = this.members.filter((member) => member.name !== name);
      company.start(
        `${name}-endpoint`,
        [
          join(MESH, 'endpoint.ts'),
          ...self,
          ...others.flatMap((other) => ['--peer', `${other.name}=${other.host}:${other.port}`]),
        ],
        // Printed by endpoint.ts of this checkout, so its shape is known.
        (line) => this.#reports.set(name, JSON.parse(line) as Report),
      );
    }
  }

  /** What the processes say of themselves. */
  view(cluster: Cluster): MemberView[] {
    return this.members.map(({ name }) => {
      const report = this.#reports.get(name);
      if (report === undefined) return { name, trusts: null, presents: null, edges: [], lost: 0 };
      const { loaded, edges, inbound } = report;
      const bundle = loaded?.bundle.map((fingerprint) => cluster.generationOf(fingerprint) ?? 0);
      return {
        name,
        trusts: bundle ?? null,
        presents: loaded === null ? null : cluster.generationOf(loaded.leaf),
        edges: Object.entries(edges).map(([to, { handshakes, stream, errors }]) => ({
          to,
          handshakes,
          broken: stream.broken,
          sentBytes: stream.sentBytes,
          ackedBytes: stream.ackedBytes,
          errors,
        })),
        lost: inbound.lost,
      };
    });
  }
}

/** The whole picture: what the operator says, beside what the processes say. */
export function viewOf(ca: ReplicationCA | null, members: readonly MemberView[], at: number): View {
  const status = ca?.status;
  const { from, to, stage, direction, next } = status?.rotation ?? {};
  const known =
    from !== undefined && to !== undefined && stage !== undefined && stage !== 'Prepare' && stage !== 'Swap';
  return {
    at,
    phase: status?.phase ?? '',
    signer: status?.signer ?? null,
    rotation: known ? { from, to, stage, back: direction === 'Backward' } : null,
    progress: status?.progress ?? '',
    waitingFor: known ? (next ?? '') : '',
    members,
  };
}
