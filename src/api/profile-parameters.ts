/** What profiles ask of one member besides what all have: one object per profile that asks for anything, under the profile's name. */
import { z } from 'zod';
import { type DeepReadonly, type ProfileName, type Rule, text } from './fields.ts';

const drbd = z.object({
  directory: text(200, {
    pattern: /^(\/[A-Za-z0-9._-]+)+$/,
    says: 'must be an absolute path of letters, digits, dots, hyphens and underscores, without a slash at its end',
  }).describe(
    'Folder on the node to which ca.crt, tls.crt and tls.key of the Secret are brought: tlshd.conf names them there. Required. Example: /etc/drbd.d/tls',
  ),
});

/** The objects, as fields of a spec. */
export const profileParameters = {
  drbd: drbd
    .optional()
    .describe(
      'What profile drbd is to know of the node. Default: files are in /etc/tlshd.d. Example: {directory: /etc/drbd.d/tls}',
    ),
};

type ParameterName = keyof typeof profileParameters;
const NAMES: readonly ParameterName[] = ['drbd'];

export type ProfileParameters = DeepReadonly<{ [Name in ParameterName]?: z.infer<(typeof profileParameters)[Name]> }>;

/** The first object that belongs to another profile than this. */
export const foreignParameter = (parameters: ProfileParameters, profile: string): ParameterName | null =>
  NAMES.find((name) => name !== profile && parameters[name] !== undefined) ?? null;

/** Of a profile that is the CA's the controller says it. */
export const profileRules: readonly Rule<ProfileParameters & { readonly profile?: ProfileName | undefined }>[] =
  NAMES.map((name) => ({
    cel: `!has(self.${name}) || !has(self.profile) || self.profile == '${name}'`,
    says: `must be absent with another profile than ${name}`,
    at: name,
    holds: (spec) => spec[name] === undefined || spec.profile === undefined || spec.profile === name,
  }));
