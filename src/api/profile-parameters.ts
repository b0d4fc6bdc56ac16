/** What profiles ask of one member besides what all have: one object per profile that asks for anything, under the profile's name. */
import { z } from 'zod';
import { type DeepReadonly, type ProfileName, type Rule, text, withRules } from './fields.ts';

const drbd = z.object({
  directory: text(200, {
    pattern: /^(\/[A-Za-z0-9._-]+)+$/,
    says: 'must be an absolute path of letters, digits, dots, hyphens and underscores, without a slash at its end',
  }).describe(
    'Folder on the node to which ca.crt, tls.crt and tls.key of the Secret are brought: tlshd.conf names them there. Required. Example: /etc/drbd.d/tls',
  ),
});

/** The data services of a9s. */
const A9S_SERVICES = [
  'KeyValue',
  'LogMe2',
  'MariaDB',
  'Messaging',
  'MongoDB',
  'MySQL',
  'PostgreSQL',
  'Redis',
  'Search',
] as const;
export type A9sService = (typeof A9S_SERVICES)[number];

const domain = (most: number): z.ZodString =>
  text(most, {
    pattern: /^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$/,
    says: 'must be a domain in lower case, without a wildcard',
  });

const a9s = withRules(
  z.object({
    service: z
      .enum(A9S_SERVICES)
      .describe('The data service: it has names of its own for certificates. Required. Example: PostgreSQL'),
    // `*.node.dc1.<domain>` is a common name, of at most 64 characters.
    consulDomain: domain(53).describe(
      'iaas.consul.domain of the platform, at most 53 characters; ask its operator. Required. Example: consul.example.com',
    ),
    systemDomain: domain(200)
      .optional()
      .describe(
        'iaas.cf.system_domain of the platform, below which dashboards are. Required with LogMe2 and Messaging, else forbidden. ' +
          'Default: none. Example: sys.example.com',
      ),
  }),
  {
    cel: "has(self.systemDomain) == (self.service in ['LogMe2', 'Messaging'])",
    says: 'must be given with LogMe2 and Messaging, which have a dashboard, and with no other service',
    at: 'systemDomain',
    holds: ({ service, systemDomain }) =>
      (systemDomain !== undefined) === (service === 'LogMe2' || service === 'Messaging'),
  },
);

/** The objects, as fields of a spec. */
export const profileParameters = {
  a9s: a9s
    .optional()
    .describe(
      'The service instance, of profile a9s: from this follow its names and the document for cf update-service. Immutable. ' +
        'Required with profile a9s. Default: none. Example: {service: PostgreSQL, consulDomain: consul.example.com}',
    ),
  drbd: drbd
    .optional()
    .describe(
      'What profile drbd is to know of the node. Default: its files are in /etc/tlshd.d. Example: {directory: /etc/drbd.d/tls}',
    ),
};

type ParameterName = keyof typeof profileParameters;
const NAMES: readonly ParameterName[] = ['a9s', 'drbd'];

export type ProfileParameters = DeepReadonly<{ [Name in ParameterName]?: z.infer<(typeof profileParameters)[Name]> }>;

/** The objects of a spec, and nothing else of it. */
export const parametersOf = ({ a9s, drbd }: ProfileParameters): ProfileParameters => ({
  ...(a9s === undefined ? {} : { a9s }),
  ...(drbd === undefined ? {} : { drbd }),
});

/** What is wrong with the objects of a spec whose profile is known, with the next step; null: nothing. */
export function parameterProblem(parameters: ProfileParameters, profile: string): string | null {
  const foreign = NAMES.find((name) => name !== profile && parameters[name] !== undefined);
  if (foreign !== undefined) {
    // An instance of a9s is what its certificate is for, for ever.
    const without = foreign === 'a9s' ? 'Create it anew without, or' : 'Take it out, or create the certificate anew';
    return `spec.${foreign} is for profile ${foreign}, but its profile is ${profile}. ${without} with spec.profile: ${foreign}.`;
  }
  if (profile === 'a9s' && parameters.a9s === undefined)
    return 'its profile is a9s, so it must say which service instance it is for. Create it anew with spec.a9s.';
  return null;
}

interface Profiled extends ProfileParameters {
  readonly profile?: ProfileName | undefined;
  readonly commonName?: string | undefined;
  readonly privateKey?: { readonly algorithm: string } | undefined;
}

/** Of a profile that is the CA's the controller says it. */
export const profileRules: readonly Rule<Profiled>[] = [
  ...NAMES.map(
    (name): Rule<Profiled> => ({
      cel: `!has(self.${name}) || !has(self.profile) || self.profile == '${name}'`,
      says: `must be absent with another profile than ${name}`,
      at: name,
      holds: (spec) => spec[name] === undefined || spec.profile === undefined || spec.profile === name,
    }),
  ),
  {
    cel: "!has(self.profile) || self.profile != 'a9s' || has(self.a9s)",
    says: 'must be given with profile a9s',
    at: 'a9s',
    holds: (spec) => spec.profile !== 'a9s' || spec.a9s !== undefined,
  },
  {
    cel: '!has(self.a9s) || !has(self.commonName)',
    says: 'must be absent with a9s: it is *.node.dc1. and the consulDomain',
    at: 'commonName',
    holds: (spec) => spec.a9s === undefined || spec.commonName === undefined,
  },
  {
    cel: "!has(self.a9s) || !has(self.privateKey) || self.privateKey.algorithm == 'RSA'",
    says: 'must be RSA with a9s, which takes PKCS #1',
    at: 'privateKey',
    holds: (spec) => spec.a9s === undefined || spec.privateKey === undefined || spec.privateKey.algorithm === 'RSA',
  },
];

/** The same of a CA: its certificates are in the document, too. */
export const authorityProfileRule: Rule<Pick<Profiled, 'profile' | 'privateKey'>> = {
  cel: "!has(self.profile) || self.profile != 'a9s' || !has(self.privateKey) || self.privateKey.algorithm == 'RSA'",
  says: 'must be RSA with profile a9s, which takes PKCS #1',
  at: 'privateKey',
  holds: (spec) => spec.profile !== 'a9s' || spec.privateKey === undefined || spec.privateKey.algorithm === 'RSA',
};
