import type { ProfileName } from '../api/fields.ts';
import type { ProfileParameters } from '../api/profile-parameters.ts';
import { a9s, a9sLeaves } from './a9s.ts';
import { drbd } from './drbd.ts';
import { etcd } from './etcd.ts';
import { galera } from './galera.ts';
import { generic } from './generic.ts';
import { mysql } from './mysql.ts';
import { nats } from './nats.ts';
import { postgres } from './postgres.ts';
import type { MemberRequest, Profile } from './profile.ts';
import { rabbitmq } from './rabbitmq.ts';
import { redis } from './redis.ts';
import { vast } from './vast.ts';

export type { MemberRequest, Profile, ProfileName };

const profiles: Readonly<Record<ProfileName, Profile>> = {
  generic,
  postgres,
  mysql,
  galera,
  redis,
  nats,
  etcd,
  rabbitmq,
  drbd,
  a9s,
  vast,
};

export function profileOf(name: ProfileName | undefined): Profile {
  return profiles[name ?? 'generic'];
}

/**
 * Names of the leaves that a member has: the first is in tls.crt and tls.key, each other in files of its name. They follow from what its
 * ClusterCertificate says for its profile, so that its Secret can be read before its CA is known.
 */
export function leavesOf({ a9s: instance }: ProfileParameters): readonly [string, ...string[]] {
  return instance === undefined ? ['tls'] : a9sLeaves(instance.service);
}
