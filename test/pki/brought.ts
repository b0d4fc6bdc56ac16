/** Leaves that people had issued with openssl. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ProvidedFiles } from '../../src/pki/provided.ts';
import { temporaryDirectory } from './support.ts';

const root = temporaryDirectory();
let folders = 0;

export function shell(dir: string, script: string): string {
  // What openssl tells of its progress is nobody's concern unless it fails.
  return execFileSync('bash', ['-euo', 'pipefail', '-c', script], { cwd: dir, encoding: 'utf8', stdio: 'pipe' });
}

/** A folder in which a shell script was run, beside a root CA. */
export function follow(script: string): string {
  const dir = join(root.path, String((folders += 1)));
  mkdirSync(dir);
  shell(
    dir,
    `openssl ecparam -genkey -name prime256v1 -out ca.key
     openssl req -new -x509 -days 3650 -key ca.key -subj '/O=Example/CN=Old Root' -out ca.crt
     ${script}`,
  );
  return dir;
}

export function filesIn(dir: string): ProvidedFiles {
  const read = (name: string): string => readFileSync(join(dir, name), 'utf8');
  return { certificate: read('tls.crt'), privateKey: read('tls.key') };
}

export const P256 = 'openssl ecparam -genkey -name prime256v1 -noout -out tls.key';
export const BOTH = 'extendedKeyUsage=serverAuth,clientAuth';
/** A leaf with these extensions, and no others but key identifiers. */
export const leafWith = (
  extensions: readonly string[],
  { key = P256, subject = '/CN=Replication-east', more = '' } = {},
): string => `
  ${key}
  printf '%s\\n' ${['authorityKeyIdentifier=keyid', ...extensions].map((line) => `'${line}'`).join(' ')} > leaf.ext
  openssl req -new -key tls.key -subj '${subject}' -out tls.csr
  openssl x509 -req -in tls.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 365 -extfile leaf.ext -out tls.crt ${more}`;
