/**
 * Building blocks of the schemas. Every constraint made here holds on both sides: zod refuses what the API server refuses.
 * Where OpenAPI has no word, or its message is one that no person understands (`should match '^(...'`), a CEL rule is the pair.
 */
import { z } from 'zod';
import { DURATION_PATTERN, MAX_DURATION_LENGTH, parseDuration } from './duration.ts';
import { INSTANT_PATTERN, MAX_INSTANT_LENGTH, parseInstant } from './instant.ts';
import { isList } from './raw.ts';

/** Objects are data that others may hold too: nobody writes to them. */
export type DeepReadonly<T> = T extends (infer Item)[]
  ? readonly DeepReadonly<Item>[]
  : T extends object
    ? { readonly [Key in keyof T]: DeepReadonly<T[Key]> }
    : T;

/** One check, said twice: `holds` for zod, `cel` for the API server. `says` is what a person reads after the field's path. */
export interface Rule<T> {
  readonly cel: string;
  readonly says: string;
  readonly holds: (value: T) => boolean;
  /** The field below `self` that the message is about. */
  readonly at?: string;
  /** The same without CEL, as far as a pattern can say it. What a status may hold has one: see crd.ts. */
  readonly pattern?: RegExp;
}

/** An x-kubernetes-validations entry. */
export interface CelRule {
  readonly rule: string;
  readonly message: string;
  readonly fieldPath?: string;
}

/** A rule as the metadata of a schema keeps it, until a CRD is made of that. */
export interface KeptRule extends CelRule {
  readonly pattern?: string;
}

/** Adds rules to a schema. Its description and other metadata are kept. */
export function withRules<S extends z.ZodType>(schema: S, ...rules: readonly Rule<z.output<S>>[]): S {
  const meta = schema.meta() ?? {};
  const before = meta['x-kubernetes-validations'];
  let checked = schema;
  for (const { holds, says, at } of rules) {
    checked = checked.refine(holds, { error: says, path: at === undefined ? [] : [at] });
  }
  const validations = rules.map(
    ({ cel, says, at, pattern }): KeptRule => ({
      rule: cel,
      message: says,
      ...(at === undefined ? {} : { fieldPath: `.${at}` }),
      ...(pattern === undefined ? {} : { pattern: pattern.source }),
    }),
  );
  return checked.meta({ ...meta, 'x-kubernetes-validations': [...(isList(before) ? before : []), ...validations] });
}

/** A CEL call that matches `target` against a pattern. Patterns are RE2 and hold no single quote. */
const celMatches = (target: string, pattern: RegExp): string => `${target}.matches(r'${pattern.source}')`;

/** Code points: what the API server counts as characters. */
const characters = (value: string): string[] => Array.from(value);

/** Text of 1 to `most` characters (code points, as the API server counts), of a shape that `says` describes. */
export function text(most: number, shape?: { readonly pattern: RegExp; readonly says: string }): z.ZodString {
  const bounded = z
    .string()
    .refine((value) => value.length <= most || (value.length <= 2 * most && characters(value).length <= most), {
      error: `must have at most ${most} characters`,
      abort: true,
    });
  if (shape === undefined) return bounded.min(1).meta({ maxLength: most });
  const { pattern, says } = shape;
  return withRules(bounded.meta({ maxLength: most }), {
    cel: celMatches('self', pattern),
    says,
    holds: (value) => pattern.test(value),
    pattern,
  });
}

/** A Go duration between two bounds, both inclusive. */
export function duration(bounds: { readonly least: string; readonly most?: string }): z.ZodString {
  const { least, most } = bounds;
  const lowest = parseDuration(least) ?? 0;
  const highest = most === undefined ? Infinity : (parseDuration(most) ?? Infinity);
  const range = most === undefined ? `at least ${least}` : `from ${least} to ${most}`;
  const limit = most === undefined ? '' : ` && duration(self) <= duration('${most}')`;
  return withRules(z.string().max(MAX_DURATION_LENGTH, { abort: true }).min(1), {
    cel: `${celMatches('self', DURATION_PATTERN)} && duration(self) >= duration('${least}')${limit}`,
    says: `must be a duration with units h, m, s or ms in this order, such as 8760h or 1h30m, ${range}`,
    holds: (value) => {
      const milliseconds = parseDuration(value);
      return milliseconds !== null && milliseconds >= lowest && milliseconds <= highest;
    },
  });
}

/** Two durations beside each other: `shorter` < `longer`, where both are given. */
export function shorterThan<A extends string, B extends string>(
  shorter: A,
  longer: B,
): Rule<{ readonly [Key in A | B]?: string | undefined }> {
  const given = (name: string) => `has(self.${name}) && ${celMatches(`self.${name}`, DURATION_PATTERN)}`;
  return {
    cel: `!(${given(shorter)} && ${given(longer)}) || duration(self.${shorter}) < duration(self.${longer})`,
    says: `must be shorter than ${longer}`,
    at: shorter,
    holds: (value) => {
      const low = parseDuration(value[shorter] ?? '');
      const high = parseDuration(value[longer] ?? '');
      return low === null || high === null || low < high;
    },
  };
}

/** A whole number; the converter makes int64 of it. */
export const whole = (least: number, most?: number): z.ZodInt =>
  most === undefined ? z.int().min(least) : z.int().min(least).max(most);

/** An instant. The API server's `format` lets through what it cannot read; the rule makes it read the instant. */
export const instant = (): z.ZodString =>
  withRules(z.string().max(MAX_INSTANT_LENGTH, { abort: true }).meta({ format: 'date-time' }), {
    cel: "self >= timestamp('1970-01-01T00:00:00Z')",
    says: 'must be an instant in RFC 3339, 1970 or later, such as 2026-10-05T00:00:00Z',
    holds: (value) => parseInstant(value) !== null,
    pattern: INSTANT_PATTERN,
  });

const items = <S extends z.ZodType>(item: S, least: number, most: number): z.ZodArray<S> =>
  least === 0 ? z.array(item).max(most) : z.array(item).min(least).max(most);

/** A list that is replaced as a whole, in the given order. */
export const atomic = <S extends z.ZodType>(item: S, least: number, most: number): z.ZodArray<S> =>
  items(item, least, most).meta({ 'x-kubernetes-list-type': 'atomic' });

/** A list without duplicates, to which several appliers may add. */
export const setOf = (item: z.ZodString, most: number): z.ZodArray<z.ZodString> =>
  z
    .array(item)
    .max(most)
    .refine((values) => new Set(values).size === values.length, { error: 'must not name anything twice' })
    .meta({ 'x-kubernetes-list-type': 'set' });

/** A list of objects that are told apart, and merged, by one of their fields. */
export const mapBy = <S extends z.ZodObject>(key: string, item: S, least: number, most: number): z.ZodArray<S> =>
  items(item, least, most)
    .refine((values) => new Set(values.map((value) => value[key])).size === values.length, {
      error: `must not have two entries of the same ${key}`,
    })
    .meta({ 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': [key] });

/** A map of texts under keys of any kind. */
export const mapOf = (value: z.ZodString, most: number): z.ZodRecord<z.ZodString, z.ZodString> =>
  z
    .record(z.string(), value)
    .refine((map) => Object.keys(map).length <= most, { error: `must have at most ${most} entries` })
    .meta({ maxProperties: most });

// ---------------------------------------------------------------------------------------------------- names

const LABEL = '[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?';

const LABEL_SHAPE = {
  pattern: new RegExp(`^${LABEL}$`),
  says: 'must be a DNS label: lower-case letters, digits and hyphens, at most 63 characters, no dot',
};
const SUBDOMAIN_SHAPE = {
  pattern: /^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$/,
  says: 'must be the name of an object: lower-case letters, digits, hyphens and dots',
};

/** A DNS label (RFC 1123). */
export const label = (): z.ZodString => text(63, LABEL_SHAPE);
/** A name of an object (RFC 1123 subdomain). */
export const objectName = (most = 253): z.ZodString => text(most, SUBDOMAIN_SHAPE);

/** `namespace/name` of a ClusterCertificate. */
export const memberName = (): z.ZodString =>
  text(127, {
    pattern: /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\/[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?$/,
    says: 'must be namespace/name of a ClusterCertificate, such as storage/vast3',
  });

const CONTROL = String.raw`\x00-\x1f\x7f`;

/** Printable text of one line: what goes into a distinguished name. */
export const printable = (most: number): z.ZodString =>
  text(most, {
    pattern: new RegExp(`^[^ ${CONTROL}]([^${CONTROL}]*[^ ${CONTROL}])?$`),
    says: 'must not be empty, begin or end with a space, or hold control characters',
  });

/** ISO 3166 country code. */
const country = (): z.ZodString =>
  text(2, { pattern: /^[A-Z]{2}$/, says: 'must be a country code of two capital letters, such as DE' });

const HOST_PATTERN = new RegExp(`^${LABEL}(\\.${LABEL})*$`);
const DNS_PATTERN = new RegExp(`^(\\*\\.)?${LABEL}(\\.${LABEL})*$`);
const OCTET = '(25[0-5]|(2[0-4]|1[0-9]|[1-9])?[0-9])';
const IPV4_PATTERN = new RegExp(`^(${OCTET}\\.){3}${OCTET}$`);
/**
 * RFC 4291, without the mixed form (::ffff:192.0.2.1) and zones: hex and colons; eight groups, or fewer than eight with one `::`.
 * Several short patterns, for the API server bounds the cost of a rule by the length of its patterns.
 */
const HEX_AND_COLONS = /^[0-9A-Fa-f:]+$/;
const EIGHT_GROUPS = /^([^:]{1,4}:){7}[^:]{1,4}$/;
const ONE_GAP = /^([^:]{1,4}(:[^:]{1,4})*)?::([^:]{1,4}(:[^:]{1,4})*)?$/;
const EIGHT_OR_MORE = /([^:]+:+){7}[^:]/;

const celIpAddress = (target: string): string =>
  `${celMatches(target, IPV4_PATTERN)} || (${celMatches(target, HEX_AND_COLONS)} && (${celMatches(target, EIGHT_GROUPS)} || ` +
  `(${celMatches(target, ONE_GAP)} && !${celMatches(target, EIGHT_OR_MORE)})))`;

const isIpAddress = (value: string): boolean =>
  IPV4_PATTERN.test(value) ||
  (HEX_AND_COLONS.test(value) && (EIGHT_GROUPS.test(value) || (ONE_GAP.test(value) && !EIGHT_OR_MORE.test(value))));

/** What looks like an IPv4 address but is none would otherwise pass as a host name. */
const NUMERIC_PATTERN = /^[0-9.]+$/;

/** A DNS name, with or without a wildcard as its first label. */
export const dnsName = (): z.ZodString =>
  text(253, {
    pattern: DNS_PATTERN,
    says: 'must be a DNS name in lower case, such as vast1.example.com or *.example.com',
  });

/** An IPv4 or IPv6 address. */
export const ipAddress = (): z.ZodString =>
  withRules(text(45), {
    cel: celIpAddress('self'),
    says: 'must be an IPv4 or IPv6 address without a prefix length, such as 192.0.2.1 or 2001:db8::1',
    holds: isIpAddress,
  });

/** Where to dial: a DNS name or an IP address. */
export const host = (): z.ZodString =>
  withRules(text(253), {
    cel: `${celIpAddress('self')} || (!${celMatches('self', NUMERIC_PATTERN)} && ${celMatches('self', HOST_PATTERN)})`,
    says: 'must be a DNS name in lower case or an IP address, without scheme, port or brackets',
    holds: (value) => isIpAddress(value) || (!NUMERIC_PATTERN.test(value) && HOST_PATTERN.test(value)),
  });

/** An absolute URI in ASCII. */
export const uri = (): z.ZodString =>
  text(512, {
    pattern: /^[A-Za-z][A-Za-z0-9+.-]*:[!-~]+$/,
    says: 'must be an absolute URI in ASCII, such as spiffe://example.com/vast1',
  });

// ---------------------------------------------------------------------------------------------------- shared objects

/** The target systems: `src/profiles` has a profile for each of these, and for no other. */
export const PROFILES = [
  'generic',
  'postgres',
  'mysql',
  'galera',
  'redis',
  'nats',
  'etcd',
  'rabbitmq',
  'drbd',
  'a9s',
  'vast',
] as const;
export type ProfileName = (typeof PROFILES)[number];

/** What a profile demands of a spec that names it, as far as the API server can see it. */
interface Profiled {
  readonly profile?: ProfileName | undefined;
  readonly privateKey?: { readonly algorithm: string } | undefined;
}

export const rsaRule: Rule<Profiled> = {
  cel: "!has(self.profile) || self.profile != 'vast' || !has(self.privateKey) || self.privateKey.algorithm == 'RSA'",
  says: 'must be RSA with profile vast: no other algorithm is documented for VAST clusters',
  at: 'privateKey',
  holds: ({ profile, privateKey }) => profile !== 'vast' || privateKey === undefined || privateKey.algorithm === 'RSA',
};

/** What becomes of the Secrets when the object is deleted. */
export const DELETION_POLICIES = ['Retain', 'Delete'] as const;

export const subject = () =>
  z.object({
    organizations: atomic(printable(64), 0, 8)
      .optional()
      .describe(
        'Organizations (O), in this order, at most 8 of up to 64 characters. Default: none. Example: [Example AG]',
      ),
    organizationalUnits: atomic(printable(64), 0, 8)
      .optional()
      .describe(
        'Organizational units (OU), in this order, at most 8 of up to 64 characters. Default: none. Example: [Storage]',
      ),
    countries: atomic(country(), 0, 8)
      .optional()
      .describe('Countries (C), codes of two capital letters, at most 8. Default: none. Example: [DE]'),
  });

const KEY_ALGORITHMS = ['RSA', 'ECDSA', 'Ed25519'] as const;
const KEY_SIZES = [256, 384, 2048, 3072, 4096] as const;

/** Fields of a private key that CA and leaf share. */
export const keyFields = (rsaDefault: number) => ({
  algorithm: z
    .enum(KEY_ALGORITHMS)
    .describe('Algorithm of the key: RSA, ECDSA or Ed25519. Required where privateKey is given. Example: ECDSA'),
  size: z
    .literal(KEY_SIZES)
    .optional()
    .describe(
      'Size in bits: RSA 2048, 3072 or 4096; ECDSA 256 or 384 (the curve); none with Ed25519. ' +
        `Default: ${rsaDefault} for RSA, 256 for ECDSA. Example: 384`,
    ),
});

interface KeyChoice {
  readonly algorithm: (typeof KEY_ALGORITHMS)[number];
  readonly size?: (typeof KEY_SIZES)[number] | undefined;
}

/** Which sizes go with which algorithm. */
export const keySizeRule: Rule<KeyChoice> = {
  cel:
    "!has(self.size) || (self.algorithm == 'RSA' && self.size >= 2048) || " +
    "(self.algorithm == 'ECDSA' && self.size < 2048)",
  says: 'must be 2048, 3072 or 4096 with RSA, 256 or 384 with ECDSA, and absent with Ed25519',
  at: 'size',
  holds: ({ algorithm, size }) =>
    size === undefined || (algorithm === 'RSA' && size >= 2048) || (algorithm === 'ECDSA' && size < 2048),
};

/** Longest message of a condition, as in Kubernetes itself. */
export const MAX_CONDITION_MESSAGE = 32_768;
/** Longest message of an entry in a status list. */
export const MAX_MESSAGE = 1_024;
/** Longest display string: columns stay readable. */
export const MAX_DISPLAY = 256;

/** Cuts a text for a status field; a text that is too long would have the whole status refused. */
export function clip(value: string, most: number): string {
  if (value.length <= most || characters(value).length <= most) return value;
  return `${characters(value.slice(0, 2 * most))
    .slice(0, most - 1)
    .join('')}…`;
}

const WORD = { pattern: /^[A-Za-z]([A-Za-z0-9_]*[A-Za-z0-9])?$/, says: 'must be one word in CamelCase' };
/** A reason: one word, CamelCase. */
export const reason = (): z.ZodString => text(64, WORD);

export const sha256 = (): z.ZodString =>
  text(64, { pattern: /^[0-9a-f]{64}$/, says: 'must be a SHA-256 in lower-case hex' });

export const conditions = () =>
  mapBy(
    'type',
    z.object({
      type: text(64, WORD).describe('What the condition is about. Example: Ready'),
      status: z.enum(['True', 'False', 'Unknown']).describe('Whether it holds: True, False or Unknown. Example: True'),
      reason: reason().describe('Why, in one word for programs. Example: WaitingForEvidence'),
      message: z
        .string()
        .max(MAX_CONDITION_MESSAGE)
        .describe('Why, for people, with the next step. Example: vast2 does not trust G2 yet'),
      lastTransitionTime: instant().describe('When status last changed, RFC 3339. Example: 2026-10-05T00:00:00Z'),
      observedGeneration: whole(0)
        .optional()
        .describe('metadata.generation that the condition is about. Default: none. Example: 3'),
    }),
    0,
    16,
  ).describe('What holds and what does not, one entry per type. Default: none yet.');

export type Condition = DeepReadonly<z.infer<ReturnType<typeof conditions>>[number]>;

export const observedGeneration = () =>
  whole(0).optional().describe('metadata.generation of the spec that was last acted on. Default: none yet. Example: 3');

export const display = (): z.ZodString => z.string().max(MAX_DISPLAY);
