import { describe, expect, test } from 'vitest';
import { testBed } from './bed.ts';
import { Member } from './member.ts';
import { expectGoodMember } from './openssl.ts';
import { ca, certificate, peer, type Scene } from './scene.ts';

const bed = testBed(8);

describe.concurrent('a certificate of another namespace', () => {
  test('is issued only when the CA allows its namespace and a peer beside the CA names it', async () => {
    const [home, away] = [await bed.scene(), await bed.scene()];
    await home.apply(ca('mesh'), certificate('a', 'mesh'));
    const remote = certificate('b', 'mesh', {});
    Object.assign(remote['spec'] as object, { caRef: { name: 'mesh', namespace: home.namespace } });
    await away.apply(remote);
    await away.stalled(
      'ClusterCertificate',
      'b',
      'NamespaceNotAllowed',
      new RegExp(
        `^ReplicationCA ${home.namespace}/mesh does not allow namespace ${away.namespace}\\. Add it to spec\\.allowedNamespaces there; or delete this certificate, and create it anew`,
      ),
    );
    expect(away.secrets.get('b')).toBeUndefined();

    await home.apply(ca('mesh', { allowedNamespaces: [away.namespace] }));
    const unnamed = new RegExp(
      `issued once a ReplicationPeer beside its CA names it\\. Name ${away.namespace}/b in spec\\.members\\[\\]\\.certificateRef of one in namespace ${home.namespace}\\.`,
    );
    await away.stalled('ClusterCertificate', 'b', 'NotNamedByPeer', unnamed);
    // A peer beside the certificate names nobody.
    await using a = await Member.start(home, 'a');
    await using b = await Member.start(away, 'b');
    await away.apply(peer('own', { b: b.port }));
    await away.stalled(
      'ReplicationPeer',
      'own',
      'WrongNamespace',
      new RegExp(`a peer counts only in the namespace of its CA\\. Create it in ${home.namespace}\\.`),
    );
    expect(away.secrets.get('b')).toBeUndefined();

    const mesh = peer('mesh', { a: a.port, b: b.port });
    const { members: [, second] = [] } = mesh['spec'] as { members?: object[] };
    Object.assign(second ?? {}, { certificateRef: { name: 'b', namespace: away.namespace } });
    await home.apply(mesh);
    await away.ready({ ClusterCertificate: ['b'] });
    await expectGoodMember(away.secret('b'));
    await home.condition('ReplicationPeer', 'mesh', 'Verified', { status: 'True' });
    await away.condition('ClusterCertificate', 'b', 'Delivered', { status: 'True' });

    // No longer allowed: its Secret stays, and the user is told.
    await home.apply(ca('mesh'));
    await away.stalled('ClusterCertificate', 'b', 'NamespaceNotAllowed', /does not allow namespace/);
    expect(away.secrets.get('b')).toBeDefined();
  });

  test('whose namespace nobody watches is told so', async () => {
    const here = await bed.scene();
    const remote = certificate('a', 'mesh');
    Object.assign(remote['spec'] as object, { caRef: { name: 'mesh', namespace: 'elsewhere' } });
    await here.apply(remote);
    await here.stalled(
      'ClusterCertificate',
      'a',
      'CANotFound',
      /ReplicationCA elsewhere\/mesh does not exist \(the operator does not watch namespace elsewhere\)\. Create it; or delete this certificate, and create it anew/,
    );
  });
});

describe.concurrent('what comes in any order', () => {
  test('is put together: a peer, then a certificate, then its CA', async () => {
    const here = await bed.scene();
    await using a = await Member.start(here, 'a');
    await here.apply(peer('mesh', { a: a.port }));
    await here.condition('ReplicationPeer', 'mesh', 'Ready', {
      status: 'False',
      reason: 'CertificateNotFound',
      message: /Member a names ClusterCertificate \S+\/a, which does not exist\. Create it or correct/,
    });
    await here.apply(certificate('a', 'mesh'));
    await here.stalled(
      'ClusterCertificate',
      'a',
      'CANotFound',
      /^ReplicationCA \S+\/mesh does not exist\. Create it; or delete this certificate, and create it anew with another spec\.caRef\.$/,
    );
    await here.apply(ca('mesh'));
    await here.ready({ ReplicationCA: ['mesh'], ClusterCertificate: ['a'], ReplicationPeer: ['mesh'] });
    await here.condition('ReplicationPeer', 'mesh', 'Verified', { status: 'True' });
  });

  test('but members of two CAs are no peers', async () => {
    const here = await bed.scene();
    await here.apply(
      ca('one'),
      ca('two'),
      certificate('a', 'one'),
      certificate('b', 'two'),
      peer('mixed', { a: 1, b: 2 }),
    );
    await here.stalled('ReplicationPeer', 'mixed', 'MixedCA', /All members of a peer share one CA: split the peer\./);
    await here.ready({ ClusterCertificate: ['a', 'b'] });
  });
});

describe.concurrent('a deleted namespace', () => {
  const kubectl = async (...args: readonly string[]): Promise<string> => {
    const { code, stdout, stderr } = await bed.cluster.kubectl(args);
    expect(code, stderr).toBe(0);
    return stdout;
  };
  /** What follows when a namespace goes: new objects are refused in it, and then the rights in it are gone. */
  const expectRefusals = ({ namespace }: Scene): void => {
    bed.operators.expectLines(
      new RegExp(`${namespace}[^]*(because it is being terminated|cannot \\w+ resource|not found)`),
    );
  };

  async function deleted(here: Scene): Promise<void> {
    expectRefusals(here);
    await here.apply(ca('mesh'), certificate('a', 'mesh'));
    await here.ready({ ReplicationCA: ['mesh'], ClusterCertificate: ['a'] });
    await kubectl('delete', 'namespace', here.namespace, '--wait=false');
  }

  test('goes with the CA in it and everything of ours: the rights go last', async () => {
    const here = await bed.scene();
    await deleted(here);
    await kubectl('wait', '--for=delete', `namespace/${here.namespace}`, '--timeout=30s');
  });
});
