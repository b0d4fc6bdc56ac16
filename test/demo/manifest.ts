import { type AddressInfo, createServer } from 'node:net';
import { isMap, isSeq, parseAllDocuments } from 'yaml';
import { z } from 'zod';

export interface MemberAddress {
  readonly name: string;
  readonly host: string;
  readonly port: number;
}

export interface Manifest {
  readonly text: string;
  readonly members: readonly MemberAddress[];
  /** Ports of the example that somebody else uses, and what they were exchanged for. */
  readonly exchanged: ReadonlyMap<number, number>;
}

const peer = z.object({
  kind: z.literal('ReplicationPeer'),
  spec: z.object({
    members: z.array(
      z.object({ name: z.string(), endpoints: z.array(z.object({ host: z.string(), port: z.number() })).length(1) }),
    ),
  }),
});

/** Who listens where, by the one ReplicationPeer of a manifest; throws where it is not such a manifest. */
export function membersOf(text: string): MemberAddress[] {
  const peers = parseAllDocuments(text).flatMap((document) => {
    const read = peer.safeParse(document.toJS());
    return read.success ? [read.data] : [];
  });
  const [only] = peers;
  if (only === undefined || peers.length > 1) {
    throw new Error(
      `the manifest must have one ReplicationPeer whose members have one endpoint each, not ${peers.length}`,
    );
  }
  return only.spec.members.flatMap(({ name, endpoints }) => endpoints.map(({ host, port }) => ({ name, host, port })));
}

/** The same manifest, comments and all, with other ports. */
export function withPorts(text: string, exchanged: ReadonlyMap<number, number>): string {
  const documents = parseAllDocuments(text);
  for (const document of documents) {
    const members: unknown = document.getIn(['spec', 'members']);
    if (document.get('kind') !== 'ReplicationPeer' || !isSeq(members)) continue;
    for (const member of members.items) {
      const endpoints: unknown = isMap(member) ? member.get('endpoints') : null;
      if (!isSeq(endpoints)) continue;
      for (const endpoint of endpoints.items) {
        if (!isMap(endpoint)) continue;
        const other = exchanged.get(Number(endpoint.get('port')));
        if (other !== undefined) endpoint.set('port', other);
      }
    }
  }
  return documents.map((document) => document.toString()).join('');
}

/** Exchanges the ports of a manifest that are in use on this machine for free ones. */
export async function onFreePorts(text: string): Promise<Manifest> {
  const exchanged = new Map<number, number>();
  for (const { host, port } of membersOf(text)) {
    if (await portToUse(host, port)) continue;
    exchanged.set(port, (await portToUse(host, 0)) ?? 0);
  }
  const usable = exchanged.size === 0 ? text : withPorts(text, exchanged);
  return { text: usable, members: membersOf(usable), exchanged };
}

/** The port, or which one for 0; null when it is in use. */
function portToUse(host: string, port: number): Promise<number | null> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(null));
    server.listen(port, host, () => {
      const { port: bound } = server.address() as AddressInfo;
      server.close(() => resolve(bound));
    });
  });
}
