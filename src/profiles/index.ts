import type { ProfileName } from '../api/fields.ts';
import { etcd } from './etcd.ts';
import { galera } from './galera.ts';
import { generic } from './generic.ts';
import { mysql } from './mysql.ts';
import { nats } from './nats.ts';
import { postgres } from './postgres.ts';
import type { Profile } from './profile.ts';
import { rabbitmq } from './rabbitmq.ts';
import { redis } from './redis.ts';

export type { Profile, ProfileName };

const profiles: Readonly<Record<ProfileName, Profile>> = {
  generic,
  postgres,
  mysql,
  galera,
  redis,
  nats,
  etcd,
  rabbitmq,
};

export function profileOf(name: ProfileName | undefined): Profile {
  return profiles[name ?? 'generic'];
}
