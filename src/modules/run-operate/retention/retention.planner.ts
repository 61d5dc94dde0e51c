import { Injectable } from '@nestjs/common';
import type { Offset } from '../../../rails/eb-ref.js';
import { isProbityError } from '../../../rails/errors/probity-error.js';
import { Bus, type PartitionMarks, type TopicPartition } from '../../../substrate/bus/bus.port.js';
import type { Reader } from '../../../substrate/bus/consumption.port.js';
import { marksOf } from '../../../substrate/bus/standing-marks.js';
import { Clock } from '../../../substrate/clock/clock.port.js';
import { Objects } from '../../../substrate/objects/objects.port.js';
import { Policies } from '../../../substrate/policy/policy.port.js';
import { ARCHIVE_POLICY } from '../archive/archive.policy.js';
import { ArchiveService } from '../archive/archive.service.js';
import { ArchiveStore } from '../archive/archive.store.js';
import { limitsOf } from './readers.js';
import { type Cut, cutOf, headroomOf, type Limit } from './retention.core.js';
import type { RetentionPolicy } from './retention.policy.js';

export type RetainedTopic = RetentionPolicy['topics'][number];

export interface PlannedPartition extends PartitionMarks {
  readonly cut: Cut;
  /** Offsets between the oldest record and the first that somebody still needs. */
  readonly headroom: number;
}

/** What may go of each partition now, and who keeps the rest. */
@Injectable()
export class RetentionPlanner {
  constructor(
    private readonly bus: Bus,
    private readonly archive: ArchiveStore,
    private readonly archived: ArchiveService,
    private readonly objects: Objects,
    private readonly policies: Policies,
    private readonly clock: Clock,
  ) {}

  /** @param readers what everybody said just now, without those that are not run */
  async plan(topic: RetainedTopic, readers: readonly Reader[]): Promise<readonly PlannedPartition[]> {
    // Asked before the marks: a position that moves meanwhile lies at or behind what was said.
    const marks = await marksOf(this.bus, topic.topic);
    if (marks.length === 0) return [];
    const aged = await this.#aged(topic, marks);
    return await Promise.all(
      marks.map(async (mark): Promise<PlannedPartition> => {
        const limits = [...(await this.#ofArchive(topic, mark)), ...limitsOf(readers, mark)];
        const young = aged.get(mark.partition) ?? mark.lowWater;
        return { ...mark, cut: cutOf(mark, young, limits), headroom: headroomOf(mark, limits) };
      }),
    );
  }

  /**
   * Looks whether the archive has a stretch: index without a hole, links that follow, and each object where it should be, with the digest that it had
   * when it was put. Bytes are read by the daily verification.
   * @returns the first offset that it cannot answer for, and why
   */
  async answeredFor(
    at: TopicPartition,
    { first, next }: { readonly first: Offset; readonly next: Offset },
  ): Promise<Limit | null> {
    const { topic, partition } = at;
    try {
      for (let reached = first; reached < next;) {
        const window = { topic, partition, first_offset: reached, next_offset: next };
        const page = await this.archived.ranges(window);
        for (const { ref, first_offset } of page.chunks) {
          const standing = await this.objects.head(ref.locator);
          if (standing?.digest.hex !== ref.digest.hex || standing.size !== ref.size)
            return { by: `archive (${ref.locator} is not there)`, offset: first_offset };
        }
        reached = page.next_offset;
      }
      return null;
    } catch (error) {
      if (!isProbityError(error) || error.retryable) throw error;
      const broken = error.data['first_offset'];
      const offset = typeof broken === 'number' ? (broken as Offset) : first;
      return { by: `archive (${error.code}: ${error.detail})`.slice(0, 300), offset };
    }
  }

  isArchived({ topic }: { readonly topic: string }): boolean {
    return this.policies.inForce(ARCHIVE_POLICY).body.topics.some((one) => one === topic);
  }

  async #aged(
    { topic, keep_ms }: RetainedTopic,
    marks: readonly PartitionMarks[],
  ): Promise<ReadonlyMap<number, Offset>> {
    // For ever: nothing is ever old enough.
    if (keep_ms === null) return new Map(marks.map(({ partition, lowWater }) => [partition, lowWater]));
    const young = await this.bus.offsetsAt(topic, this.clock.nowMs() - keep_ms);
    return new Map(young.map(({ partition, offset }) => [partition, offset]));
  }

  async #ofArchive(topic: RetainedTopic, at: TopicPartition): Promise<readonly Limit[]> {
    if (this.isArchived(topic)) return [{ by: 'archive', offset: await this.archive.position(at) }];
    return topic.unarchived === 'allowed' ? [] : [{ by: 'archive (not archived)', offset: null }];
  }
}
