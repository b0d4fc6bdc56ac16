import { createHash } from 'node:crypto';

/** Lower-case hex. */
export function sha256(content: string): string {
  return createHash('sha256').update(content).digest('hex');
}

/** Text as the API has it in a Secret. */
export const base64 = (content: string): string => Buffer.from(content, 'utf8').toString('base64');
