import { HASH_BYTES } from './merkle.js';
import { noteText } from './note.js';

/** What a log promises to whoever keeps it: so many leaves, under this root (C2SP tlog-checkpoint). */
export interface Checkpoint {
  readonly origin: string;
  readonly size: number;
  readonly root: Buffer;
}

export function checkpointText({ origin, size, root }: Checkpoint): string {
  return `${origin}\n${size}\n${root.toString('base64')}\n`;
}

/** Of a signed note; null for one that is no checkpoint. Who signed it is another question. */
export function readCheckpoint(note: string): Checkpoint | null {
  const [origin = '', digits = '', encoded = ''] = (noteText(note) ?? '').split('\n');
  const root = Buffer.from(encoded, 'base64');
  if (origin === '' || !/^(0|[1-9][0-9]{0,15})$/.test(digits) || root.length !== HASH_BYTES) return null;
  return { origin, size: Number(digits), root };
}
