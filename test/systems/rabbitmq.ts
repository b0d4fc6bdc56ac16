/** A RabbitMQ broker with AMQP over mutual TLS for other brokers, and plain STOMP for those beside it. */
import { freePort, Instance } from './instance.ts';
import { begun, Server } from './server.ts';

export const RABBITMQ = ['rabbitmq-server'] as const;

/** As it should be: sessions let in whom it has dropped. */
const NO_SESSIONS: readonly string[] = ['ssl_options.reuse_sessions = false'];
/** Those on PATH want to be started by root or by the user of the package. */
const PROGRAMS = '/usr/lib/rabbitmq/bin';

export class Rabbitmq extends Server {
  readonly stomp: number;
  /** By which the broker is found by whoever commands it; else one for the whole machine would be started, and stay. */
  readonly #epmd: Instance;
  readonly #distribution: number;

  private constructor(instance: Instance, epmd: Instance, stomp: number, distribution: number) {
    super(instance);
    this.stomp = stomp;
    this.#epmd = epmd;
    this.#distribution = distribution;
  }

  /** @param settings lines of rabbitmq.conf */
  static async start(name: string, files: string, settings = NO_SESSIONS): Promise<Rabbitmq> {
    const [instance, epmd] = [await Instance.make(name, files), await Instance.make(`${name}-epmd`, files)];
    const server = new Rabbitmq(instance, epmd, await freePort(), await freePort());
    const { dir, port } = instance;
    const lines = [
      'listeners.tcp = none',
      `listeners.ssl.1 = 127.0.0.1:${port}`,
      `ssl_options.cacertfile = ${dir}/tls/ca.crt`,
      `ssl_options.certfile = ${dir}/tls/tls.crt`,
      `ssl_options.keyfile = ${dir}/tls/tls.key`,
      'ssl_options.verify = verify_peer',
      'ssl_options.fail_if_no_peer_cert = true',
      `stomp.listeners.tcp.1 = 127.0.0.1:${server.stomp}`,
      'log.console = true',
      'log.console.level = info',
      'log.file = false',
      ...settings,
    ];
    instance.write('rabbitmq.conf', `${lines.join('\n')}\n`);
    instance.write('enabled_plugins', '[rabbitmq_federation,rabbitmq_stomp].\n');
    return begun(server, async () => {
      const isThere = async () => void (await epmd.run('env', [...server.#environment, 'epmd', '-names']));
      await epmd.start('epmd', ['-address', '127.0.0.1', '-port', String(epmd.port)], isThere);
    });
  }

  get #environment(): readonly string[] {
    const { name, dir } = this.instance;
    return [
      `HOME=${dir}`,
      `ERL_EPMD_PORT=${this.#epmd.port}`,
      'ERL_EPMD_ADDRESS=127.0.0.1',
      `RABBITMQ_NODENAME=${name}@localhost`,
      `RABBITMQ_DIST_PORT=${this.#distribution}`,
      'RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=-kernel inet_dist_use_interface {127,0,0,1}',
      'RABBITMQ_CONF_ENV_FILE=/dev/null',
      `RABBITMQ_CONFIG_FILE=${dir}/rabbitmq.conf`,
      `RABBITMQ_ENABLED_PLUGINS_FILE=${dir}/enabled_plugins`,
      `RABBITMQ_MNESIA_BASE=${dir}/data`,
      `RABBITMQ_LOG_BASE=${dir}`,
    ];
  }

  async begin(): Promise<void> {
    const before = this.instance.log().length;
    await this.instance.start('env', [...this.#environment, `${PROGRAMS}/rabbitmq-server`], async () => {
      if (!this.instance.log().slice(before).includes('startup complete')) throw new Error('not ready');
    });
  }

  /** The words that a command to this broker begins with. */
  get commanding(): readonly [string, ...string[]] {
    return ['env', ...this.#environment, `${PROGRAMS}/rabbitmqctl`, '-q'];
  }

  /** A command of rabbitmqctl. */
  async control(...args: readonly string[]): Promise<string> {
    const [program, ...words] = this.commanding;
    return this.instance.run(program, [...words, ...args]);
  }

  async reload(): Promise<void> {
    this.instance.load();
    await this.control('eval', 'ssl:clear_pem_cache().');
  }

  async stop(): Promise<void> {
    await this.instance.stop('SIGTERM');
  }

  override async [Symbol.asyncDispose](): Promise<void> {
    await super[Symbol.asyncDispose]();
    await this.#epmd[Symbol.asyncDispose]();
  }
}
