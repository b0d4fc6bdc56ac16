import { type Seed, seed } from './seed.ts';

const START = '  const expired = facts.generations.get(content.leaf)?.notAfter ?? Number.POSITIVE_INFINITY;\n';
const NOT_ASKED = { file: 'matrix.ts', old: START, new: `  if (now > 0) return null;\n${START}` };
const NO_NEW_LEAF = {
  file: 'matrix.ts',
  old: 'for (const { what, by } of bundles) {',
  new: 'for (const { what, by } of bundles.slice(0, 0)) {',
};
const NO_NEW_BUNDLE = {
  file: 'matrix.ts',
  old: 'for (const { what, by } of leaves) {',
  new: 'for (const { what, by } of leaves.slice(0, 0)) {',
};
const APPEND = 'return { leaf: from, bundle: both };';
/** In Roll the old CA goes with the old leaf: what is granted, and what is written down. */
const WITHOUT_OLD = [
  ['const content = contentOf(rotation);', 'rotation'],
  ['const content = contentOf(rotating.rotation);', 'rotating.rotation'],
].map(([old = '', rotation = '']) => ({
  file: 'grants.ts',
  old,
  new: `const content = ${rotation}.stage === 'Roll' ? { leaf: ${rotation}.to, bundle: [${rotation}.to] } : contentOf(${rotation});`,
}));

/**
 * The matrix before a cut (matrix.ts). Where generations are as they should be it is a second lock: evidence has answered what it asks. So
 * either they are not, or it is taken out together with what it locks.
 */
export const CUTTING: readonly Seed[] = [
  { name: 'the matrix is not asked', where: ['generations alike'], patches: [NOT_ASKED], harmless: null },
  seed(
    'generations alike',
    'matrix.ts',
    'the matrix asks whether a bundle holds a generation, not what verifiers make of it',
    "return bundle.includes(leaf) ? verifies(leaf, bundle) : 'it does not hold that generation';",
    "return bundle.includes(leaf) || verifies(leaf, bundle) === null ? null : 'it does not hold that generation';",
  ),
  {
    name: 'the bundle is replaced, not appended to, and the matrix is not asked',
    where: ['hidden namespaces'],
    patches: [NOT_ASKED, { file: 'content.ts', old: APPEND, new: 'return { leaf: from, bundle: [to] };' }],
    harmless: null,
  },
  {
    name: 'the new leaf comes with the new bundle, and is not held against what others trust',
    where: ['hidden namespaces'],
    patches: [NO_NEW_LEAF, { file: 'content.ts', old: APPEND, new: 'return { leaf: to, bundle: both };' }],
    harmless: null,
  },
  {
    name: 'with its new leaf a member loses the old CA, and that is not held against what others present',
    where: ['hidden namespaces'],
    patches: [NO_NEW_BUNDLE, ...WITHOUT_OLD],
    harmless: null,
  },
  {
    name: 'the leaf to come is not held against what others trust',
    where: ['generations alike', 'changes of mind', 'late mounts'],
    patches: [NO_NEW_LEAF],
    harmless: 'each other was seen to trust it, and of generations that are alike the bundle to come is refused',
  },
  {
    name: 'the bundle to come is not held against what others present',
    where: ['generations alike', 'changes of mind', 'late mounts'],
    patches: [NO_NEW_BUNDLE],
    harmless: 'each other was seen to present a leaf of it, and generations that are alike fail with the leaf to come',
  },
  seed(
    ['generations alike', 'changes of mind'],
    'matrix.ts',
    'what everybody comes to in the end is not looked at',
    'return why === null ? null : broken(self,',
    'return why !== undefined ? null : broken(self,',
    'somebody presents the leaf to come already, or trusts the bundle to come, so that this cell was looked at before',
  ),
  seed(
    ['old files, soak', 'changes of mind', 'two at a time, old files'],
    'matrix.ts',
    'a member is held against itself',
    'by.find((each) => each !== member)',
    'by[0]',
    'it only helps a member that cannot load what it has; in a fair run everybody can',
  ),
  seed(
    'two joiners',
    'matrix.ts',
    'a joiner that has no files yet is held against the others',
    '    if (entry.leaf === null) continue;\n',
    '',
  ),
];
