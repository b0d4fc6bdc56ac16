/**
 * What stands in for a VAST cluster, of which none can be had: the three boxes "Certificates for: Replication", with what the vendor's
 * document says of them, and the port of its replication, served by OpenSSL. It dials its peers all the time, as replication does.
 *
 * What is documented: certificate, key and root are uploaded together; a key of another certificate is an error; whoever presents a
 * certificate of the root is let in, whatever its name; at the port everybody sees leaf and root, and whoever has no certificate gets
 * alert 40. What is not: whether the root may be two (`honours`), and what a running connection has of an upload (here: nothing).
 */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { readSnapshot, syncSecretToDir } from '../mesh/files.ts';
import { type EndpointOptions, MeshProcess } from '../mesh/spawn.ts';
import { openssl } from '../controllers/openssl.ts';

/** What is put into the boxes, PEM; the names are those of the vendor's API. */
export interface Upload {
  readonly cluster_certificate: string;
  readonly cluster_private_key: string;
  readonly root_certificate: string;
}

/** Which of several roots are trusted; none: they are an error. */
export type Honours = 'all' | 'first' | 'none';

/** Each cluster has the same port, on an address of loopback of its own: of the network that is tests' alone. */
let addresses = 0;
export const nextAddress = (): string => `127.49.${process.pid % 250}.${(addresses += 1)}`;

const PORT = 49_002;

export class VastCluster {
  readonly host: string;
  readonly #options: EndpointOptions;
  readonly #honours: Honours;
  #process: MeshProcess | null = null;
  uploads = 0;

  /** @param peers addresses by name: the clusters with which it replicates */
  constructor(name: string, host: string, peers: Readonly<Record<string, string>>, honours: Honours = 'all') {
    this.host = host;
    this.#honours = honours;
    this.#options = {
      name,
      engine: 'OpenSSL',
      dir: mkdtempSync(path.join(tmpdir(), 'vast-')),
      listen: `${host}:${PORT}`,
      // The vendor's examples are of OpenSSL 1.0, which knows no later one.
      versions: ['TLSv1.2'],
      peers: Object.fromEntries(Object.entries(peers).map(([peer, address]) => [peer, `${address}:${PORT}`])),
    };
  }

  /** What replicates; there is none before the first upload. */
  get replication(): MeshProcess {
    if (this.#process === null) throw new Error(`${this.#options.name} was never given certificates`);
    return this.#process;
  }

  /**
   * @returns when they are in use
   * @throws Error when the cluster shows one; then nothing has changed
   */
  async upload({ cluster_certificate, cluster_private_key, root_certificate }: Upload): Promise<void> {
    const roots = certificatesOf(root_certificate);
    if (roots.length > 1 && this.#honours === 'none') throw new Error('the root certificate is more than one');
    const trusted = this.#honours === 'first' ? roots.slice(0, 1) : roots;
    await check(cluster_certificate, cluster_private_key, trusted);
    const files = { 'ca.crt': trusted.join(''), 'tls.crt': cluster_certificate, 'tls.key': cluster_private_key };
    const { loads = 0 } = this.#process?.latest ?? {};
    const octets = Object.entries(files).map(([name, text]) => [name, Buffer.from(text)] as const);
    if (await syncSecretToDir(Object.fromEntries(octets), this.#options.dir)) {
      this.#process ??= new MeshProcess(this.#options);
      await this.#process.until((report) => report.loads > loads);
    }
    this.uploads += 1;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#process?.stop();
    rmSync(this.#options.dir, { recursive: true, force: true });
  }
}

/** What somebody puts into the boxes who has the files of this folder, all of one version. */
export async function uploadOf(dir: string): Promise<Upload> {
  for (;;) {
    const files = await readSnapshot(dir);
    // Replaced while they were read: there are newer ones.
    if (files === null) continue;
    return {
      cluster_certificate: files.certificate,
      cluster_private_key: files.key,
      root_certificate: files.bundle,
    };
  }
}

const certificatesOf = (pem: string): readonly string[] =>
  [...pem.matchAll(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----\n/g)].map(([each]) => each);

async function check(certificate: string, key: string, roots: readonly string[]): Promise<void> {
  const [leaf, ...more] = certificatesOf(certificate);
  if (leaf === undefined || more.length > 0) throw new Error('the cluster certificate is not one certificate');
  if (roots.length === 0) throw new Error('there is no root certificate');
  if (!new X509Certificate(leaf).checkPrivateKey(createPrivateKey(key)))
    throw new Error('the key is not that of the cluster certificate');
  // Without intermediates, for both ends: by OpenSSL, which looks at the Netscape certificate type, key usage and extended key usage.
  for (const purpose of ['sslclient', 'sslserver']) {
    const files = { 'leaf.crt': leaf, 'root.crt': roots.join('') };
    const { code, stderr } = await openssl(files, 'verify', '-purpose', purpose, '-CAfile', 'root.crt', 'leaf.crt');
    if (code !== 0) throw new Error(`the cluster certificate is not good for ${purpose}: ${stderr}`);
  }
}
