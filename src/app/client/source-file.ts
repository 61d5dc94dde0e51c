import { createReadStream, statSync } from 'node:fs';
import { type Readable, Transform } from 'node:stream';
import { type Digest, RunningDigest } from '../../rails/digest.js';
import { ProbityError } from '../../rails/errors/probity-error.js';
import { objectKey, type Ref, refTo } from '../../rails/ref.js';
import { SOURCE_MEDIA_TYPE } from './door-api.js';
import type { Travel } from './journey.js';

/** The ref that a file of these bytes has in the store: known without asking. */
export function sourceRefOf(digest: Digest, size: number): Ref {
  return refTo(objectKey(`engine/sources/${digest}`), digest, size, SOURCE_MEDIA_TYPE);
}

/** @throws ProbityError CONFIG_UNREADABLE */
export function demandFile(path: string): number {
  try {
    const found = statSync(path);
    if (found.isFile()) return found.size;
  } catch (cause) {
    const reason = (cause as NodeJS.ErrnoException).code ?? 'unknown error';
    throw new ProbityError('CONFIG_UNREADABLE', `${path} cannot be read (${reason})`, { cause });
  }
  throw new ProbityError('CONFIG_UNREADABLE', `${path} is not a file; to read from another program name it - and pipe`);
}

export async function digestOfFile(path: string, { progress }: Pick<Travel, 'progress'>): Promise<Ref> {
  const size = demandFile(path);
  const digest = new RunningDigest();
  for await (const piece of createReadStream(path, { highWaterMark: 1_048_576 }) as AsyncIterable<Buffer>) {
    digest.update(piece);
    progress.at('Reading the file', digest.size, size, 'bytes');
  }
  const read = digest.size;
  return sourceRefOf(digest.finish(), read);
}

/** Sends the file; the store answers with its ref. */
export async function uploadFile(path: string, { api, progress }: Travel): Promise<Ref> {
  const size = demandFile(path);
  return await api.upload(() => counted(createReadStream(path, { highWaterMark: 262_144 }), progress, size), true);
}

/** Sends what is piped in. It can be read once only, so a lost connection is not repaired. */
export async function uploadStream(input: Readable, { api, progress }: Travel): Promise<Ref> {
  return await api.upload(() => counted(input, progress), false);
}

function counted(from: Readable, progress: Travel['progress'], size?: number): Readable {
  let sent = 0;
  const counter = new Transform({
    transform(piece: Buffer, _encoding, done) {
      sent += piece.byteLength;
      progress.at('Uploading', sent, size, 'bytes');
      done(null, piece);
    },
  });
  from.once('error', (error) => counter.destroy(error));
  return from.pipe(counter);
}
