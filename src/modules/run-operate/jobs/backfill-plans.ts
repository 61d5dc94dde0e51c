import { Injectable } from '@nestjs/common';
import { advance, type Basis, basisRecord, emptyBasis, nextOffset } from '../../../rails/basis.js';
import { canonicalJson } from '../../../rails/canonical-json.js';
import { asTopicName, type Offset } from '../../../rails/eb-ref.js';
import { ProbityError } from '../../../rails/errors/probity-error.js';
import { objectKey, type Ref } from '../../../rails/ref.js';
import { Bus } from '../../../substrate/bus/bus.port.js';
import { type Piece, piecesOf } from '../../../substrate/bus/stretch.js';
import { Objects } from '../../../substrate/objects/objects.port.js';
import { ArchiveService } from '../archive/archive.service.js';
import type { Chunk } from '../archive/chunk.core.js';
import { readReplayPlan, type ReplayPiece, type ReplayPlan } from '../replay.port.js';

/** What features and graph are made of. */
export const BACKFILL_TOPICS = [asTopicName('fp.bus.traffic.v1'), asTopicName('fp.bus.control.v1')];

export interface PlanWish {
  readonly opId: string;
  readonly source: 'bus' | 'archive' | 'auto';
  /** Where to end, if nothing was settled yet. */
  readonly basis: () => Promise<Basis>;
}

/** What a backfill reads, settled once: an object that a second attempt finds and reads again. */
@Injectable()
export class BackfillPlans {
  constructor(
    private readonly bus: Bus,
    private readonly objects: Objects,
    private readonly archive: ArchiveService,
  ) {}

  /** @throws REPLAY_BASIS_UNRESOLVED, OPS_ARCHIVE_GAP, OPS_ARCHIVE_TAMPERED */
  async settled({ opId, source, basis }: PlanWish): Promise<{ readonly ref: Ref; readonly plan: ReplayPlan }> {
    const key = keyOf(opId);
    const standing = await this.objects.head(key);
    const ref = standing ?? (await this.#put(key, await this.#plan(source, await basis())));
    return { ref, plan: await readReplayPlan(this.objects, ref) };
  }

  /** What was settled; null where nothing was yet. */
  async standing(opId: string): Promise<ReplayPlan | null> {
    const ref = await this.objects.head(keyOf(opId));
    return ref === null ? null : await readReplayPlan(this.objects, ref);
  }

  /** Offsets that people name. @throws REPLAY_BASIS_UNRESOLVED for what the log does not have */
  async named(offsets: Readonly<Record<string, Readonly<Record<string, Offset>>>>): Promise<Basis> {
    let basis = emptyBasis(BACKFILL_TOPICS);
    for (const topic of BACKFILL_TOPICS) {
      const marks = await this.bus.marks(topic);
      for (const [partition, offset] of Object.entries(offsets[topic] ?? {})) {
        const mark = marks.find((each) => each.partition === Number(partition));
        if (mark === undefined || offset > mark.highWater)
          throw new ProbityError(
            'REPLAY_BASIS_UNRESOLVED',
            `${topic}/${partition} ends at ${mark?.highWater ?? 0}, and ${offset} was asked for`,
          );
        basis = advance(basis, [{ topic, partition: Number(partition), nextOffset: offset }]);
      }
    }
    return basis;
  }

  async #plan(source: PlanWish['source'], basis: Basis): Promise<ReplayPlan> {
    const pieces: ReplayPiece[] = [];
    for (const topic of BACKFILL_TOPICS)
      for (const { partition } of await this.bus.marks(topic)) {
        const stretch = { topic, partition, start: 0 as Offset, end: nextOffset(basis, topic, partition) };
        if (stretch.end === 0) continue;
        for (const piece of await piecesOf(this.bus, source, stretch))
          pieces.push({ ...piece, chunks: piece.source === 'bus' ? [] : [...(await this.#chunks(piece))] });
      }
    return { format: 'probity.replay.v1', basis: basisRecord(basis), pieces };
  }

  async #chunks({ topic, partition, start, end }: Piece): Promise<readonly Chunk[]> {
    const chunks: Chunk[] = [];
    for (let next = start; next < end;) {
      const page = await this.archive.ranges({ topic, partition, first_offset: next, next_offset: end });
      // The first of a page may be the last of the one before.
      chunks.push(...page.chunks.filter(({ first_offset }) => first_offset > (chunks.at(-1)?.first_offset ?? -1)));
      next = page.next_offset;
    }
    return chunks;
  }

  async #put(key: ReturnType<typeof objectKey>, plan: ReplayPlan): Promise<Ref> {
    const { ref } = await this.objects.putIfAbsent(key, Buffer.from(canonicalJson(plan)), {
      mediaType: 'application/json',
    });
    return ref;
  }
}

function keyOf(opId: string): ReturnType<typeof objectKey> {
  return objectKey(`gov/jobs/${opId}/replay.json`);
}
