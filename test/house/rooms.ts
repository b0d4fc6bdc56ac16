/** The rooms of src, and which of them may use what: the table in docs/architecture.md as data. */
import { posix } from 'node:path';
import { importsOf, type Node } from './syntax.ts';

interface Room {
  /** Rooms it may import. */
  readonly rooms: readonly string[];
  /** Rooms of which it may import types, and nothing that is there at run time. */
  readonly types?: readonly string[];
  readonly packages: readonly string[];
  /** Modules of Node it may import: all, or a list. */
  readonly node: 'all' | readonly string[];
}

const ROOMS: Readonly<Record<string, Room>> = {
  api: { rooms: [], packages: ['zod'], node: [] },
  // net for isIP, os for the number of cores: no I/O in them as they are used.
  pki: { rooms: [], packages: [], node: ['node:crypto', 'node:net', 'node:os', 'node:util'] },
  rotation: { rooms: ['api'], packages: [], node: [] },
  outputs: { rooms: ['pki'], types: ['api'], packages: [], node: ['node:crypto'] },
  profiles: { rooms: ['outputs'], types: ['api', 'pki'], packages: [], node: [] },
  probe: { rooms: ['pki'], types: ['api'], packages: [], node: 'all' },
  runtime: { rooms: [], packages: ['@kubernetes/client-node', 'undici', 'pino'], node: 'all' },
  controllers: {
    rooms: ['api', 'pki', 'outputs', 'rotation', 'profiles', 'probe', 'runtime'],
    packages: ['pino'],
    node: 'all',
  },
  cli: { rooms: ['api', 'rotation', 'profiles', 'pki', 'probe'], packages: ['yaml'], node: 'all' },
  // The files of src itself: composition.
  main: { rooms: ['controllers', 'runtime', 'api'], packages: ['pino'], node: 'all' },
};

/** What is wrong with the imports of one file; `file` is its path below src, with slashes. */
export function forbiddenImports(file: string, program: Node): string[] {
  const name = roomOf(file);
  const room = ROOMS[name];
  if (room === undefined) return [`${file}: src/${name} is no room of test/house/rooms.ts`];
  return importsOf(program).flatMap(({ specifier, typeOnly }) => {
    const why = whyForbidden(file, name, room, specifier, typeOnly);
    return why === null ? [] : [`${file}: import of '${specifier}': ${why}`];
  });
}

function whyForbidden(file: string, name: string, room: Room, specifier: string, typeOnly: boolean): string | null {
  if (specifier.startsWith('.')) {
    const target = posix.normalize(posix.join(posix.dirname(file), specifier));
    if (target.startsWith('..')) return 'leads out of src';
    const targetRoom = roomOf(target);
    if (targetRoom === name || room.rooms.includes(targetRoom)) return null;
    if (room.types?.includes(targetRoom) !== true) return `${name} may not import ${targetRoom}`;
    return typeOnly ? null : `${name} may import only types of ${targetRoom}`;
  }
  if (specifier.startsWith('node:')) {
    return room.node === 'all' || room.node.includes(specifier) ? null : `${name} may not use it`;
  }
  const owner = room.packages.find((name) => specifier === name || specifier.startsWith(`${name}/`));
  return owner === undefined ? `${name} may not use this package` : null;
}

function roomOf(file: string): string {
  const [folder, ...below] = file.split('/');
  return folder === undefined || below.length === 0 ? 'main' : folder;
}
