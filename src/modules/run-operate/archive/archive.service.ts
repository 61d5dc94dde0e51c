import { Injectable } from '@nestjs/common';
import type { Digest } from '../../../rails/digest.js';
import type { Offset } from '../../../rails/eb-ref.js';
import { ProbityError } from '../../../rails/errors/probity-error.js';
import type { TopicPartition } from '../../../substrate/bus/bus.port.js';
import { Objects } from '../../../substrate/objects/objects.port.js';
import type { ArchivePort, ArchiveRanges, ArchiveWindow } from '../archive.port.js';
import { ArchiveStore } from './archive.store.js';
import { gapOf, readChunk } from './chunk-reader.js';
import type { Chunk } from './chunk.core.js';
import { firstBrokenLink, firstGap, type Stretch } from './proof.core.js';

const PAGE_CHUNKS = 200;

/** What a window of one partition was found to be, byte by byte. */
export interface WindowProof extends TopicPartition {
  readonly first_offset: Offset;
  readonly next_offset: Offset;
  readonly chunks: number;
  readonly records: number;
  /** Of chunks, before compression. */
  readonly bytes: number;
  /** The link of its last chunk, which names all before it. */
  readonly chain: Digest | null;
}

/** Answers which chunks hold a window, and proves windows complete by reading every byte again. */
@Injectable()
export class ArchiveService implements ArchivePort {
  constructor(
    private readonly store: ArchiveStore,
    private readonly objects: Objects,
  ) {}

  async ranges({ topic, partition, first_offset, next_offset }: ArchiveWindow): Promise<ArchiveRanges> {
    return await this.#page({ topic, partition }, { first: first_offset, next: next_offset });
  }

  /**
   * Reads a window again, chunk by chunk in constant memory.
   * @param onChunk after each, for whoever shows how far it is; what it throws ends the reading
   * @throws OPS_ARCHIVE_GAP, OPS_ARCHIVE_TAMPERED that name topic, partition and offsets
   */
  async prove(at: TopicPartition, { first, next }: Stretch, onChunk: (chunk: Chunk) => void): Promise<WindowProof> {
    let [reached, chunks, records, bytes] = [first, 0, 0, 0];
    let chain: Digest | null = null;
    while (reached < next) {
      const page = await this.#page(at, { first: reached, next });
      for (const chunk of page.chunks) {
        await readChunk(this.objects, chunk);
        [chunks, records, bytes, chain] = [chunks + 1, records + chunk.records, bytes + chunk.bytes, chunk.chain];
        onChunk(chunk);
      }
      reached = page.next_offset;
    }
    const { topic, partition } = at;
    return { topic, partition, first_offset: first, next_offset: next, chunks, records, bytes, chain };
  }

  async #page(at: TopicPartition, window: Stretch): Promise<ArchiveRanges> {
    const chunks = await this.store.chunks(at, window, PAGE_CHUNKS);
    const last = chunks.at(-1);
    const isWhole = chunks.length < PAGE_CHUNKS || last === undefined || last.next_offset >= window.next;
    const until = isWhole ? window.next : last.next_offset;
    const gap = firstGap(chunks, { first: window.first, next: until });
    if (gap !== null) throw gapOf(at, gap.first, gap.next, 'no chunk holds them');
    const [first] = chunks;
    if (first === undefined) return { chunks, next_offset: window.next };
    const broken = firstBrokenLink(chunks, await this.store.linkBefore(at, first.first_offset));
    if (broken !== null)
      throw new ProbityError(
        'OPS_ARCHIVE_TAMPERED',
        `${at.topic}/${at.partition} from offset ${broken.first_offset} on: the index does not follow from what stands before`,
        { data: { ...{ topic: at.topic, partition: at.partition }, first_offset: broken.first_offset } },
      );
    return { chunks, next_offset: until };
  }
}
