import type { Digest } from '../../../rails/digest.js';
import type { Offset } from '../../../rails/eb-ref.js';
import { chainOf, type Chunk } from './chunk.core.js';

/** Offsets from `first`, inclusive, up to `next`, exclusive. */
export interface Stretch {
  readonly first: Offset;
  readonly next: Offset;
}

/** The chunks of one partition that a window needs, in order; those of others are left out. */
export function chunksIn(chunks: readonly Chunk[], { first, next }: Stretch): readonly Chunk[] {
  return chunks.filter((chunk) => chunk.next_offset > first && chunk.first_offset < next);
}

/**
 * Whether chunks in order cover a window without a hole: each begins where the one before ended.
 * @returns the first stretch that none of them holds; null where all of it is there
 */
export function firstGap(chunks: readonly Chunk[], { first, next }: Stretch): Stretch | null {
  let reached: number = first;
  for (const chunk of chunks) {
    if (reached >= next) return null;
    if (chunk.next_offset <= reached) continue;
    if (chunk.first_offset > reached)
      return { first: reached as Offset, next: Math.min(chunk.first_offset, next) as Offset };
    reached = chunk.next_offset;
  }
  return reached >= next ? null : { first: reached as Offset, next };
}

/**
 * The first chunk whose link does not follow from what the index says of it and from the link before.
 * @param before the link before the first of them; null where that is the partition's first
 */
export function firstBrokenLink(chunks: readonly Chunk[], before: Digest | null): Chunk | null {
  let link = before;
  for (const chunk of chunks) {
    if (chainOf(link, chunk) !== chunk.chain) return chunk;
    link = chunk.chain;
  }
  return null;
}
