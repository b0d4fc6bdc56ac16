import { generic } from './generic.ts';
import type { Profile } from './profile.ts';

export type { Profile };

const profiles = { generic } as const satisfies Record<string, Profile>;

export type ProfileName = keyof typeof profiles;

export function profileOf(name: ProfileName | undefined): Profile {
  return profiles[name ?? 'generic'];
}
