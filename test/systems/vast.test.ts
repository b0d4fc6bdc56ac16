/** The stand-in refuses what the vendor's document says is refused: a test that passes with it would otherwise say little. */
import { expect, test } from 'vitest';
import { Recipe } from '../controllers/recipe.ts';
import { proves } from '../targets/claims.ts';
import { nextAddress, type Upload, VastCluster } from './vast.ts';

/** The vendor's commands, but for the passphrase, which asks nobody here; a second root, and leaves with extensions of other tools. */
const RECIPE = `
  openssl genrsa -aes256 -passout pass:secret -out ca.key 2048
  openssl req -new -x509 -days 3650 -key ca.key -passin pass:secret -out ca.crt -subj '/CN=Replication-Root-CA'
  openssl req -new -x509 -days 3650 -newkey rsa:2048 -nodes -keyout other.key -out other.crt -subj '/CN=Replication-Other-CA'
  for CLUSTER in vast1 vast2; do
    openssl genrsa -out $CLUSTER.key 2048
    openssl req -new -key $CLUSTER.key -out $CLUSTER.csr -nodes -subj "/CN=Replication-$CLUSTER"
    openssl x509 -req -CA ca.crt -CAkey ca.key -passin pass:secret -CAcreateserial -in $CLUSTER.csr -out $CLUSTER.crt -days 1095
  done
  printf 'extendedKeyUsage=serverAuth\\n' > web.ext
  printf 'nsCertType=server\\n' > old.ext
  printf 'nsCertType=client,server\\nkeyUsage=critical,digitalSignature\\nextendedKeyUsage=serverAuth,clientAuth\\n' > both.ext
  for EXT in web old both; do
    openssl x509 -req -CA ca.crt -CAkey ca.key -passin pass:secret -CAcreateserial -in vast1.csr -extfile $EXT.ext -out $EXT.crt -days 1095
  done`;

test('the stand-in refuses what does not fit together, and serve both ends', { timeout: 60_000 }, async () => {
  await using recipe = await Recipe.follow(RECIPE);
  const parts = async (certificate: string, key: string, ...roots: readonly string[]): Promise<Upload> => ({
    cluster_certificate: await recipe.read(`${certificate}.crt`),
    cluster_private_key: await recipe.read(`${key}.key`),
    root_certificate: (await Promise.all(roots.map((root) => recipe.read(`${root}.crt`)))).join(''),
  });
  await using all = new VastCluster('vast1', nextAddress(), {});
  await using first = new VastCluster('vast1', nextAddress(), {}, 'first');
  await using none = new VastCluster('vast1', nextAddress(), {}, 'none');

  await expect(all.upload(await parts('vast1', 'vast2', 'ca'))).rejects.toThrow('the key is not that of');
  await expect(all.upload(await parts('vast1', 'vast1', 'other'))).rejects.toThrow('not good for sslclient');
  await expect(all.upload(await parts('vast1', 'vast1'))).rejects.toThrow('there is no root');
  await expect(all.upload(await parts('web', 'vast1', 'ca'))).rejects.toThrow('not good for sslclient');
  await expect(all.upload(await parts('old', 'vast1', 'ca'))).rejects.toThrow('not good for sslclient');
  await expect(first.upload(await parts('vast1', 'vast1', 'other', 'ca'))).rejects.toThrow('not good for sslclient');
  await expect(none.upload(await parts('vast1', 'vast1', 'ca', 'other'))).rejects.toThrow('more than one');
  expect([all, first, none].map(({ uploads }) => uploads)).toEqual([0, 0, 0]);

  await all.upload(await parts('vast1', 'vast1', 'ca'));
  await all.upload(await parts('both', 'vast1', 'ca', 'other'));
  await first.upload(await parts('vast1', 'vast1', 'ca', 'other'));
  const trusted = (cluster: VastCluster) => cluster.replication.latest?.loaded?.bundle.length;
  expect([trusted(all), trusted(first)]).toEqual([2, 1]);
});

test('a stand-in shows what the document prints', { timeout: 60_000, ...proves('vast', 'probe') }, async () => {
  await using recipe = await Recipe.follow(RECIPE);
  await using cluster = new VastCluster('vast1', nextAddress(), {});
  await cluster.upload({
    cluster_certificate: await recipe.read('vast1.crt'),
    cluster_private_key: await recipe.read('vast1.key'),
    root_certificate: await recipe.read('ca.crt'),
  });
  const at = `${cluster.host}:49002`;
  const without = await recipe.run(`echo | openssl s_client -connect ${at} 2>&1 || true`);
  expect(without).toMatch(/^depth=1 CN ?= ?Replication-Root-CA$/m);
  expect(without).toMatch(/^verify error:num=19:self.signed certificate in certificate chain$/m);
  expect(without).toMatch(/alert handshake failure.*SSL alert number 40$/m);
  expect(without).toMatch(/^ 0 s:\/?CN ?= ?Replication-vast1\n {3}i:\/?CN ?= ?Replication-Root-CA$/m);
  expect(without).toMatch(/^ 1 s:\/?CN ?= ?Replication-Root-CA\n {3}i:\/?CN ?= ?Replication-Root-CA$/m);

  const whole = await recipe.run(
    `echo | openssl s_client -connect ${at} -key vast2.key -cert vast2.crt -CAfile ca.crt 2>&1`,
  );
  expect(whole).toMatch(/^ {4}Verify return code: 0 \(ok\)$|^Verification: OK$/m);
  expect(whole).not.toMatch(/error|alert/i);
});

/** What docs/targets/vast.md has its reader do. */
const TRIAL = `
  openssl req -new -x509 -days 1 -newkey rsa:2048 -nodes -keyout trial-ca.key -out trial-ca.crt -subj '/CN=Trial-CA'
  openssl req -new -newkey rsa:2048 -nodes -keyout trial.key -out trial.csr -subj '/CN=Replication-trial'
  openssl x509 -req -CA trial-ca.crt -CAkey trial-ca.key -CAcreateserial -in trial.csr -out trial.crt -days 1
  cat ca.crt trial-ca.crt > two-roots.crt`;

test.each([
  ['all', 0],
  ['first', 1],
] as const)(
  'the trial of our page tells a cluster that honours %s of two roots',
  { timeout: 60_000 },
  async (honours, alerts) => {
    await using recipe = await Recipe.follow(RECIPE + TRIAL);
    await using cluster = new VastCluster('vast1', nextAddress(), {}, honours);
    const upload = async (root: string): Promise<void> =>
      cluster.upload({
        cluster_certificate: await recipe.read('vast1.crt'),
        cluster_private_key: await recipe.read('vast1.key'),
        root_certificate: await recipe.read(root),
      });
    const ask = (name: string): Promise<string> =>
      recipe.run(
        `echo | openssl s_client -tls1_2 -connect ${cluster.host}:49002 -key ${name}.key -cert ${name}.crt 2>&1 || true`,
      );
    await upload('two-roots.crt');
    expect((await ask('trial')).match(/alert unknown ca/g) ?? []).toHaveLength(alerts);
    expect(await ask('vast2')).not.toMatch(/alert/);
    await upload('ca.crt');
    expect(await ask('trial')).toMatch(/alert unknown ca/);
    expect(await ask('vast2')).not.toMatch(/alert/);
  },
);
