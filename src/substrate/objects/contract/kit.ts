import { randomBytes } from 'node:crypto';
import { digestBytes, type Digest } from '../../../rails/digest.js';
import { isProbityError, type ProbityError } from '../../../rails/errors/probity-error.js';
import { type ErrorCode } from '../../../rails/errors/registry.js';
import { objectKey, type ObjectKey, type Ref } from '../../../rails/ref.js';
import { type Objects } from '../objects.port.js';

/** What somebody does to a stored object behind the platform's back. The recorded digest stays as it is. */
export type Tampering =
  | { readonly how: 'flip'; readonly offset: number }
  | { readonly how: 'truncate'; readonly bytes: number }
  | { readonly how: 'extend'; readonly bytes: number }
  | { readonly how: 'remove' }
  /** Other bytes with a record that agrees with them: only a ref from elsewhere can tell. */
  | { readonly how: 'replace'; readonly by: Uint8Array };

/** What a process of its own does on the same store; `objects-child` in the test tree carries it out. */
export type ChildTask =
  /** All keys at once: puts the text `variant` under each and reports the outcomes in their order. */
  | { readonly task: 'race'; readonly keys: readonly string[]; readonly variant: string }
  /** Puts a stream of so many bytes, reads it back as a stream and by a range, and reports what memory that took. */
  | { readonly task: 'stream'; readonly key: string; readonly bytes: number };

export interface RaceReport {
  readonly outcomes: readonly string[];
}

export interface StreamReport {
  readonly digest: string;
  readonly size: number;
  /** Resident memory at its highest, less what it was before the first byte. */
  readonly grownBytes: number;
}

/** What a suite needs to know of an adapter beside the port. */
export interface ObjectsHarness {
  /** Another instance on the same store, as another process would have it. The caller closes it. */
  open(): Promise<Objects>;
  tamper(key: ObjectKey, tampering: Tampering): Promise<void>;
  /** Runs a task in a process whose JavaScript heap may have `heapMb`; rejects when it fails. */
  run(task: ChildTask, heapMb?: number): Promise<unknown>;
  close(): Promise<void>;
}

/** A case may wait so long on a busy machine. */
export const CASE_LIMIT_MS = 120_000;

/** Keys of one case: nothing is deleted from a store, so each run stands under a name that no other has. */
export function freshPrefix(): string {
  return `contract/${randomBytes(8).toString('hex')}/`;
}

export function keyUnder(prefix: string, name: string): ObjectKey {
  return objectKey(prefix + name);
}

export const BINARY = { mediaType: 'application/octet-stream' } as const;
export const TEXT = { mediaType: 'text/plain' } as const;

export function bytesOf(text: string): Buffer {
  return Buffer.from(text, 'utf8');
}

/** Bytes that look random and are the same for the same seed: no compression or all-zero shortcut hides a mistake. */
export function noise(size: number, seed = 1): Buffer {
  const bytes = Buffer.allocUnsafe(size);
  let state = (seed * 2_654_435_761) >>> 0 || 1;
  for (let index = 0; index < size; index += 1) {
    // xorshift32
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    bytes[index] = state & 0xff;
  }
  return bytes;
}

/** A stream of any length in constant memory: one piece of noise, numbered, so that no two chunks are equal. */
export async function* noiseStream(size: number, chunkBytes = 64 * 1024): AsyncGenerator<Buffer> {
  const piece = noise(chunkBytes);
  for (let offset = 0; offset < size; offset += chunkBytes) {
    const chunk = Buffer.from(piece.subarray(0, Math.min(chunkBytes, size - offset)));
    if (chunk.byteLength >= 6) chunk.writeUIntBE(offset, 0, 6);
    yield await Promise.resolve(chunk);
  }
}

export async function* chunked(bytes: Uint8Array, sizes: readonly number[]): AsyncGenerator<Uint8Array> {
  let offset = 0;
  for (const size of sizes) {
    yield await Promise.resolve(bytes.subarray(offset, offset + size));
    offset += size;
  }
  if (offset < bytes.byteLength) yield bytes.subarray(offset);
}

/** Yields the stream, then fails: the caller's own mishap. */
export async function* failing(source: AsyncIterable<Uint8Array>, mishap: Error): AsyncGenerator<Uint8Array> {
  yield* source;
  throw mishap;
}

export async function collect(source: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of source) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** The error that the work ends with. @throws when it succeeds, or fails with anything but an error of the platform */
export async function refusal(work: Promise<unknown>): Promise<ProbityError> {
  try {
    await work;
  } catch (error) {
    if (isProbityError(error)) return error;
    throw new Error('an error that is none of the platform crossed the port', { cause: error });
  }
  throw new Error('it should have been refused');
}

export async function refusalCode(work: Promise<unknown>): Promise<ErrorCode> {
  return (await refusal(work)).code;
}

/** All objects under a prefix, page by page. */
export async function listAll(objects: Objects, prefix: string, limit: number): Promise<string[]> {
  const keys: string[] = [];
  let after: ObjectKey | undefined;
  for (;;) {
    const page = await objects.list(prefix, { limit, ...(after === undefined ? {} : { after }) });
    if (page.objects.length > limit) throw new Error(`a page of ${limit} held ${page.objects.length} objects`);
    keys.push(...page.objects.map(({ key }) => key));
    if (page.next === null) return keys;
    after = page.next;
  }
}

/** True when neither look-up nor listing shows anything under the prefix. */
export async function nothingVisible(objects: Objects, prefix: string, key: ObjectKey): Promise<boolean> {
  const [head, page] = await Promise.all([objects.head(key), objects.list(prefix)]);
  return head === null && page.objects.length === 0;
}

export function refWith(ref: Ref, change: { readonly digest?: Digest; readonly size?: number }): Ref {
  return {
    ...ref,
    digest: { algo: 'sha256', hex: change.digest ?? ref.digest.hex },
    size: change.size ?? ref.size,
  };
}

export function digestOf(text: string): Digest {
  return digestBytes(bytesOf(text));
}

/** Waits for a condition, looking every few milliseconds. */
export async function eventually(condition: () => boolean | Promise<boolean>, limitMs = 10_000): Promise<void> {
  const dueMs = performance.now() + limitMs;
  while (!(await condition())) {
    if (performance.now() > dueMs) throw new Error(`what was waited for did not come within ${limitMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
