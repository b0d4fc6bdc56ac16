import { createServer, type Server } from 'node:http';

/** What the probes of a kubelet ask. */
export interface Health {
  /** Null: alive. Otherwise why this process should be restarted. */
  readonly sick: () => string | null;
  /** Null: ready. Otherwise what is still missing. */
  readonly notReady: () => string | null;
}

/** Serves `/healthz` and `/readyz` on all addresses: 200 `ok`, or 503 with the reason. Port 0 picks a free one. */
export async function serveHealth(
  port: number,
  health: Health,
): Promise<{ readonly port: number; close(): Promise<void> }> {
  const checks = new Map([
    ['/healthz', health.sick],
    ['/readyz', health.notReady],
  ]);
  const server = createServer((request, response) => {
    const check = checks.get((request.url ?? '').split('?')[0] ?? '');
    const problem = check === undefined ? 'not found: ask for /healthz or /readyz' : check();
    response.writeHead(check === undefined ? 404 : problem === null ? 200 : 503, { 'content-type': 'text/plain' });
    response.end(`${problem ?? 'ok'}\n`);
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, resolve);
  });
  return { port: portOf(server), close: () => closed(server) };
}

function portOf(server: Server): number {
  const address = server.address();
  return typeof address === 'object' && address !== null ? address.port : 0;
}

function closed(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}
