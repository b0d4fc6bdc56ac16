import { type AddressInfo, createServer, type Server } from 'node:net';
import tls from 'node:tls';
import { afterEach, describe, expect, test } from 'vitest';
import type { SigningAuthority } from '../../src/pki/issue.ts';
import { makeAuthority, makeLeaf } from '../probe/pki.ts';
import type { MemberAddress } from './manifest.ts';
import { compare, type Credential, show } from './trial.ts';

const old = await makeAuthority('Old G1');
const next = await makeAuthority('New G2');
const stranger = await makeAuthority('Stranger');

async function credential(by: SigningAuthority, bundle: readonly SigningAuthority[] = [by]): Promise<Credential> {
  const { certificate, key } = await makeLeaf(by, 'member');
  return { certificate, key, bundle: bundle.map((each) => each.certificate.pem).join('') };
}

let server: Server | null = null;
afterEach(() => server?.close());

/** An endpoint that lets in the members of one CA and answers them. */
async function endpoint(trusting: SigningAuthority, presenting: SigningAuthority): Promise<MemberAddress> {
  const { certificate, key } = await makeLeaf(presenting, 'server');
  const options = { ca: trusting.certificate.pem, cert: certificate, key, requestCert: true, rejectUnauthorized: true };
  return listening(
    tls.createServer(options, (socket) => socket.on('error', () => undefined).on('data', () => socket.end('pong\n'))),
  );
}

async function listening(what: Server): Promise<MemberAddress> {
  server = what;
  await new Promise<void>((resolve) => what.listen(0, '127.0.0.1', resolve));
  return { name: 'server', host: '127.0.0.1', port: (what.address() as AddressInfo).port };
}

describe('a leaf is', () => {
  test('accepted when it is let in', async () => {
    expect(await show(await credential(next), await endpoint(next, next), next.certificate.pem)).toEqual({
      kind: 'accepted',
    });
  });

  test.each(['TLSv1.2', 'TLSv1.3'] as const)(
    'refused when the endpoint hangs up on account of it: %s',
    async (version) => {
      const to = await endpoint(next, next);
      expect(await show(await credential(old), to, next.certificate.pem, version)).toMatchObject({ kind: 'refused' });
      expect(await show(await credential(next), to, next.certificate.pem, version)).toEqual({ kind: 'accepted' });
    },
  );

  test.each([
    ['nobody listens', async () => ({ ...(await endpoint(next, next)), port: 1 })],
    ['we are the ones who refuse', async () => endpoint(next, stranger)],
  ])('neither when %s', async (_, to) => {
    expect(await show(await credential(next), await to(), next.certificate.pem)).toMatchObject({ kind: 'unclear' });
  });
});

describe('the comparison', () => {
  test('tells an endpoint that has dropped the old CA', async () => {
    const answers = await compare(await credential(old), await credential(next), await endpoint(next, next));
    expect(answers).toMatchObject({ control: { kind: 'accepted' }, after: { kind: 'refused' } });
  });

  test('is not fooled by one that refuses everybody', async () => {
    const answers = await compare(await credential(old), await credential(next), await endpoint(stranger, next));
    expect(answers).toMatchObject({ control: { kind: 'refused' }, after: { kind: 'refused' } });
  });

  test('is not fooled by one that asks nobody for a certificate', async () => {
    const { certificate, key } = await makeLeaf(next, 'server');
    const to = await listening(
      tls.createServer({ cert: certificate, key }, (socket) => socket.on('data', () => socket.end('pong\n'))),
    );
    const answers = await compare(await credential(old), await credential(next), to);
    expect(answers).toMatchObject({ control: { kind: 'accepted' }, after: { kind: 'accepted' } });
  });

  test('knows what is no TLS at all', async () => {
    const to = await listening(createServer((socket) => socket.end('hello\n')));
    expect(await compare(await credential(old), await credential(next), to)).toMatchObject({
      after: { kind: 'unclear' },
    });
  });
});
