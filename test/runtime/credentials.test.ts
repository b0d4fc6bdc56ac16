import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  CredentialCache,
  type Credentials,
  inClusterCredentials,
  kubeconfigCredentials,
} from '../../src/runtime/credentials.ts';
import { FakeClock } from './fake-clock.ts';

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'credentials-'));
});
afterEach(() => rm(dir, { recursive: true }));

const base64 = (text: string) => Buffer.from(text).toString('base64');

/** Writes a kubeconfig with this cluster and user, which JSON is good enough for. */
async function kubeconfig(cluster: object, user: object, context = 'test'): Promise<string> {
  const file = join(dir, 'kubeconfig');
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'c', cluster: { server: 'https://api:6443', ...cluster } }],
    users: [{ name: 'u', user }],
    contexts: [{ name: 'test', context: { cluster: 'c', user: 'u' } }],
    'current-context': context,
  };
  await writeFile(file, JSON.stringify(config));
  return file;
}

describe('in a cluster', () => {
  const env = { KUBERNETES_SERVICE_HOST: '10.0.0.1', KUBERNETES_SERVICE_PORT: '443' };

  it('they are the files of the service account, as they are now', async () => {
    await writeFile(join(dir, 'ca.crt'), 'CA');
    await writeFile(join(dir, 'token'), 'first\n');
    const source = inClusterCredentials(env, dir);
    expect(await source(false)).toEqual({
      server: 'https://10.0.0.1:443',
      headers: { authorization: 'Bearer first' },
      tls: { ca: 'CA' },
    });
    await writeFile(join(dir, 'token'), 'second');
    expect((await source(false)).headers).toEqual({ authorization: 'Bearer second' });
  });

  it('an IPv6 address is put in brackets', async () => {
    await writeFile(join(dir, 'ca.crt'), 'CA');
    await writeFile(join(dir, 'token'), 'x');
    const source = inClusterCredentials({ ...env, KUBERNETES_SERVICE_HOST: 'fd00::1' }, dir);
    expect((await source(false)).server).toBe('https://[fd00::1]:443');
  });

  it('outside of one, the error says what to do', () => {
    expect(() => inClusterCredentials({})).toThrow('name a kubeconfig file');
  });
});

describe('a kubeconfig', () => {
  it('gives a token, a CA and a server name', async () => {
    const cluster = { 'certificate-authority-data': base64('CA'), 'tls-server-name': 'kubernetes' };
    const source = kubeconfigCredentials(await kubeconfig(cluster, { token: 'secret' }));
    expect(await source(false)).toMatchObject({
      server: 'https://api:6443',
      headers: { authorization: 'Bearer secret' },
      tls: { ca: 'CA', servername: 'kubernetes' },
    });
  });

  it('gives a client certificate, from data or from files beside it, and reads the files again', async () => {
    const data = { 'client-certificate-data': base64('CERT'), 'client-key-data': base64('KEY') };
    const fromData = kubeconfigCredentials(await kubeconfig({}, data));
    expect((await fromData(false)).tls).toMatchObject({ cert: 'CERT', key: 'KEY' });
    await writeFile(join(dir, 'c.crt'), 'CERT1');
    await writeFile(join(dir, 'c.key'), 'KEY1');
    const files = { 'client-certificate': 'c.crt', 'client-key': 'c.key' };
    const fromFiles = kubeconfigCredentials(await kubeconfig({}, files));
    expect((await fromFiles(false)).tls).toMatchObject({ cert: 'CERT1', key: 'KEY1' });
    await writeFile(join(dir, 'c.crt'), 'CERT2');
    expect((await fromFiles(false)).tls).toMatchObject({ cert: 'CERT2', key: 'KEY1' });
  });

  it('asks its plug-in again only when what it gave was refused', async () => {
    const plugin = join(dir, 'plugin.mjs');
    await writeFile(
      plugin,
      `import { existsSync, writeFileSync } from 'node:fs';
       const again = existsSync('${dir}/ran');
       writeFileSync('${dir}/ran', '');
       console.log(JSON.stringify({ kind: 'ExecCredential', status: { token: again ? 'second' : 'first' } }));`,
    );
    const exec = { apiVersion: 'client.authentication.k8s.io/v1', command: process.execPath, args: [plugin] };
    const source = kubeconfigCredentials(await kubeconfig({}, { exec }));
    const token = async (fresh: boolean) => (await source(fresh)).headers['authorization'];
    expect([await token(false), await token(false), await token(true), await token(false)]).toEqual([
      'Bearer first',
      'Bearer first',
      'Bearer second',
      'Bearer second',
    ]);
  });

  it('that cannot be used says why', async () => {
    const proxied = kubeconfigCredentials(await kubeconfig({ 'proxy-url': 'http://proxy' }, {}));
    await expect(proxied(false)).rejects.toThrow('proxy-url is not supported');
    const nowhere = kubeconfigCredentials(await kubeconfig({}, {}, 'missing'));
    await expect(nowhere(false)).rejects.toThrow('set current-context');
    const absent = kubeconfigCredentials(join(dir, 'absent'));
    await expect(absent(false)).rejects.toThrow('ENOENT');
  });

  it('that appears later is found later', async () => {
    const source = kubeconfigCredentials(join(dir, 'kubeconfig'));
    await expect(source(false)).rejects.toThrow('ENOENT');
    await kubeconfig({}, { token: 'late' });
    expect((await source(false)).headers).toEqual({ authorization: 'Bearer late' });
  });
});

describe('held credentials', () => {
  const some: Credentials = { server: 's', headers: {}, tls: {} };

  function cache(read: (fresh: boolean) => Promise<Credentials>) {
    const clock = new FakeClock();
    const reads: boolean[] = [];
    const held = new CredentialCache((fresh) => {
      reads.push(fresh);
      return read(fresh);
    }, clock);
    return { clock, held, reads };
  }

  it('are read once for all who ask at the same time, and again after a minute', async () => {
    const { clock, held, reads } = cache(async () => ({ ...some }));
    const [first, second] = await Promise.all([held.current(), held.current()]);
    expect(first).toBe(second);
    await clock.advance(59_999);
    expect(held.current()).toBe(first);
    await clock.advance(1);
    expect(await held.current()).not.toBe(first);
    expect(reads).toEqual([false, false]);
  });

  it('are replaced once for all whose requests were refused', async () => {
    const { held, reads } = cache(async () => ({ ...some }));
    const refused = await held.current();
    const [one, two] = await Promise.all([held.instead(refused), held.instead(refused)]);
    expect(one).not.toBe(refused);
    expect(two).toBe(one);
    expect(await held.instead(refused)).toBe(one);
    expect(reads).toEqual([false, true]);
  });

  it('are not replaced again within five seconds', async () => {
    const { clock, held, reads } = cache(async () => ({ ...some }));
    const second = await held.instead(await held.current());
    expect(second).not.toBeNull();
    expect(await held.instead(second ?? some)).toBeNull();
    await clock.advance(5_000);
    expect(await held.instead(second ?? some)).not.toBeNull();
    expect(reads).toEqual([false, true, true]);
  });

  it('that could never be read are an error each time', async () => {
    const { held } = cache(() => Promise.reject(new Error('ENOENT')));
    await expect(held.current()).rejects.toThrow('ENOENT');
    await expect(held.current()).rejects.toThrow('ENOENT');
  });
});
