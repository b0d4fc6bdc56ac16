import type { ProfileName } from '../api/fields.ts';
import { drbd } from './drbd.ts';
import { etcd } from './etcd.ts';
import { generic } from './generic.ts';
import { nats } from './nats.ts';
import type { MemberRequest, Profile } from './profile.ts';
import { rabbitmq } from './rabbitmq.ts';
import { redis } from './redis.ts';

export type { MemberRequest, Profile, ProfileName };

const profiles: Readonly<Record<ProfileName, Profile>> = { generic, redis, nats, etcd, rabbitmq, drbd };

export function profileOf(name: ProfileName | undefined): Profile {
  return profiles[name ?? 'generic'];
}
