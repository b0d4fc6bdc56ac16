import { z } from 'zod';
import type { Definition } from './definition.ts';
import { authorityProfileRule } from './profile-parameters.ts';
import {
  conditions,
  type DeepReadonly,
  DELETION_POLICIES,
  display,
  duration,
  instant,
  keyFields,
  keySizeRule,
  MAX_MESSAGE,
  atomic,
  mapBy,
  memberName,
  objectName,
  observedGeneration,
  PROFILES,
  printable,
  reason,
  rsaRule,
  setOf,
  sha256,
  shorterThan,
  subject,
  text,
  whole,
  withRules,
} from './fields.ts';
import { MAX_CA_NAME, MAX_GENERATION, REPLICATION_CA } from './names.ts';

/** Most members that a mesh has, and so the most that `departed` can name. */
const MAX_MEMBERS = 1_000;
/** Most generations that a status lists: the bundle holds two, what is older is being removed. */
const MAX_GENERATIONS = 16;
/** A name of a common name, eight organizations and eight units, every character of it escaped. */
const MAX_SUBJECT = 16_384;

const generationNumber = () => whole(1, MAX_GENERATION);

const privateKey = withRules(z.object(keyFields(4096)), keySizeRule);

/** Most imports that one CA lists: those to come, and the past ones that nobody has taken out. */
const MAX_IMPORTED = 16;

const passphraseSecretRef = z.object({
  name: objectName().describe("Name of the Secret, in the CA's namespace. Required. Example: ca-pass"),
  key: text(253, {
    pattern: /^[A-Za-z0-9._-]+$/,
    says: 'must be a key of a Secret: letters, digits, dots, hyphens and underscores',
  })
    .optional()
    .describe('Key inside the Secret. Default: passphrase. Example: passphrase'),
});

const importedFields = z.object({
  generation: generationNumber().describe('The number that this CA gets. Required. Example: 1'),
  secretRef: z
    .object({
      name: objectName().describe("Name of the Secret, in the CA's namespace. Required. Example: corp-ca"),
    })
    .describe(
      'Secret with the self-signed certificate of the CA under tls.crt and its key under tls.key, PEM; with withoutKey the certificate is ' +
        'enough. Needed until it is copied. ' +
        'Required. Example: {name: corp-ca}',
    ),
  passphraseSecretRef: passphraseSecretRef
    .optional()
    .describe(
      'Passphrase that opens the key in that Secret; the copy is stored under the one of spec.passphraseSecretRef. ' +
        'Default: the key is not encrypted.',
    ),
  dedicated: z
    .boolean()
    .optional()
    .describe(
      'true says that this CA signs for the members of this mesh and for nobody else: every member lets in whoever has a certificate ' +
        'of it. Some profiles demand it; elsewhere its lack is an event, NotDedicated. Default: false. Example: true',
    ),
  withoutKey: z
    .boolean()
    .optional()
    .describe(
      'true says that its key stays where it is: only the certificate is read and copied, and every leaf of this generation is one that ' +
        'its ClusterCertificate brings (provided). Whether members trust it cannot be probed: they are acknowledged. Default: false. ' +
        'Example: true',
    ),
});

const imported = withRules(importedFields, {
  cel: '!has(self.passphraseSecretRef) || !has(self.withoutKey) || !self.withoutKey',
  says: 'must be absent with withoutKey: the key is not read; take one of the two out',
  at: 'passphraseSecretRef',
  holds: ({ passphraseSecretRef, withoutKey }) => passphraseSecretRef === undefined || withoutKey !== true,
});

const NAMESPACE_OR_ALL = {
  pattern: /^(\*|[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)$/,
  says: 'must be the name of a namespace, or * for all',
};

const allowedNamespaces = withRules(setOf(text(63, NAMESPACE_OR_ALL), 256), {
  cel: "self.size() == 1 || !self.exists(n, n == '*')",
  says: 'must hold * alone, or names only',
  holds: (names) => names.length === 1 || !names.includes('*'),
});

const PERCENTAGE = /^([1-9]|[1-9][0-9]|100)%$/;
const maxConcurrent = withRules(
  z
    .union([z.int(), z.string()], { error: 'must be a number or a percentage, such as 2 or 25%' })
    .meta({ 'x-kubernetes-int-or-string': true }),
  {
    cel: `type(self) == int ? self >= 1 && self <= ${MAX_MEMBERS} : string(self).matches(r'${PERCENTAGE.source}')`,
    says: `must be a number from 1 to ${MAX_MEMBERS} or a percentage from 1% to 100%`,
    holds: (value) => (typeof value === 'number' ? value >= 1 && value <= MAX_MEMBERS : PERCENTAGE.test(value)),
  },
);

const APPROVABLE = ['Roll', 'Drop', 'Swap'] as const;
const approval = z.object({
  required: atomic(z.enum(APPROVABLE), 1, APPROVABLE.length).describe(
    'Stages that are entered only with approval: Roll, Drop; Swap, which is with strategy Lockstep, waits for it in any case. ' +
      'Required. Example: [Roll, Drop]',
  ),
  upTo: z
    .object({
      generation: generationNumber().describe('The generation that the rotation leads to. Required. Example: 2'),
      stage: z
        .enum(APPROVABLE)
        .describe(
          'The last stage that may be entered: Roll or Drop; Swap with strategy Lockstep. Required. Example: Roll',
        ),
    })
    .optional()
    .describe(
      'What is approved: this stage and those before it, in the rotation to this generation and in no other; also when that is turned ' +
        'round and back again. Default: nothing. Example: {generation: 2, stage: Roll}',
    ),
});

const STRATEGIES = ['Staged', 'Lockstep'] as const;

const rotation = z.object({
  generation: generationNumber()
    .optional()
    .describe(
      'The wanted signer. A number above every one used so far, by at most 1000, rotates to it, once; the present one stays. While a ' +
        'rotation runs, the number that it came from rolls it back, until the old key is destroyed. Any other number is refused by ' +
        'the condition Stalled. Default: decided by renewBefore. Example: 2',
    ),
  strategy: z
    .enum(STRATEGIES)
    .optional()
    .describe(
      'Staged: every member honours all CAs of its bundle, so the old CA and the new one are trusted side by side for a while, and no link ' +
        'breaks. Lockstep, for members that honour one CA only: once all are seen to be well and approval says Swap, all change at one time, ' +
        'and links are down until the last one has. Counts for the next rotation, which does not begin without. ' +
        'Default: by the profile; generic: Staged, vast: none, for it is not documented. Example: Lockstep',
    ),
  maxConcurrent: maxConcurrent
    .optional()
    .describe(
      'How many members may change at one time: a number, or a percentage of the members (rounded up, at least 1). ' +
        'Default: 1. Example: 10%',
    ),
  soak: duration({ least: '0s', most: '720h' })
    .optional()
    .describe(
      'Extra hold after a stage is proven, never instead of the proof. Go duration, 0s to 720h. Default: 0s. Example: 10m',
    ),
  paused: z
    .boolean()
    .optional()
    .describe(
      'true holds a rotation where it is: no member is let change, no stage is entered, none starts or turns round. What is under ' +
        'way is finished. Default: false. Example: true',
    ),
  approval: approval
    .optional()
    .describe('Stages that wait for you before they are entered. A rollback needs none. Default: none waits.'),
  departed: setOf(memberName(), MAX_MEMBERS)
    .optional()
    .describe(
      'Members (namespace/name of their ClusterCertificates) that were deleted during a rotation and are really gone. An entry ' +
        'counts while no ClusterCertificate of that name exists, while it is being deleted (though a finalizer holds it), and while it ' +
        'may not be served: its namespace is not in allowedNamespaces any more, no ReplicationPeer beside the CA names it, or its ' +
        'spec is invalid. Default: none. Example: [storage/vast3]',
    ),
});

const spec = withRules(
  z.object({
    profile: z
      .enum(PROFILES)
      .optional()
      .describe(
        'Target system of the members: it decides about their keys, names and files. Immutable. Default: generic. Example: vast',
      ),
    commonName: printable(56)
      .optional()
      .describe(
        'Common name of the CA, up to 56 characters; generation n is called "<commonName> G<n>". A change applies to the next ' +
          'generation. Default: metadata.name. Example: Replication-Root-CA',
      ),
    subject: subject()
      .optional()
      .describe('Further parts of the name of the CA. A change applies to the next generation. Default: none.'),
    privateKey: privateKey
      .optional()
      .describe(
        'Key of the CA. A change applies to the next generation. Default: by the profile; generic, drbd: ECDSA 256; a9s, vast: RSA 4096.',
      ),
    duration: duration({ least: '1m' })
      .optional()
      .describe(
        'Life of a generation, at least 1m. Go duration. A change applies to the next generation. ' +
          'Default: 87600h (10 years). Example: 43800h',
      ),
    renewBefore: duration({ least: '1s' })
      .optional()
      .describe(
        'With rotation.generation unset, a rotation begins when less than this is left of the signer; never more than a third of ' +
          'its life. Go duration, at least 1s, shorter than duration. Default: 8760h (1 year). Example: 4380h',
      ),
    passphraseSecretRef: passphraseSecretRef
      .optional()
      .describe(
        'Passphrase under which CA keys are stored, as encrypted PKCS#8. Applies from the next generation. Required with profile vast. ' +
          'Default: keys are stored unencrypted.',
      ),
    imported: mapBy('generation', imported, 0, MAX_IMPORTED)
      .optional()
      .describe(
        'Generations that are not minted here, but copied from a CA of yours when their turn comes: the first one when the CA is ' +
          'created, later ones when rotation.generation names them. Once copied, an entry counts no more and may be taken out. ' +
          `At most ${MAX_IMPORTED}. Default: every generation is minted.`,
      ),
    allowedNamespaces: allowedNamespaces
      .optional()
      .describe(
        'Namespaces whose ClusterCertificates may use this CA, besides its own; "*" alone for all. At most 256. ' +
          'Default: none. Example: [storage-a]',
      ),
    deletionPolicy: z
      .enum(DELETION_POLICIES)
      .optional()
      .describe(
        'What becomes of the CA keys and the ledger when this object is deleted: Retain or Delete. Default: Retain. Example: Delete',
      ),
    rotation: rotation
      .optional()
      .describe('Which generation is to sign, and how to get there. Default: decided by renewBefore.'),
  }),
  shorterThan('renewBefore', 'duration'),
  authorityProfileRule,
  {
    cel: "!has(self.profile) || self.profile != 'vast' || has(self.passphraseSecretRef)",
    says: 'must be given with profile vast: the key of its CA is kept encrypted',
    at: 'passphraseSecretRef',
    holds: ({ profile, passphraseSecretRef }) => profile !== 'vast' || passphraseSecretRef !== undefined,
  },
  rsaRule,
);

/** Phases, for display. Decisions are read from the ledger, never from here. */
const PHASES = [
  'Pending',
  'Stable',
  'Appending',
  'Rolling',
  'Dropping',
  'Preparing',
  'Swapping',
  'Stalled',
  'Terminating',
] as const;
const DIRECTIONS = ['Forward', 'Backward'] as const;
const STAGES = ['Append', 'Roll', 'Drop', 'Prepare', 'Swap'] as const;
/** What a generation is to the mesh at the moment. */
const GENERATION_ROLES = ['Next', 'Signer', 'Old'] as const;
/** Most members that a status lists one by one. */
export const MAX_LISTED = 20;

const waitingFor = atomic(
  z.object({
    member: memberName().describe('The member, namespace/name of its ClusterCertificate. Example: storage/vast2'),
    reason: reason().describe('Why, in one word. Example: Unreachable'),
    message: text(MAX_MESSAGE).describe(
      'Why, for people, with the next step. Example: 172.31.2.1:49002 does not answer',
    ),
  }),
  0,
  MAX_LISTED,
);

const status = z.object({
  observedGeneration: observedGeneration(),
  phase: z.enum(PHASES).optional().describe('Where the CA stands, for display. Default: none yet. Example: Rolling'),
  signer: generationNumber().optional().describe('The generation that signs leaves now. Default: none yet. Example: 2'),
  signerName: display().optional().describe('The signer, for display. Default: none yet. Example: G2'),
  progress: display()
    .optional()
    .describe(
      'Members that are through with the present stage, of all, and whether it leads back, for display. Default: none. ' +
        'Example: 1/3 back',
    ),
  blockedBy: display()
    .optional()
    .describe(
      'What is waited for, first things first, for display: a hand (LedgerMissing, Paused), or a member and why. Default: none. ' +
        'Example: vast2/Unreachable',
    ),
  expires: display()
    .optional()
    .describe('Day on which the signer expires, for display. Default: none yet. Example: 2036-10-02'),
  conditions: conditions().optional(),
  generations: mapBy(
    'number',
    z.object({
      number: generationNumber().describe('Number of the generation. Example: 2'),
      role: z.enum(GENERATION_ROLES).describe('What it is now: Next, Signer or Old. Example: Signer'),
      subject: text(MAX_SUBJECT).describe('Subject of the certificate. Example: CN=Replication-Root-CA G2'),
      fingerprint: sha256().describe('SHA-256 of the certificate (DER), lower-case hex.'),
      notBefore: instant().describe('Valid from, RFC 3339. Example: 2026-10-05T00:00:00Z'),
      notAfter: instant().describe('Valid until, RFC 3339. Example: 2036-10-02T00:00:00Z'),
      secretName: objectName().describe('Secret of the generation. Example: vast-g2-3f2a9c1b'),
      imported: z
        .boolean()
        .optional()
        .describe('true: it was copied from the Secret that spec.imported named. Default: minted here. Example: true'),
    }),
    0,
    MAX_GENERATIONS,
  )
    .optional()
    .describe('The generations that the ledger names, lowest first. Default: none yet.'),
  bundle: z
    .object({
      sha256: sha256().describe('SHA-256 of the published bundle (PEM text), lower-case hex.'),
      generations: atomic(generationNumber(), 1, MAX_GENERATIONS).describe(
        'Generations in it, oldest first. Example: [1, 2]',
      ),
    })
    .optional()
    .describe('What members are to trust now. Default: none yet.'),
  members: z
    .object({
      total: whole(0).describe('Members of the mesh. Example: 3'),
      trustNext: whole(0).describe('Members seen to trust the next generation. Example: 2'),
      onSigner: whole(0).describe('Members seen to present a leaf of the signer. Example: 1'),
    })
    .optional()
    .describe('The members, counted. Default: none yet.'),
  rotation: z
    .object({
      from: generationNumber().optional().describe('Generation that is left. Default: none while stable. Example: 1'),
      to: generationNumber().optional().describe('Generation that is to sign. Default: none while stable. Example: 2'),
      direction: z
        .enum(DIRECTIONS)
        .optional()
        .describe('Forward, or Backward while rolling back. Default: none while stable. Example: Forward'),
      stage: z
        .enum(STAGES)
        .optional()
        .describe(
          'Append (trust the next), Roll (re-issue) or Drop (stop trusting the old); with strategy Lockstep, Prepare or Swap (all change at ' +
            'one time). Default: none while stable. Example: Roll',
        ),
      interruptedSince: instant()
        .optional()
        .describe(
          'With strategy Lockstep: since when links between members that have changed and those that have not may be down, RFC 3339; until ' +
            'all were seen to have changed. Default: none while links hold.',
        ),
      startedAt: instant().optional().describe('When the rotation began, RFC 3339. Default: none while stable.'),
      stageStartedAt: instant().optional().describe('When the stage began, RFC 3339. Default: none while stable.'),
      waitingFor: waitingFor
        .optional()
        .describe(`Members that the stage waits for, at most ${MAX_LISTED}. Default: none.`),
      waitingForTotal: whole(0)
        .optional()
        .describe('How many members the stage waits for in all. Default: none. Example: 2'),
      mustStartBy: instant()
        .optional()
        .describe('The latest start of the next rotation that ends before something expires, RFC 3339. Default: none.'),
      expiring: atomic(
        z.object({
          name: text(127).describe('A generation (G1) or a member (namespace/name). Example: storage/vast2'),
          notAfter: instant().describe('When the certificate expires, RFC 3339. Example: 2036-10-02T00:00:00Z'),
        }),
        0,
        MAX_LISTED,
      )
        .optional()
        .describe(
          `From mustStartBy on: who expires when, soonest first, at most ${MAX_LISTED}. Default: nobody expires before that.`,
        ),
      expiringTotal: whole(0).optional().describe('How many of them there are in all. Default: none. Example: 3'),
      next: text(MAX_MESSAGE)
        .optional()
        .describe('What to do so that the rotation goes on. Default: none. Example: make storage/vast2 reachable'),
    })
    .optional()
    .describe('The rotation under way, or when the next one is due. Default: none.'),
  history: atomic(
    z.object({
      generation: generationNumber().describe('Generation that signed in the end. Example: 2'),
      startedAt: instant().describe('When the rotation began, RFC 3339. Example: 2026-10-05T00:00:00Z'),
      completedAt: instant().describe('When it was complete, RFC 3339. Example: 2026-10-05T02:00:00Z'),
    }),
    0,
    10,
  )
    .optional()
    .describe('The last 10 rotations, oldest first. Default: none.'),
});

export type ReplicationCASpec = DeepReadonly<z.infer<typeof spec>>;
export type ReplicationCAStatus = DeepReadonly<z.infer<typeof status>>;

export const replicationCaDefinition: Definition<'ReplicationCA', ReplicationCASpec, ReplicationCAStatus> = {
  resource: REPLICATION_CA,
  shortName: 'rca',
  description:
    'The private CA of one replication mesh. Its generations replace each other without a link breaking: a stage of a rotation ends ' +
    'when every member was seen to have taken part, never because time has passed.',
  name: { most: MAX_CA_NAME, because: 'the names of its Secrets and generations are made from it' },
  spec,
  status,
  // All its members would get other keys and names at once, without a grant.
  immutable: {
    profile: 'create a ReplicationCA of another name with the profile you want, and new ClusterCertificates under it',
  },
  selectable: [],
  columns: [
    { name: 'Phase', type: 'string', jsonPath: '.status.phase', description: 'Where the CA stands.' },
    { name: 'Signer', type: 'string', jsonPath: '.status.signerName', description: 'The generation that signs.' },
    {
      name: 'Progress',
      type: 'string',
      jsonPath: '.status.progress',
      description: 'Members that are through with the present stage, of all; back in a rollback.',
    },
    {
      name: 'Waiting-For',
      type: 'string',
      jsonPath: '.status.blockedBy',
      description: 'What is waited for: a member and why, or your hand.',
    },
    { name: 'Expires', type: 'string', jsonPath: '.status.expires', description: 'Day on which the signer expires.' },
    { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp', description: 'Time since creation.' },
  ],
};
