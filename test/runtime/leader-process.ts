/**
 * One operator process, reduced to leading: while it leads, it writes as fast as it is allowed to. The parent reads what it says on
 * standard output, one word and perhaps a number per line: ready, elected, wrote, fenced, lost.
 */
import { type Client, FencedError } from '../../src/runtime/client.ts';
import { loadClient } from '../../src/runtime/http-client.ts';
import { LeaderElection } from '../../src/runtime/leader.ts';

const [, , kubeconfig, namespace, identity, mode] = process.argv;
if (kubeconfig === undefined || namespace === undefined || identity === undefined) throw new Error('three arguments');

const CONFIG_MAP = { group: '', version: 'v1', plural: 'configmaps', kind: 'ConfigMap' };
const say = (line: string) => process.stdout.write(`${line}\n`);

const client = loadClient({ kubeconfig });
const election = new LeaderElection({
  client,
  namespace,
  name: 'leader',
  identity,
  leaseDurationMs: 8_000,
  renewDeadlineMs: 5_500,
  retryPeriodMs: 800,
  onElected: () => {
    say('elected');
    void writeForEver(mode === 'unfenced' ? client : client.fenced(election.mayWrite));
  },
  onLost: () => {
    say('lost');
    // Last writes, as from a pass that was half done. The one without a fence goes on until one has arrived: the connection on which
    // it was frozen may be dead, and then the first does not.
    void (mode === 'unfenced' ? untilWritten(client) : write(client.fenced(election.mayWrite))).then(() => {
      process.exit(1);
    });
  },
});

let tries = 0;
let writes = 0;

async function writeForEver(through: Client): Promise<void> {
  for (;;) {
    await write(through);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

async function untilWritten(through: Client): Promise<void> {
  while (!(await write(through)));
}

/** Whether it arrived. */
async function write(through: Client): Promise<boolean> {
  try {
    // No two are alike: every write that arrives leaves a new version behind.
    const data = { try: String(++tries) };
    const body = { metadata: { namespace, name: `written-by-${identity}` }, data };
    const ref = { namespace, name: body.metadata.name };
    await through.patch(CONFIG_MAP, ref, { type: 'apply', body, fieldManager: 'test', force: true });
    say(`wrote ${++writes}`);
    return true;
  } catch (error) {
    say(error instanceof FencedError ? 'fenced' : `failed ${String(error)}`);
    return false;
  }
}

process.on('SIGTERM', () => {
  void election.stop().then(() => process.exit(0));
});
election.start();
say('ready');
