import { Injectable } from '@nestjs/common';
import { ProbityError } from '../../rails/errors/probity-error.js';
import { type ObjectKey, objectKey } from '../../rails/ref.js';
import { decodeBundle, TILE_WIDTH, tilePath, widthIn } from '../../rails/tlog/tiles.js';
import type { LogFiles } from '../../rails/tlog/verify-log.js';
import { Objects } from '../../substrate/objects/objects.port.js';

const ROOT = 'dla/audit';
const CHECKPOINTS = `${ROOT}/checkpoints/`;
const FILE = 'application/octet-stream';

/**
 * The log in the object store, under the paths of its format. Nothing there is ever changed: where other bytes stand already the log has forked, and
 * stops growing. Checkpoints are kept by their size.
 */
@Injectable()
export class AuditObjects implements LogFiles {
  constructor(private readonly objects: Objects) {}

  async put(path: string, bytes: Uint8Array): Promise<void> {
    const key = keyOf(path);
    const { outcome } = await this.objects.putIfAbsent(key, bytes, { mediaType: FILE });
    if (outcome === 'CONFLICT') throw new ProbityError('DLA_LOG_FORKED', `other bytes stand under ${key}`);
  }

  async read(path: string): Promise<Buffer | null> {
    const ref = await this.objects.head(keyOf(path));
    return ref === null ? null : await this.objects.read(ref);
  }

  /** Of a leaf under a checkpoint of that size. @throws INTERNAL where it is missing or damaged */
  async leaf(leaf: number, size: number): Promise<Buffer> {
    const index = Math.floor(leaf / TILE_WIDTH);
    const path = tilePath('entries', index, widthIn(size, 0, index));
    const bundle = await this.read(path);
    const bytes = bundle === null ? undefined : decodeBundle(bundle)?.[leaf % TILE_WIDTH];
    if (bytes === undefined) throw new ProbityError('INTERNAL', `${path} of the audit log is missing or damaged`);
    return bytes;
  }

  async putCheckpoint(size: number, note: string): Promise<void> {
    await this.put(checkpointPath(size), Buffer.from(note));
  }

  async checkpoint(size: number): Promise<string | null> {
    return (await this.read(checkpointPath(size)))?.toString('utf8') ?? null;
  }

  /** Sizes of checkpoints, rising, page by page. */
  async checkpoints(after: number | null, limit: number): Promise<readonly number[]> {
    const options = { limit, ...(after === null ? {} : { after: keyOf(checkpointPath(after)) }) };
    const { objects } = await this.objects.list(CHECKPOINTS, options);
    return objects.map(({ key }) => Number(key.slice(CHECKPOINTS.length)));
  }

  async *allCheckpoints(): AsyncGenerator<number, void> {
    for (let after: number | null = null; ;) {
      const page: readonly number[] = await this.checkpoints(after, 1_000);
      yield* page;
      const last = page.at(-1);
      if (last === undefined) return;
      after = last;
    }
  }
}

/** By size, so that they stand in order. */
export function checkpointPath(size: number): string {
  return `checkpoints/${String(size).padStart(16, '0')}`;
}

function keyOf(path: string): ObjectKey {
  return objectKey(`${ROOT}/${path}`);
}
