/**
 * Verifiers that are not OpenSSL: Go, Java and GnuTLS, each where it is installed. They judge what we issue, and
 * whether the model of verifiers promises nothing that one of them does not keep.
 */
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { encodeBundle, type VerifierStyle, verifiesUnder } from '../../src/pki/bundle.ts';
import type { Certificate } from '../../src/pki/certificate.ts';
import { readImported } from '../../src/pki/imported.ts';
import type { SigningAuthority } from '../../src/pki/issue.ts';
import type { KeySpec } from '../../src/pki/keys.ts';
import { lacking, type Program } from '../support/packages.ts';
import { CASES } from './lookalikes.ts';
import { authority, leafOf, P256, specName, temporaryDirectory } from './support.ts';

const directory = temporaryDirectory();
const judges = join(import.meta.dirname, 'judges');

interface Question {
  readonly name: string;
  readonly leaf: Certificate;
  readonly bundle: readonly Certificate[];
  /** Whether the two CAs have the same subject octet by octet: only then do verifiers agree that there is a conflict. */
  readonly sameName: boolean;
}

interface Judge {
  readonly name: string;
  readonly style: VerifierStyle;
  /** A command that succeeds where the judge can be called. */
  readonly needs: Program;
  readonly ask: (questions: readonly Question[]) => Promise<readonly string[]>;
}

let files = 0;
function write(content: string): string {
  files += 1;
  return directory.write(`${files}.pem`, content);
}

function fileOf({ bundle, leaf }: Question): [bundle: string, leaf: string] {
  return [write(encodeBundle(bundle)), write(leaf.pem)];
}

/** A program that is asked everything at once, because starting it is what takes the time. */
function program(command: string, ...args: readonly string[]): Judge['ask'] {
  return async (questions) => {
    const { code, output } = await run(
      command,
      args,
      questions.map((question) => `${fileOf(question).join('\t')}\n`).join(''),
    );
    if (code !== 0) throw new Error(`${command} failed: ${output}`);
    return output.trimEnd().split('\n');
  };
}

function run(
  command: string,
  args: readonly string[],
  input: string,
): Promise<{ code: number | null; output: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'], cwd: directory.path });
    let output = '';
    child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()));
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, output }));
    child.stdin.on('error', () => undefined);
    child.stdin.end(input);
  });
}

async function askGnutls(questions: readonly Question[]): Promise<readonly string[]> {
  const answers: string[] = [];
  for (const question of questions) {
    const [bundle, leaf] = fileOf(question);
    const { code, output } = await run('certtool', ['--verify', '--load-ca-certificate', bundle, '--infile', leaf], '');
    answers.push(code === 0 ? 'accepted' : `refused: ${output}`);
  }
  return answers;
}

const JUDGES: readonly Judge[] = [
  { name: 'Go', style: 'any', needs: 'go', ask: program('go', 'run', join(judges, 'judge.go')) },
  { name: 'Java', style: 'any', needs: 'javac', ask: program('java', join(judges, 'Judge.java')) },
  { name: 'GnuTLS', style: 'last', needs: 'certtool', ask: askGnutls },
];

const SPECS: readonly KeySpec[] = [
  { algorithm: 'RSA', size: 2048 },
  P256,
  { algorithm: 'ECDSA', size: 384 },
  { algorithm: 'Ed25519' },
];

/** What we issue, with every kind of key. */
const ours: Question[] = [];
/** Pairs of CAs that can be mistaken for each other. */
const lookalikes: Question[] = [];

/** As one command of openssl makes it: without a key usage, and with an authority key identifier. */
async function importedRoot(): Promise<SigningAuthority> {
  const key = directory.write('imported.key', '');
  const recipe = [
    'req',
    '-x509',
    '-newkey',
    'rsa:2048',
    '-nodes',
    '-keyout',
    key,
    '-days',
    '9',
    '-subj',
    '/CN=Old Root',
  ];
  const { code, output } = await run('openssl', recipe, '');
  if (code !== 0) throw new Error(output);
  const certificate = output.slice(output.indexOf('-----BEGIN CERTIFICATE-----'));
  return readImported({ certificate, privateKey: readFileSync(key, 'utf8'), passphrase: null }, Date.now());
}

beforeAll(async () => {
  const authorities = await Promise.all(SPECS.map((spec) => authority(`Zürich, "Süd" ${specName(spec)}`, spec)));
  const leaves = await Promise.all(
    authorities.map((ca) =>
      leafOf(ca, {
        subject: { commonName: 'Überall', organizations: ['Example'], countries: ['DE'] },
        dnsNames: ['member.example', '*.member.example'],
        ipAddresses: ['192.0.2.1', '2001:db8::1'],
        uris: ['spiffe://example/member'],
      }),
    ),
  );
  const bundle = authorities.map(({ certificate }) => certificate);
  for (const { certificate: leaf } of leaves) {
    for (const order of [bundle, bundle.toReversed()])
      ours.push({ name: leaf.issuer, leaf, bundle: order, sameName: false });
  }
  const imported = await importedRoot();
  const { certificate: leafOfImported } = await leafOf(imported);
  for (const order of [[imported.certificate], [...bundle, imported.certificate], [imported.certificate, ...bundle]])
    ours.push({ name: 'an imported root', leaf: leafOfImported, bundle: order, sameName: false });
  for (const { name, build } of CASES) {
    const { older, newer, leafOfOlder, leafOfNewer } = await build();
    const sameName = older.rawSubject === newer.rawSubject;
    for (const { certificate: leaf } of [leafOfOlder, leafOfNewer]) {
      for (const pair of [[older, newer], [newer, older], [older], [newer]]) {
        lookalikes.push({ name, leaf, bundle: pair, sameName: sameName && pair.length > 1 });
      }
    }
  }
}, 60_000);

for (const { name, style, needs, ask } of JUDGES) {
  const why = await lacking(needs);

  // The first start of a judge compiles it.
  test.skipIf(why !== null)(
    `${name} accepts what we issue, and the model promises nothing it does not keep ${why ?? ''}`,
    { timeout: 180_000 },
    async () => {
      const questions = [...ours, ...lookalikes];
      const answers = await ask(questions);
      expect(answers).toHaveLength(questions.length);
      const disagreements = questions.flatMap(({ name: question, leaf, bundle, sameName }, index) => {
        const answer = answers[index] ?? '';
        const must = index < ours.length || verifiesUnder(leaf, bundle, style);
        const mustNot = !must && sameName;
        const where = `${question}: ${leaf.issuer} among ${bundle.map(({ serialNumber }) => serialNumber).join(', ')}`;
        return (must && answer !== 'accepted') || (mustNot && answer === 'accepted') ? [`${where}: ${answer}`] : [];
      });
      expect(disagreements).toEqual([]);
      expect(answers.filter((answer) => answer !== 'accepted').length, 'dropped CAs must be refused').toBeGreaterThan(
        0,
      );
    },
  );
}
