/**
 * The vendor's rotation in six steps, done with the documents of two service instances: what is given to `cf update-service`, in which order, and
 * what is waited for. Each document is held against the MUST rules.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { testBed } from '../controllers/bed.ts';
import { disorders, lapses } from '../controllers/rotating.ts';
import { ca, certificate, type Scene, textOf } from '../controllers/scene.ts';
import { type Claim, claimOf, vouchedPeer } from '../systems/vouching.ts';
import { proves } from '../targets/claims.ts';
import { certificatesIn, entriesOf, type Instance, objections } from './a9s-rules.ts';

const bed = testBed(2);
const TIMEOUT = 300_000;
// Of a smaller CA than the profile has by default: it is made anew three times.
const mesh = (generation: number) =>
  ca('mesh', { profile: 'a9s', privateKey: { algorithm: 'RSA', size: 2048 }, rotation: { generation } });

/** One entry of a document, in the vendor's words. */
interface Step {
  /** Subjects of the CAs in it. */
  readonly ca: readonly string[];
  /** Subject of the CA that signed the leaf. */
  readonly signedBy: string;
  readonly leaf: string;
}

/** A service instance, and whoever runs cf for it. */
class ServiceInstance {
  readonly name: string;
  readonly is: Instance;
  readonly steps: Step[] = [];
  readonly found: string[] = [];
  claim: Claim | null = null;
  #document = '';

  constructor(name: string, is: Instance) {
    this.name = name;
    this.is = is;
  }

  /** `cf update-service -c a9s.json`, and every binding renewed. @returns whether there is something new to acknowledge */
  update(here: Scene): boolean {
    const document = textOf(here.secret(this.name), 'a9s.json');
    if (document !== this.#document) this.#apply(document);
    const claim = claimOf(here, this.name);
    const news = claim !== null && JSON.stringify(claim) !== JSON.stringify(this.claim);
    if (news) this.claim = claim;
    return news;
  }

  #apply(document: string): void {
    this.#document = document;
    const entries = Object.values(entriesOf(document));
    this.found.push(
      ...objections(
        document,
        this.is,
        entries.some((entry) => certificatesIn(entry.ca).length > 1),
      ),
    );
    const steps = entries.map((entry): Step => {
      const [leaf] = certificatesIn(entry.certificate);
      const cas = certificatesIn(entry.ca);
      const issuer = cas.find((each) => leaf?.verify(each.publicKey));
      return {
        ca: cas.map(({ subject }) => subject),
        signedBy: issuer?.subject ?? 'nobody',
        leaf: leaf?.fingerprint256 ?? '',
      };
    });
    const [first] = steps;
    // All entries are of one step.
    if (first === undefined || steps.some((each) => JSON.stringify(each.ca) !== JSON.stringify(first.ca)))
      this.found.push('its entries differ in their CAs');
    else this.steps.push(first);
  }
}

const [G1, G2, G3] = [1, 2, 3].map((generation) => `CN=mesh G${generation}`);

test('the six steps of a CA rotation, and back', {
  timeout: TIMEOUT,
  ...proves('a9s', 'reload', 'rotation', 'rollback'),
}, async () => {
  const here = await bed.scene();
  const instances = [
    new ServiceInstance('my-pg', { service: 'PostgreSQL', consulDomain: 'consul.example.com' }),
    new ServiceInstance('my-db', { service: 'MariaDB', consulDomain: 'consul.example.com' }),
  ] as const;
  await here.apply(mesh(1), ...instances.map(({ name, is }) => certificate(name, 'mesh', { a9s: is })));
  await here.ready({ ReplicationCA: ['mesh'], ClusterCertificate: instances.map(({ name }) => name) });
  await here.apply(vouchedPeer(instances));
  for (const instance of instances) instance.update(here);
  expect(here.certificates.get('my-db')?.status?.certificates?.map(({ name }) => name)).toEqual(['client', 'server']);

  const until = async (what: string, wanted: () => boolean): Promise<void> => {
    const deadline = Date.now() + TIMEOUT / 3;
    while (!wanted()) {
      const news = instances.filter((instance) => instance.update(here));
      if (news.length > 0) await here.apply(vouchedPeer(instances));
      if (Date.now() > deadline) throw new Error(`${what}: ${here.cas.get('mesh')?.status?.rotation?.next}`);
      await sleep(50);
    }
  };
  const stableAt = (signer: number) => (): boolean => {
    const ledger = here.ledger('mesh');
    return ledger.rotation === null && ledger.signer === signer;
  };
  const told = (stage: string) => (): boolean => {
    const { rotation } = here.cas.get('mesh')?.status ?? {};
    const messages = rotation?.waitingFor?.map(({ message }) => message).join(' ') ?? '';
    const gate = /cf update-service .* and every service binding was renewed after that/;
    return rotation?.stage === stage && gate.test(messages);
  };

  await here.apply(mesh(2));
  // The gates: nobody has acknowledged yet.
  await here.cas.until('bindings are waited for after Append', told('Append'), TIMEOUT);
  await until('Drop', () => here.ledger('mesh').rotation?.stage === 'Drop');
  await here.cas.until('bindings are waited for after Drop', told('Drop'), TIMEOUT);
  await until('the rotation to 2', stableAt(2));
  for (const instance of instances) {
    expect(instance.found).toEqual([]);
    expect(instance.steps).toMatchObject([
      { ca: [G1], signedBy: G1 },
      // Steps 1 and 2: "first old CA, then new CA".
      { ca: [G1, G2], signedBy: G1 },
      // Steps 3 and 4.
      { ca: [G1, G2], signedBy: G2 },
      // Steps 5 and 6: "the new and only the new CA".
      { ca: [G2], signedBy: G2 },
    ]);
    const [start, appended, rolled, dropped] = instance.steps.map(({ leaf }) => leaf);
    expect(appended).toBe(start);
    expect(rolled).not.toBe(start);
    expect(dropped).toBe(rolled);
    instance.steps.length = 0;
  }

  await here.apply(mesh(3));
  await until('somebody has a leaf of 3', () => {
    const { rotation, roster } = here.ledger('mesh');
    return rotation?.stage === 'Roll' && [...roster.values()].some(({ leaf }) => leaf === 3);
  });
  await here.apply(mesh(2));
  await until('the way back', stableAt(2));
  for (const instance of instances) {
    instance.update(here);
    expect(instance.found).toEqual([]);
    expect(instance.steps.at(0)).toMatchObject({ ca: [G2, G3], signedBy: G2 });
    expect(instance.steps.at(-1)).toMatchObject({ ca: [G2], signedBy: G2 });
  }
  expect(disorders(here, 'mesh', 1)).toEqual([]);
  expect(lapses(here)).toEqual([]);
});

test('one leaf in the place of the other is put right; what says nothing of its instance is no member, and one that fits no more holds a rotation by name', {
  timeout: TIMEOUT,
}, async () => {
  const here = await bed.scene();
  const is = { service: 'MySQL', consulDomain: 'consul.example.com' } as const;
  await here.apply(
    mesh(1),
    certificate('my-db', 'mesh', { a9s: is }),
    certificate('nothing', 'mesh'),
    certificate('a-node', 'mesh', { drbd: { directory: '/etc/drbd.d' } }),
  );
  await here.ready({ ClusterCertificate: ['my-db'] });
  await here.stalled(
    'ClusterCertificate',
    'nothing',
    'InvalidSpec',
    /its profile is a9s, so it must say which service instance/,
  );
  await here.stalled(
    'ClusterCertificate',
    'a-node',
    'InvalidSpec',
    /^ClusterCertificate \S+\/a-node: spec\.drbd is for profile drbd, but its profile is a9s\./,
  );
  expect([...here.ledger('mesh').roster.keys()], 'they are no members, and in the way of none').toHaveLength(1);
  const { data = {} } = here.secret('my-db');
  await here.patchSecret('my-db', { data: { 'server.crt': data['tls.crt'], 'server.key': data['tls.key'] } });
  await here.eventUntil('ClusterCertificate', 'my-db', 'SecretRepaired', /two of its leaves are the same/);
  await here.patchSecret('my-db', { data: { 'server.key': data['server.key'] } });
  await here.eventUntil('ClusterCertificate', 'my-db', 'SecretRepaired', /key does not belong to its certificate/);
  const repaired = await here.secretUntil('my-db', 'its own key again', (secret) => {
    const { server } = entriesOf(textOf(secret, 'a9s.json'));
    return textOf(secret, 'server.key') === server?.private_key && secret.data?.['server.key'] !== data['server.key'];
  });
  expect(objections(textOf(repaired, 'a9s.json'), is)).toEqual([]);

  // A member that does not fit its profile any more holds a rotation, which says who and what to do.
  const unfit = { a9s: is, drbd: { directory: '/etc/drbd.d' } };
  await here.apply(certificate('my-db', 'mesh', unfit));
  await here.stalled('ClusterCertificate', 'my-db', 'InvalidSpec', /spec\.drbd is for profile drbd/);
  await here.apply(mesh(2));
  const waiting = () => here.cas.get('mesh')?.status?.rotation?.waitingFor?.at(0);
  await here.cas.until('it is waited for', () => waiting()?.reason === 'InvalidSpec', TIMEOUT / 3);
  expect(waiting()?.member).toMatch(/\/my-db$/);
  expect(waiting()?.message).toMatch(
    /^ClusterCertificate \S+\/my-db: spec\.drbd is for profile drbd, but its profile is a9s\. Take it out, or create .* If \S+\/my-db is really gone, name it in spec\.rotation\.departed\.$/,
  );
  await here.apply(certificate('my-db', 'mesh', { a9s: is }));
  await here.cas.until('it is waited for no more', () => waiting()?.reason !== 'InvalidSpec', TIMEOUT / 3);
});
