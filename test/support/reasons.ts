/** The words for which a rotation waits for a member, or a member is not as it should be: found in the code, for they are no list there. */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

const ROOT = join(import.meta.dirname, '..', '..');
/** Where the words come from that `waitingFor` and the members of a peer show. */
const SOURCES = [
  'src/rotation',
  'src/probe/evidence.ts',
  'src/controllers/replicationpeer/plan.ts',
  'src/controllers/replicationpeer/sessions.ts',
  'src/controllers/replicationca/observe.ts',
];
/** In the same places, but no reason of a member: the name of an event. */
const OTHERS = ['MemberJoined'];

export async function codeOfReasons(): Promise<string> {
  const files = await Promise.all(
    SOURCES.map(async (path) =>
      path.endsWith('.ts') ? [path] : (await readdir(join(ROOT, path))).map((name) => join(path, name)),
    ),
  );
  const texts = await Promise.all(files.flat().map((file) => readFile(join(ROOT, file), 'utf8')));
  return texts.join('\n');
}

export function reasonsIn(code: string): Set<string> {
  const found = code.matchAll(/(?:\b(?:unknown|contrary)\(\s*|reason(?:: | === '' \? ))'([A-Z][A-Za-z]+)'/g);
  return new Set([...found].flatMap(([, reason]) => (reason === undefined || OTHERS.includes(reason) ? [] : [reason])));
}
