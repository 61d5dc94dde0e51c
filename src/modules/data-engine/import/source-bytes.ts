import { Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { isUtf8 } from 'node:buffer';
import { ProbityError } from '../../../rails/errors/probity-error.js';
import { isProbityError } from '../../../rails/errors/probity-error.js';

const GZIP_MAGIC = [0x1f, 0x8b];
const UNPACKED_CHUNK_BYTES = 64 * 1024;
const NEWLINE = 0x0a;

/** A line that is longer cannot be cut at a character: nothing says where one ends. */
const LINE_BYTES_MAX = 4 * 1024 * 1024;

/** The bytes of a source, unpacked where they are gzip: by their first bytes, whatever the file is called. */
export async function* unpacked(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const pieces = source[Symbol.asyncIterator]();
  const opening: Uint8Array[] = [];
  let bytes = 0;
  let ended = false;
  while (bytes < GZIP_MAGIC.length && !ended) {
    const next: IteratorResult<Uint8Array, unknown> = await pieces.next();
    if (next.done === true) ended = true;
    else {
      opening.push(next.value);
      bytes += next.value.byteLength;
    }
  }
  const first = Buffer.concat(opening);
  const rest = { [Symbol.asyncIterator]: () => pieces };
  async function* whole(): AsyncGenerator<Uint8Array> {
    yield first;
    if (!ended) yield* rest;
  }
  if (!GZIP_MAGIC.every((byte, index) => first[index] === byte)) {
    yield* whole();
    return;
  }
  const packed = Readable.from(whole(), { objectMode: false });
  const gunzip = createGunzip({ chunkSize: UNPACKED_CHUNK_BYTES });
  packed.once('error', (error) => gunzip.destroy(error));
  try {
    for await (const chunk of packed.pipe(gunzip)) yield chunk as Buffer;
  } catch (cause) {
    // What the store found out about its own bytes is its own to say.
    if (isProbityError(cause)) throw cause;
    throw new ProbityError('ENGINE_SOURCE_UNREADABLE', 'the file begins like gzip and cannot be unpacked to its end', {
      cause,
    });
  } finally {
    packed.destroy();
    gunzip.destroy();
  }
}

/**
 * The text of a source in pieces that end with a line, save the last. A byte of a line end is part of no other character, so a
 * piece that is cut there is whole, and is checked and read at the speed of memory.
 *
 * @throws ProbityError ENGINE_SOURCE_UNREADABLE for bytes that are not UTF-8
 */
export async function* textOf(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  let rest: Buffer[] = [];
  let restBytes = 0;
  let position = 0;
  const decode = (chunk: Buffer): string => {
    if (!isUtf8(chunk)) {
      throw new ProbityError('ENGINE_SOURCE_UNREADABLE', `the file is not UTF-8 (after byte ${position})`);
    }
    // The byte order mark is no part of the first column's name.
    const text = chunk.toString('utf8');
    const plain = position === 0 && text.startsWith('\ufeff') ? text.slice(1) : text;
    position += chunk.byteLength;
    return plain;
  };
  for await (const piece of bytes) {
    const chunk = Buffer.from(piece.buffer, piece.byteOffset, piece.byteLength);
    const cut = chunk.lastIndexOf(NEWLINE) + 1;
    if (cut === 0) {
      rest.push(Buffer.from(chunk));
      restBytes += chunk.byteLength;
      if (restBytes > LINE_BYTES_MAX) {
        throw new ProbityError(
          'ENGINE_SOURCE_UNREADABLE',
          `a line is longer than ${LINE_BYTES_MAX} bytes (after byte ${position})`,
        );
      }
      continue;
    }
    yield decode(rest.length === 0 ? chunk.subarray(0, cut) : Buffer.concat([...rest, chunk.subarray(0, cut)]));
    // A copy: a source may use its buffer again.
    rest = cut < chunk.byteLength ? [Buffer.from(chunk.subarray(cut))] : [];
    restBytes = chunk.byteLength - cut;
  }
  if (restBytes > 0) yield decode(Buffer.concat(rest));
}
