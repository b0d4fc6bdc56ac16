import { type Seed, seed } from './seed.ts';

/** Members that honour one CA only (Prepare and Swap). */
export const LOCKSTEP: readonly Seed[] = [
  seed(
    'lockstep',
    'stages.ts',
    'the gap begins without approval',
    "if (stage === 'Swap') return upTo?.generation === generation && upTo.stage === 'Swap';",
    '',
  ),
  seed(
    'lockstep',
    'stages.ts',
    'an approval for another generation begins the gap',
    'return upTo?.generation === generation && upTo.stage ===',
    'return upTo?.stage ===',
  ),
  seed(
    'lockstep, leaf and bundle apart',
    'evidence.ts',
    'the gap begins although nobody has seen what a member presents',
    `        { kind: 'trusts', generation: rotation.from },
        { kind: 'presents', generation: rotation.from },
`,
    `        { kind: 'trusts', generation: rotation.from },
`,
  ),
  seed(
    'lockstep, leaf and bundle apart',
    'evidence.ts',
    'the gap begins although nobody has seen whom a member trusts',
    `        { kind: 'trusts', generation: rotation.from },
        { kind: 'presents', generation: rotation.from },
`,
    `        { kind: 'presents', generation: rotation.from },
`,
  ),
  seed(
    'lockstep, leaf and bundle apart',
    'evidence.ts',
    'the gap ends when members present the new leaf, whatever they trust',
    `    case 'Swap':
      return [trusts, presents, { kind: 'refuses', generation: rotation.from }];`,
    `    case 'Swap':
      return [presents];`,
  ),
  seed(
    'lockstep',
    'content.ts',
    'who changes goes on trusting the old CA',
    `    case 'Swap':
      return { leaf: to, bundle: [to] };`,
    `      return { leaf: to, bundle: [to] };
    case 'Swap':
      return { leaf: to, bundle: [Math.min(from, to), Math.max(from, to)] };`,
  ),
  seed(
    'lockstep',
    'content.ts',
    'members trust the new CA before the gap',
    'return { leaf: from, bundle: [from] };',
    'return { leaf: from, bundle: [Math.min(from, to), Math.max(from, to)] };',
  ),
  seed(
    'lockstep',
    'content.ts',
    'leaves change before the gap',
    'return { leaf: from, bundle: [from] };',
    'return { leaf: to, bundle: [to] };',
  ),
  seed(
    'lockstep',
    'stages.ts',
    'both CAs are published at the beginning',
    'bundle: lockstep ? ledger.bundle : [...ledger.bundle, number],',
    'bundle: [...ledger.bundle, number],',
  ),
  seed(
    'lockstep',
    'stages.ts',
    'who turns round twice changes at once, without anybody being as before',
    "return direction === 'Forward' ? 'Swap' : 'Prepare';",
    "return 'Swap';",
  ),
  seed(
    'lockstep',
    'stages.ts',
    'turned round in the gap, the rotation leads to where it came from by asking again',
    "return direction === 'Forward' ? 'Swap' : 'Prepare';",
    "return 'Prepare';",
  ),
  seed(
    'lockstep',
    'stages.ts',
    'Prepare is turned round into Prepare',
    "Prepare: 'Swap' } as const;\n\n/** In lockstep",
    "Prepare: 'Prepare' } as const;\n\n/** In lockstep",
  ),
  seed(
    'lockstep',
    'stages.ts',
    'Prepare is left out',
    "stage: lockstep ? 'Prepare' : 'Append',",
    "stage: lockstep ? 'Swap' : 'Append',",
  ),
  seed(
    'lockstep',
    'grants.ts',
    'whoever waits in the gap is judged by whether links hold: nobody ever changes',
    'if (isLockstep(rotation)) return together(facts, rotation, waiting, now);',
    '',
  ),
  seed(
    'lockstep, barred members',
    'grants.ts',
    'a member that cannot change is granted all the same',
    'waiting.filter((member) => deliverable(facts, member, given.leaf));',
    'waiting;',
    'its grant waits for its Secret, and so does the end of the gap, as without a grant',
  ),
  seed(
    'lockstep, barred members',
    'grants.ts',
    'one member that cannot change keeps all others in the gap',
    'waiting.filter((member) => deliverable(facts, member, given.leaf));',
    'waiting.every((member) => deliverable(facts, member, given.leaf)) ? waiting : [];',
    'whoever is in the way has to be let go all the same before the gap ends: it only lasts longer (see lockstep.test.ts)',
  ),
  seed(
    'lockstep, late writes',
    'grants.ts',
    'who has changed back is not fenced: the grant is proven by what is there',
    `    secret.epoch >= entry.since &&
    secret.leaf === entry.leaf &&`,
    '    secret.leaf === entry.leaf &&',
  ),
  seed(
    ['lockstep, late mounts', 'lockstep, late writes'],
    'grants.ts',
    'turned round in the gap: what is proven is proven by the leaf of old',
    "const grant = entry.grant === 'Reversed' ? 'Reopened' : 'Open';",
    "const grant = 'Open';",
    'leaf and bundle change together, so other content comes with another leaf in any case',
  ),
];
