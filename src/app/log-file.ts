import { createWriteStream, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Writable } from 'node:stream';
import { finished } from 'node:stream/promises';
import type { DataFolder } from './data-folder.js';

export interface LogFile {
  readonly path: string;
  readonly stream: Writable;
  close(): Promise<void>;
}

/** Where a command that a person watches puts the structured log: `<data>/logs/<name>.log`, readable by its owner alone. */
export function openLogFile(folder: DataFolder, name: string): LogFile {
  const logs = join(folder.root, 'logs');
  mkdirSync(logs, { recursive: true, mode: 0o700 });
  const path = join(logs, `${name}.log`);
  const stream = createWriteStream(path, { flags: 'a', mode: 0o600 });
  return {
    path,
    stream,
    close: async () => {
      stream.end();
      await finished(stream);
    },
  };
}
