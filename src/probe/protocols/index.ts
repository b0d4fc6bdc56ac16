import type { ProtocolName } from '../../api/replication-peer.ts';
import { mysql } from './mysql.ts';
import { nats } from './nats.ts';
import { postgresql } from './postgresql.ts';
import type { Protocol } from './protocol.ts';

export type { Protocol };

const protocols = {
  TLS: { begin: null, leave: null },
  PostgreSQL: postgresql,
  MySQL: mysql,
  NATS: nats,
} as const satisfies Record<ProtocolName, Protocol>;

export function protocolOf(name: ProtocolName): Protocol {
  return protocols[name];
}
