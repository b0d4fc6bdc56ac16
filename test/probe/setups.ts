/** The set-ups of servers that verdicts are tested against. */
import type { Program } from '../support/packages.ts';
import {
  type Material,
  type TestServer,
  javaServer,
  nodeServer,
  opensslServer,
  programServer,
  pythonServer,
} from './servers.ts';

export interface Setup {
  readonly name: string;
  readonly needs: readonly Program[];
  readonly start: (material: Material) => Promise<TestServer>;
  readonly enforcing: boolean;
}

const VERIFY = ['-Verify', '1', '-verify_return_error'] as const;

export const setups: readonly Setup[] = [
  { name: 'node', needs: [], enforcing: true, start: (m) => nodeServer(m) },
  { name: 'node, TLS 1.2 only', needs: [], enforcing: true, start: (m) => nodeServer(m, { maxVersion: 'TLSv1.2' }) },
  { name: 'node, TLS 1.3 only', needs: [], enforcing: true, start: (m) => nodeServer(m, { minVersion: 'TLSv1.3' }) },
  {
    name: 'node, not enforcing',
    needs: [],
    enforcing: false,
    start: (m) => nodeServer(m, { rejectUnauthorized: false }),
  },
  {
    name: 'node, not enforcing, TLS 1.3 only',
    needs: [],
    enforcing: false,
    start: (m) => nodeServer(m, { rejectUnauthorized: false, minVersion: 'TLSv1.3' }),
  },
  { name: 'openssl', needs: ['openssl'], enforcing: true, start: (m) => opensslServer(m, ...VERIFY) },
  {
    name: 'openssl, TLS 1.2 only',
    needs: ['openssl'],
    enforcing: true,
    start: (m) => opensslServer(m, ...VERIFY, '-tls1_2'),
  },
  {
    name: 'openssl, TLS 1.3 only',
    needs: ['openssl'],
    enforcing: true,
    start: (m) => opensslServer(m, ...VERIFY, '-tls1_3'),
  },
  {
    name: 'openssl, TLS 1.3 only, no tickets',
    needs: ['openssl'],
    enforcing: true,
    start: (m) => opensslServer(m, ...VERIFY, '-tls1_3', '-num_tickets', '0'),
  },
  {
    name: 'openssl, -Verify without return error',
    needs: ['openssl'],
    enforcing: false,
    start: (m) => opensslServer(m, '-Verify', '1'),
  },
  { name: 'python', needs: ['python3'], enforcing: true, start: pythonServer },
  { name: 'java', needs: ['java', 'keytool'], enforcing: true, start: (m) => javaServer(m) },
  { name: 'java, TLS 1.3 only', needs: ['java', 'keytool'], enforcing: true, start: (m) => javaServer(m, 'TLSv1.3') },
  {
    name: 'gnutls-serv',
    needs: ['gnutls-serv'],
    enforcing: true,
    start: (m) =>
      programServer(m, ({ port }) => [
        'gnutls-serv',
        '--port',
        String(port),
        '--x509certfile',
        'tls.crt',
        '--x509keyfile',
        'tls.key',
        '--x509cafile',
        'ca.crt',
        '--require-client-cert',
        '--verify-client-cert',
        '--quiet',
      ]),
  },
  {
    name: 'redis',
    needs: ['redis-server'],
    enforcing: true,
    start: (m) =>
      programServer(m, ({ port }) => [
        'redis-server',
        '--port',
        '0',
        '--tls-port',
        String(port),
        '--bind',
        '127.0.0.1',
        '--tls-cert-file',
        'tls.crt',
        '--tls-key-file',
        'tls.key',
        '--tls-ca-cert-file',
        'ca.crt',
        '--save',
        '',
      ]),
  },
];
