import { ENUM, REQUIRED, duplicates, type Refusal, type Row } from './row.ts';

const at = (host: string) => [{ host, port: 8201 }];
const one = { name: 'vast1', endpoints: at('172.31.1.1') };
const two = { name: 'vast2', endpoints: at('172.31.2.1') };
const acknowledged = {
  revision: '3f2a9c1b',
  generation: 2,
  stage: 'Append',
  by: 'jane@example.com',
  reason: 'restarted by hand, log of 10:32',
  expires: '2026-12-01T00:00:00Z',
};
const peer = (what: string, spec: unknown, refused: Refusal | null = null): Row => ({
  kind: 'ReplicationPeer',
  what,
  spec,
  refused,
});
const HOST = {
  at: 'spec.members[0].endpoints[0].host',
  says: 'must be a DNS name in lower case or an IP address, without scheme, port or brackets',
};

export const replicationPeers: readonly Row[] = [
  peer('two members', { members: [one, two] }),
  peer('everything', {
    topology: 'Star',
    center: 'vast1',
    members: [
      one,
      {
        name: 'eu',
        certificateRef: { name: 'secondary', namespace: 'eu' },
        endpoints: [
          { host: 'eu.example.com', port: 1, protocol: 'TLS', instances: 'One' },
          { host: '2001:db8::1', port: 65_535, protocol: 'PostgreSQL', instances: 'Many' },
          { host: 'eu.example.com', port: 3306, protocol: 'MySQL' },
          { host: 'eu.example.com', port: 4222, protocol: 'NATS' },
        ],
        proof: 'Handshake',
        acknowledged,
      },
    ],
    probe: { interval: '1s', timeout: '100ms' },
  }),
  peer('no members', {}, { at: 'spec.members', ...REQUIRED }),
  peer(
    'an empty list of members',
    { members: [] },
    { at: 'spec.members', says: 'at least 1 item', server: 'at least 1 items' },
  ),
  peer('sixty-four members', {
    members: Array.from({ length: 64 }, (_, n) => ({ ...one, name: `m${n}` })),
  }),
  peer(
    'sixty-five members',
    { members: Array.from({ length: 65 }, (_, n) => ({ ...one, name: `m${n}` })) },
    { at: 'spec.members', says: 'at most 64 items', server: 'must have at most 64 items' },
  ),
  peer(
    'a member twice',
    { members: [one, { ...two, name: 'vast1' }] },
    { at: 'spec.members', ...duplicates('must not have two entries of the same name') },
  ),
  peer('a member without a name', { members: [{ endpoints: at('a') }] }, { at: 'spec.members[0].name', ...REQUIRED }),
  peer(
    'a member name with a dot',
    { members: [{ ...one, name: 'a.b' }] },
    { at: 'spec.members[0].name', says: 'must be a DNS label: lower-case letters, digits and hyphens' },
  ),
  peer('a member without endpoints, to be acknowledged', { members: [{ name: 'a' }] }),
  peer('a member that says so', { members: [{ name: 'a', proof: 'Acknowledge' }] }),
  peer('a member with endpoints that nobody can reach', { members: [{ ...one, proof: 'Acknowledge' }] }),
  peer(
    'a handshake with nowhere',
    { members: [{ name: 'a', proof: 'Handshake' }] },
    { at: 'spec.members[0].proof', says: 'must be Acknowledge without endpoints' },
  ),
  peer(
    'an unknown proof',
    { members: [{ ...one, proof: 'Trust' }] },
    { at: 'spec.members[0].proof', says: 'must be one of Handshake, Acknowledge (got "Trust")', server: ENUM },
  ),
  ...(['revision', 'generation', 'stage', 'by', 'reason', 'expires'] as const).map((field) => {
    const { [field]: _, ...rest } = acknowledged;
    return peer(
      `an acknowledgement without ${field}`,
      { members: [{ ...one, acknowledged: rest }] },
      { at: `spec.members[0].acknowledged.${field}`, ...REQUIRED },
    );
  }),
  peer(
    'an acknowledgement for no day',
    { members: [{ ...one, acknowledged: { ...acknowledged, expires: 'tomorrow' } }] },
    { at: 'spec.members[0].acknowledged.expires', says: 'must be an instant in RFC 3339', server: 'must be of type' },
  ),
  peer(
    'a member with an empty list of endpoints',
    { members: [{ name: 'a', endpoints: [] }] },
    { at: 'spec.members[0].endpoints', says: 'at least 1 item', server: 'at least 1 items' },
  ),
  peer(
    'seventeen endpoints',
    { members: [{ name: 'a', endpoints: Array.from({ length: 17 }, () => ({ host: 'a', port: 1 })) }] },
    { at: 'spec.members[0].endpoints', says: 'at most 16 items', server: 'must have at most 16 items' },
  ),
  peer('an endpoint without a port', { members: [one, { name: 'a', endpoints: [{ host: 'a' }] }] }),
  peer(
    'port 0',
    { members: [{ name: 'a', endpoints: [{ host: 'a', port: 0 }] }] },
    {
      at: 'spec.members[0].endpoints[0].port',
      says: 'must be 1 or more (got 0)',
      server: 'greater than or equal to 1',
    },
  ),
  peer(
    'port 65536',
    { members: [{ name: 'a', endpoints: [{ host: 'a', port: 65_536 }] }] },
    { at: 'spec.members[0].endpoints[0].port', says: 'must be 65535 or less', server: 'less than or equal to 65535' },
  ),
  peer(
    'a port as text',
    { members: [{ name: 'a', endpoints: [{ host: 'a', port: '80' }] }] },
    {
      at: 'spec.members[0].endpoints[0].port',
      says: 'must be a whole number (got "80")',
      server: 'must be of type integer',
    },
  ),
  ...['https://a', 'a:80', '[::1]', '300.1.1.1', '1.2.3', 'A', 'a_b', 'a..b', '-a', 'a.'].map((host) =>
    peer(`host ${host}`, { members: [{ name: 'a', endpoints: at(host) }] }, HOST),
  ),
  ...['a', '1a.example', '10.0.0.1', '::1', `${'a'.repeat(63)}.b`].map((host) =>
    peer(`host ${host}`, { members: [{ name: 'a', endpoints: at(host) }] }),
  ),
  peer(
    'an unknown kind of instances',
    { members: [{ name: 'a', endpoints: [{ host: 'a', port: 1, instances: 2 }] }] },
    { at: 'spec.members[0].endpoints[0].instances', says: 'must be one of One, Many (got 2)', server: ENUM },
  ),
  ...['MariaDB', 'mysql', 'tls', ''].map((protocol) =>
    peer(
      `protocol ${protocol}`,
      { members: [{ name: 'a', endpoints: [{ host: 'a', port: 1, protocol }] }] },
      {
        at: 'spec.members[0].endpoints[0].protocol',
        says: `must be one of TLS, PostgreSQL, MySQL, NATS (got "${protocol}")`,
        server: ENUM,
      },
    ),
  ),
  peer(
    'a certificate without a name',
    { members: [{ ...one, certificateRef: { namespace: 'a' } }] },
    { at: 'spec.members[0].certificateRef.name', ...REQUIRED },
  ),
  peer('a Mesh that says so', { topology: 'Mesh', members: [one] }),
  peer(
    'an unknown topology',
    { topology: 'Ring', members: [one] },
    { at: 'spec.topology', says: 'must be one of Mesh, Star', server: ENUM },
  ),
  peer(
    'a Star without a center',
    { topology: 'Star', members: [one, two] },
    { at: 'spec.center', says: 'must be given with topology Star, and only then' },
  ),
  peer(
    'a center without a topology',
    { center: 'vast1', members: [one, two] },
    { at: 'spec.center', says: 'must be given with topology Star, and only then' },
  ),
  peer(
    'a Mesh with a center',
    { topology: 'Mesh', center: 'vast1', members: [one, two] },
    { at: 'spec.center', says: 'must be given with topology Star, and only then' },
  ),
  peer(
    'a center that is no member',
    { topology: 'Star', center: 'vast3', members: [one, two] },
    { at: 'spec.center', says: 'must be the name of one of the members' },
  ),
  peer(
    'an interval below a second',
    { members: [one], probe: { interval: '999ms' } },
    { at: 'spec.probe.interval', says: 'from 1s to 24h' },
  ),
  peer(
    'a timeout of no time',
    { members: [one], probe: { timeout: '0s' } },
    { at: 'spec.probe.timeout', says: 'from 100ms to 1m' },
  ),
  {
    ...peer(
      'a name of 64 characters',
      { members: [one] },
      { at: 'metadata.name', says: 'must have at most 63 characters' },
    ),
    name: 'n'.repeat(64),
  },
  { ...peer('members that come and go', { members: [two] }), before: { members: [one] } },
];
