import { z } from 'zod';
import type { Definition } from './definition.ts';
import {
  atomic,
  conditions,
  type DeepReadonly,
  display,
  duration,
  host,
  instant,
  label,
  MAX_MESSAGE,
  mapBy,
  memberName,
  objectName,
  observedGeneration,
  reason,
  sha256,
  text,
  whole,
  withRules,
} from './fields.ts';
import { MAX_GENERATION, MAX_NAME, REPLICATION_PEER } from './names.ts';

const TOPOLOGIES = ['Mesh', 'Star'] as const;
const INSTANCES = ['One', 'Many'] as const;
const PROTOCOLS = ['TLS', 'PostgreSQL', 'MySQL', 'NATS'] as const;
/** What is spoken at an endpoint before TLS begins. */
export type ProtocolName = (typeof PROTOCOLS)[number];
/** Most members of one peer object. */
const MAX_PEER_MEMBERS = 64;
/** Most edges that a status lists one by one. */
const MAX_LISTED_EDGES = 20;
/** Most generations that one member's evidence speaks of. */
const MAX_SEEN = 16;

const endpoint = z.object({
  host: host().describe(
    'DNS name or IP address to dial; every address of a name is probed. Required. Example: 172.31.1.1',
  ),
  port: whole(1, 65_535)
    .optional()
    .describe(
      'TCP port of the replication service, 1 to 65535. Required where the profile of the member has no usual one (generic), and with a ' +
        'protocol other than that of the profile. Default: by the profile; postgres: 5432; mysql: 3306; galera: 4567; redis: 6379; nats: 6222; ' +
        'etcd: 2380; rabbitmq: 5671; vast: 49002. Example: 8201',
    ),
  protocol: z
    .enum(PROTOCOLS)
    .optional()
    .describe(
      'What is spoken there before TLS begins. TLS: nothing (etcd, Redis, AMQP, routes of NATS, Galera). PostgreSQL: SSLRequest. MySQL ' +
        '(MariaDB too): a greeting; the server must let replicert-canary log in. NATS (clients, leaf nodes): INFO. ' +
        'Default: by the profile of the member; generic: TLS; drbd, a9s: none, they are not looked at. Example: PostgreSQL',
    ),
  instances: z
    .enum(INSTANCES)
    .optional()
    .describe(
      'One: each address is one node. Many: several nodes stand behind it (load balancer, pool of addresses), or processes ' +
        'that load their files each for itself; a sample of them is never proof. Default: One. Example: Many',
    ),
});

const PROOFS = ['Handshake', 'Acknowledge'] as const;
const STAGES = ['Append', 'Roll', 'Drop', 'Prepare', 'Swap'] as const;

const acknowledged = z.object({
  revision: text(64).describe(
    "Revision of the member's Secret that it was seen to use, as in status.revision of its ClusterCertificate. Required. Example: 3f2a9c1b",
  ),
  generation: whole(1, MAX_GENERATION).describe('The generation that the rotation leads to. Required. Example: 2'),
  stage: z
    .enum(STAGES)
    .describe('The stage of the rotation: Append, Roll, Drop, Prepare or Swap. Required. Example: Append'),
  by: text(253).describe('Who has seen it: a claim, nobody checks it. Required. Example: jane@example.com'),
  reason: text(MAX_MESSAGE).describe('How it was seen. Required. Example: restarted by hand, log of 10:32'),
  expires: instant().describe('Until when it counts, RFC 3339. Required. Example: 2026-12-01T00:00:00Z'),
});

const memberFields = z.object({
  name: label().describe('Name of the member within this peer: a DNS label. Required. Example: vast1'),
  certificateRef: z
    .object({
      name: objectName(MAX_NAME).describe('Name of the ClusterCertificate. Required. Example: vast1'),
      namespace: label().optional().describe("Its namespace. Default: this peer's own. Example: storage-a"),
    })
    .optional()
    .describe(
      "The ClusterCertificate of the member. Default: the one with the member's name, in this peer's namespace.",
    ),
  endpoints: atomic(endpoint, 1, 16)
    .optional()
    .describe('Where the member listens, 1 to 16. Default: nowhere; then it cannot be probed, only acknowledged.'),
  proof: z
    .enum(PROOFS)
    .optional()
    .describe(
      'Handshake: the member is probed at its endpoints. Acknowledge: it is not, and a rotation waits for acknowledged. ' +
        'Default: Handshake with endpoints, Acknowledge without. Example: Acknowledge',
    ),
  acknowledged: acknowledged
    .optional()
    .describe(
      'That somebody has seen this member use what its Secret holds. It stands for what probes leave unknown, never against what ' +
        'one has seen; and only for this revision, stage and generation, until it expires. Default: none.',
    ),
});
const member = withRules(memberFields, {
  cel: "!has(self.proof) || self.proof != 'Handshake' || has(self.endpoints)",
  says: 'must be Acknowledge without endpoints: there is nothing to shake hands with',
  at: 'proof',
  holds: ({ proof, endpoints }) => proof !== 'Handshake' || endpoints !== undefined,
});

const spec = withRules(
  z.object({
    topology: z
      .enum(TOPOLOGIES)
      .optional()
      .describe(
        'Mesh: every pair of members, both ways. Star: center with each of the others. Default: Mesh. Example: Star',
      ),
    center: label()
      .optional()
      .describe('Name of the member in the middle of a Star. Required with Star, else forbidden. Example: primary'),
    members: mapBy('name', member, 1, MAX_PEER_MEMBERS).describe(
      'The members that replicate with each other, by name, 1 to 64. Required.',
    ),
    probe: z
      .object({
        interval: duration({ least: '1s', most: '24h' })
          .optional()
          .describe(
            'Time between two probes while a rotation waits. Go duration, 1s to 24h. Default: 30s. Example: 10s',
          ),
        timeout: duration({ least: '100ms', most: '1m' })
          .optional()
          .describe(
            'Longest wait for one handshake. All handshakes with one address together are given twice that time, and 30s at least: ' +
              'raise it for members that are far away. Go duration, 100ms to 1m. Default: 5s. Example: 2s',
          ),
      })
      .optional()
      .describe('How members are looked at. Default: every 30s while a rotation waits, 5s per handshake.'),
  }),
  {
    cel: "(has(self.topology) && self.topology == 'Star') == has(self.center)",
    says: 'must be given with topology Star, and only then',
    at: 'center',
    holds: ({ topology, center }) => (topology === 'Star') === (center !== undefined),
  },
  {
    cel: '!has(self.center) || self.members.exists(m, m.name == self.center)',
    says: 'must be the name of one of the members',
    at: 'center',
    holds: ({ center, members }) => center === undefined || members.some(({ name }) => name === center),
  },
);

const generationNumber = () => whole(1, MAX_GENERATION);
const generations = () => atomic(generationNumber(), 0, MAX_SEEN);

const evidence = z.object({
  name: label().describe('Name of the member within this peer. Example: vast1'),
  certificate: memberName().describe('Its ClusterCertificate, namespace/name. Example: storage/vast1'),
  epoch: whole(0).describe('Epoch of the ledger that was read before the probe began. Example: 12'),
  revision: text(64)
    .optional()
    .describe(
      "Revision of the member's Secret that was read before the probe began. Default: none written yet. Example: 3f2a9c1b",
    ),
  endpoints: atomic(text(268), 0, 16)
    .optional()
    .describe(
      'Where it was looked at, host:port; what was seen elsewhere does not count. Default: nowhere yet. Example: [172.31.1.1:49002]',
    ),
  observedAt: instant().describe('When the probe began, RFC 3339. Example: 2026-10-05T00:00:00Z'),
  presents: z
    .object({
      fingerprint: sha256().describe('SHA-256 of the leaf that it presents (DER), lower-case hex.'),
      generation: generationNumber()
        .optional()
        .describe(
          'Generation that signed this leaf, found by signature. Default: none, a CA that is not ours. Example: 2',
        ),
    })
    .optional()
    .describe('The leaf that every endpoint of the member presents. Default: not seen, or not the same everywhere.'),
  trusts: z
    .object({
      listening: generations().describe('Generations whose leaves it accepts from those who dial it. Example: [1, 2]'),
      dialling: generations().describe('Generations whose leaves it accepts from those whom it dials. Example: [1, 2]'),
    })
    .optional()
    .describe('Generations that the member was seen to trust, per role. Default: not seen.'),
  refuses: z
    .object({
      fresh: generations().describe('Generations whose leaves it refuses in a new handshake. Example: [1]'),
      resumed: generations()
        .optional()
        .describe(
          'Generations of which it takes up no TLS session from before any more: kept until it is seen to accept one. ' +
            'Default: none. Example: [1]',
        ),
    })
    .optional()
    .describe('Generations that the member was seen to refuse. Default: not seen.'),
  sessions: z
    .object({
      generation: generationNumber().describe('The generation that is dropped. Example: 1'),
      refusedSince: instant().describe(
        'Since when it was not seen to accept it in a new handshake, RFC 3339. Example: 2026-10-05T00:00:00Z',
      ),
      accepted: z
        .boolean()
        .describe('Whether the last probe saw that it takes up a session from before. Example: false'),
      expireBy: instant()
        .optional()
        .describe(
          'When the last of them has expired, RFC 3339. Default: none, for none is left or it was seen to take one up. ' +
            'Example: 2026-10-05T02:00:00Z',
        ),
    })
    .optional()
    .describe(
      'What is known of TLS sessions that a member gave before it refused the generation that is dropped. Default: not asked.',
    ),
  reason: reason().describe('What the probe came to, in one word. Example: Unreachable'),
  message: text(MAX_MESSAGE)
    .optional()
    .describe('The same for people. Default: none. Example: 172.31.2.1:49002 does not answer'),
});

const status = z.object({
  observedGeneration: observedGeneration(),
  conditions: conditions().optional(),
  members: mapBy('name', evidence, 0, MAX_PEER_MEMBERS)
    .optional()
    .describe('What was seen of each member; rotations are decided on it. Default: nothing seen yet.'),
  edges: z
    .object({
      total: whole(0).describe('Edges (ordered pairs of members). Example: 6'),
      verified: whole(0).describe('Edges that were seen to work. Example: 6'),
      summary: display().describe('The two, for display. Example: 6/6'),
      failing: atomic(
        z.object({
          from: label().describe('Member that dials. Example: vast1'),
          to: label().describe('Member that listens. Example: vast2'),
          reason: reason().describe('Why, in one word. Example: NotTrusted'),
          message: text(MAX_MESSAGE).describe(
            'Why, for people, with the next step. Example: vast2 does not trust the leaf of vast1',
          ),
        }),
        0,
        MAX_LISTED_EDGES,
      )
        .optional()
        .describe(`Edges that are not verified, at most ${MAX_LISTED_EDGES}. Default: none.`),
      failingTotal: whole(0).describe('How many edges are not verified in all. Example: 0'),
    })
    .optional()
    .describe('The edges, counted. Default: none yet.'),
  blockedBy: display()
    .optional()
    .describe(
      'What keeps all from being looked at, or the first member that is not seen as it should be and why, for display. Default: none. ' +
        'Example: vast2/Unreachable',
    ),
});

export type ReplicationPeerSpec = DeepReadonly<z.infer<typeof spec>>;
export type ReplicationPeerStatus = DeepReadonly<z.infer<typeof status>>;

export const replicationPeerDefinition: Definition<'ReplicationPeer', ReplicationPeerSpec, ReplicationPeerStatus> = {
  resource: REPLICATION_PEER,
  shortName: 'rpeer',
  description:
    'A group of members that replicate with each other, where they listen, and what was seen of them in real handshakes. Counts only ' +
    'in the namespace of the ReplicationCA.',
  name: { most: MAX_NAME, because: 'it is a label' },
  spec,
  status,
  immutable: {},
  selectable: [],
  columns: [
    {
      name: 'Verified',
      type: 'string',
      jsonPath: '.status.conditions[?(@.type=="Verified")].status',
      description: 'Whether every edge was seen to work.',
    },
    { name: 'Edges', type: 'string', jsonPath: '.status.edges.summary', description: 'Edges seen to work, of all.' },
    {
      name: 'Blocked-By',
      type: 'string',
      jsonPath: '.status.blockedBy',
      description: 'What keeps it from looking, or the first member that is not seen as it should be, and why.',
    },
    { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp', description: 'Time since creation.' },
  ],
};
