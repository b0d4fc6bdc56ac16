import type { Logger } from 'pino';

/** What the rooms above the runtime log with. */
export type Log = Pick<Logger, 'debug' | 'info' | 'warn' | 'error'>;
