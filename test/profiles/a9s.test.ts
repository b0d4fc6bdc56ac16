/** The documents of service instances, held against the vendor's MUST rules. The rotation is in a9s.cluster.test.ts. */
import { beforeAll, describe, expect, test } from 'vitest';
import type { SigningAuthority } from '../../src/pki/issue.ts';
import { makeAuthority } from '../probe/pki.ts';
import { proves } from '../targets/claims.ts';
import { CERTIFICATE_NAMES, entriesOf, type Instance, objections, type Service } from './a9s-rules.ts';
import { materialFor, outputsOf, wishOf } from './member.ts';

const RSA = { algorithm: 'RSA', size: 2048 } as const;
const isService = (name: string): name is Service => name in CERTIFICATE_NAMES;
const SERVICES = Object.keys(CERTIFICATE_NAMES).filter(isService);

let [old, next]: SigningAuthority[] = [];
beforeAll(async () => {
  [old, next] = await Promise.all([makeAuthority('a9s G1', RSA), makeAuthority('a9s G2', RSA)]);
});

const instanceOf = (service: Service): Instance => ({
  service,
  consulDomain: 'consul.example.com',
  ...(service === 'LogMe2' || service === 'Messaging' ? { systemDomain: 'sys.example.com' } : {}),
});

async function documentOf(instance: Instance, signer = old, bundle = [old]): Promise<string> {
  const wish = wishOf('a9s', 'my-instance', { a9s: instance });
  if (signer === undefined) throw new Error('no CA');
  const outputs = outputsOf(
    wish,
    await materialFor(
      wish,
      signer,
      bundle.flatMap((each) => each ?? []),
    ),
  );
  expect(Object.keys(outputs)).toEqual(['a9s.json']);
  return outputs['a9s.json'] ?? '';
}

test('the document of each data service keeps every rule', proves('a9s', 'material'), async () => {
  for (const service of SERVICES) {
    const instance = instanceOf(service);
    expect(objections(await documentOf(instance), instance), service).toEqual([]);
  }
});

test('the leaves of MariaDB differ; the parts of LogMe2 share one, each with its own encoding of the key', async () => {
  const mariadb = entriesOf(await documentOf(instanceOf('MariaDB')));
  expect(mariadb['client']?.certificate).not.toBe(mariadb['server']?.certificate);
  expect(mariadb['client']?.private_key).not.toBe(mariadb['server']?.private_key);
  const logme = entriesOf(await documentOf(instanceOf('LogMe2')));
  expect(new Set(Object.values(logme).map(({ certificate }) => certificate)).size).toBe(1);
  expect(Object.values(logme).map(({ private_key: key }) => /BEGIN (.*)-----/.exec(key)?.[1])).toEqual([
    'PRIVATE KEY',
    'PRIVATE KEY',
    'RSA PRIVATE KEY',
  ]);
});

test('both CAs of a rotation are in it, the old one first', async () => {
  const instance = instanceOf('Redis');
  const document = await documentOf(instance, next, [old, next]);
  expect(objections(document, instance, true)).toEqual([]);
  expect(entriesOf(document)['redis']?.ca).toBe([old, next].map((each) => each?.certificate.pem).join(''));
});

describe('the rules', () => {
  const instance = instanceOf('Messaging');
  const broken = async (change: (document: string) => string): Promise<readonly string[]> =>
    objections(change(await documentOf(instance)), instance);

  test('find what is against them', async () => {
    expect(await broken((document) => document.replace('rabbitmq', 'rabbit'))).toContain('certificate names');
    expect(await broken((document) => document.replaceAll('RSA PRIVATE KEY', 'PRIVATE KEY'))).toEqual([
      'rabbitmq: the key is not RSA PRIVATE KEY',
    ]);
    expect(objections(await documentOf(instance), { ...instance, consulDomain: 'example.com' })).toEqual(
      expect.arrayContaining([expect.stringMatching(/common name/), expect.stringMatching(/no name \*\.service/)]),
    );
    expect(objections(await documentOf(instance), { ...instance, systemDomain: 'other' })).toEqual([
      'rabbitmq: no name *.a9s-rabbitmq-dashboard.other',
      'rabbitmq: no name *.other',
    ]);
    expect(objections(await documentOf(instance, next, [old, next]), instance)).toEqual([
      'rabbitmq: the first CA has not signed the certificate',
    ]);
    const { client } = entriesOf(await documentOf(instanceOf('MySQL')));
    expect(objections(JSON.stringify({ tls: { client, server: client } }), instanceOf('MySQL'))).toEqual([
      'client and server have the same certificate',
    ]);
  });
});
