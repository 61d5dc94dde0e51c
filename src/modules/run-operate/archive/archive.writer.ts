import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import { Injectable, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common';
import { systemActor } from '../../../rails/actor.js';
import { digestBytes } from '../../../rails/digest.js';
import type { Offset } from '../../../rails/eb-ref.js';
import { isProbityError, ProbityError } from '../../../rails/errors/probity-error.js';
import type { Ref } from '../../../rails/ref.js';
import { fromEpochMs } from '../../../rails/time.js';
import { Bus, type BusRecord, type PartitionMarks } from '../../../substrate/bus/bus.port.js';
import { Clock } from '../../../substrate/clock/clock.port.js';
import { Rounds } from '../../../substrate/clock/rounds.js';
import { LeaseLost } from '../../../substrate/lease/held-work.js';
import { Objects } from '../../../substrate/objects/objects.port.js';
import { Policies } from '../../../substrate/policy/policy.port.js';
import { Telemetry } from '../../../substrate/telemetry/telemetry.port.js';
import { type Lease, Leases } from '../leases.js';
import { OperationFacts } from '../operation-facts.js';
import { ARCHIVE_POLICY, type ArchivePolicy } from './archive.policy.js';
import { ArchiveSignals } from './archive.signals.js';
import { ArchiveStore } from './archive.store.js';
import { readChunk } from './chunk-reader.js';
import { marksOf } from '../../../substrate/bus/standing-marks.js';
import { type Chunk, CHUNK_MEDIA_TYPE, chunkKey, type Cut, encodeChunk } from './chunk.core.js';

const packed = promisify(gzip);
const LOOK_AGAIN_MS = 1_000;
const POLL_WAIT_MS = 5_000;
const POLL_RECORDS = 1_000;
const LEASE = 'archive';
/** A chunk is written in well under a second; a writer that says nothing for so long is taken for dead. */
const LEASE_MS = 15_000;

interface Drawn {
  readonly records: readonly BusRecord[];
  /** Behind the last record, or as far as the partition was read without finding another. */
  readonly next: Offset;
}

/**
 * Copies topics into chunks that never change, one process at a time. Where a chunk ends is decided first and kept; then the object is put; then its row
 * is written, which is the position as well. A crash between any two of these leaves a cut that the next life finishes with the same bytes.
 */
@Injectable()
export class ArchiveWriter implements OnApplicationBootstrap, OnModuleDestroy {
  readonly #rounds: Rounds;
  readonly #ended = new AbortController();
  /** Since when something of a partition stands in no chunk. */
  readonly #waiting = new Map<string, { readonly from: Offset; readonly sinceMs: number }>();
  #lease: Lease | null = null;

  constructor(
    private readonly store: ArchiveStore,
    private readonly leases: Leases,
    private readonly facts: OperationFacts,
    private readonly bus: Bus,
    private readonly objects: Objects,
    private readonly policies: Policies,
    private readonly signals: ArchiveSignals,
    private readonly clock: Clock,
    private readonly telemetry: Telemetry,
  ) {
    this.#rounds = new Rounds({
      clock,
      everyMs: LOOK_AGAIN_MS,
      round: () => this.round(),
      onFailure: (error) => this.#failed(error),
    });
  }

  onApplicationBootstrap(): void {
    this.#rounds.start();
  }

  async onModuleDestroy(): Promise<void> {
    this.#ended.abort();
    await this.#rounds.stop();
    if (this.#lease !== null) await this.leases.release(this.#lease).catch(() => undefined);
  }

  /**
   * One look at all partitions. @returns how many chunks it wrote; none where another process archives
   * @param isDue false: what is there is archived now, however little it is
   */
  async round(isDue = true): Promise<number> {
    if (!(await this.#holds())) return 0;
    const { body } = this.policies.inForce(ARCHIVE_POLICY);
    let written = 0;
    for (const topic of body.topics) {
      for (const mark of await marksOf(this.bus, topic)) {
        if (this.#ended.signal.aborted) return written;
        written += await this.#partition(mark, body, isDue);
      }
    }
    return written;
  }

  async #holds(): Promise<boolean> {
    if (this.#lease === null) this.#lease = await this.leases.acquire(LEASE, LEASE_MS);
    else await this.#renew(this.#lease);
    return this.#lease !== null;
  }

  async #renew(lease: Lease): Promise<void> {
    try {
      await this.leases.renew(lease, LEASE_MS);
    } catch (error) {
      if (!(error instanceof LeaseLost)) throw error;
      this.#lease = null;
    }
  }

  async #partition(mark: PartitionMarks, policy: ArchivePolicy, isDue: boolean): Promise<number> {
    const from = (await this.store.position(mark)) ?? mark.lowWater;
    this.signals.behind(mark, mark.highWater - from);
    if (from < mark.lowWater) return await this.#passOver(mark, from);
    const decided = await this.store.cutFrom(mark, from);
    if (decided !== null) return await this.#finish(decided, null);
    if (from >= mark.highWater || (isDue && !this.#isDue(mark, from, policy))) return 0;
    const startedMs = this.clock.monotonicMs();
    const drawn = await this.#draw(mark, from, mark.highWater, policy);
    if (drawn.next <= from) return 0;
    const { topic, partition } = mark;
    const cut = await this.store.decide({
      ...{ topic, partition, firstOffset: from, nextOffset: drawn.next },
      cutAt: fromEpochMs(this.clock.nowMs()),
    });
    return await this.#finish(cut, cut.nextOffset === drawn.next ? drawn.records : null, startedMs);
  }

  #isDue({ topic, partition, highWater }: PartitionMarks, from: Offset, policy: ArchivePolicy): boolean {
    const key = `${topic}/${partition}`;
    const now = this.clock.monotonicMs();
    let waiting = this.#waiting.get(key);
    if (waiting?.from !== from) this.#waiting.set(key, (waiting = { from, sinceMs: now }));
    return highWater - from >= policy.chunk_records_max || now - waiting.sinceMs >= policy.chunk_age_ms;
  }

  /** Records from an offset on, up to a mark or as many as one chunk takes. */
  async #draw(
    { topic, partition }: PartitionMarks | Cut,
    from: Offset,
    until: Offset,
    { chunk_records_max, chunk_bytes_max }: Pick<ArchivePolicy, 'chunk_records_max' | 'chunk_bytes_max'>,
  ): Promise<Drawn> {
    const reader = await this.bus.openReader([{ topic, partition, offset: from }]);
    const records: BusRecord[] = [];
    let [next, bytes] = [from, 0];
    try {
      while (next < until) {
        const batches = await reader.poll({
          recordsMax: Math.min(POLL_RECORDS, chunk_records_max - records.length),
          waitMs: POLL_WAIT_MS,
        });
        // There are records up to the mark: one that is waited for so long is held back by an append that has not ended.
        if (batches.length === 0) break;
        for (const batch of batches) {
          for (const record of batch.records) {
            if (record.offset >= until) return { records, next: until };
            records.push(record);
            bytes += record.value.byteLength;
            next = (record.offset + 1) as Offset;
            if (records.length >= chunk_records_max || bytes >= chunk_bytes_max) return { records, next };
          }
          next = Math.min(batch.nextOffset, until) as Offset;
        }
      }
      return { records, next };
    } finally {
      await reader.close();
    }
  }

  /** Object first, then its row: a row without an object would be a chunk that nobody can read. */
  async #finish(cut: Cut, drawn: readonly BusRecord[] | null, startedMs = this.clock.monotonicMs()): Promise<number> {
    const records = drawn ?? (await this.#drawn(cut));
    const bytes = encodeChunk(cut, records);
    const content = { records: records.length, bytes: bytes.byteLength, contentDigest: digestBytes(bytes) };
    const ref = await this.#put(cut, content, await packed(bytes));
    const chunk = await this.store.index(cut, { ...content, ref });
    if (this.#lease !== null) await this.#renew(this.#lease);
    if (chunk === null) return 0;
    this.#waiting.delete(`${cut.topic}/${cut.partition}`);
    this.signals.written(chunk, this.clock.monotonicMs() - startedMs);
    return 1;
  }

  async #drawn(cut: Cut): Promise<readonly BusRecord[]> {
    const all = { chunk_records_max: Number.MAX_SAFE_INTEGER, chunk_bytes_max: Number.MAX_SAFE_INTEGER };
    const { records, next } = await this.#draw(cut, cut.firstOffset, cut.nextOffset, all);
    if (next === cut.nextOffset) return records;
    throw new ProbityError(
      'BUS_UNAVAILABLE',
      `${cut.topic}/${cut.partition} gave nothing at ${next} of ${cut.nextOffset}`,
    );
  }

  /** Another release may pack the same content into other bytes: what stands is taken where it says the same. */
  async #put(cut: Cut, content: { records: number; bytes: number; contentDigest: string }, body: Buffer): Promise<Ref> {
    const put = await this.objects.putIfAbsent(chunkKey(cut), body, { mediaType: CHUNK_MEDIA_TYPE });
    if (put.outcome !== 'CONFLICT') return put.ref;
    await readChunk(this.objects, {
      ...{ topic: cut.topic, partition: cut.partition, first_offset: cut.firstOffset, next_offset: cut.nextOffset },
      ...{ records: content.records, bytes: content.bytes, content_digest: content.contentDigest as Chunk['chain'] },
      ...{ chain: content.contentDigest as Chunk['chain'], ref: put.ref, archived_at_utc: cut.cutAt },
    });
    return put.ref;
  }

  /** What is gone is gone: that it is missing is kept for ever, and the rest is archived before it goes, too. */
  async #passOver(mark: PartitionMarks, from: Offset): Promise<number> {
    const { topic, partition, lowWater } = mark;
    const stretch = { first: from, next: lowWater };
    const at = fromEpochMs(this.clock.nowMs());
    const operation = { opId: `archive:${topic}/${partition}:${from}`, actor: systemActor('ops'), at };
    const noted = await this.store.noteGap(mark, stretch, at, async (transaction) => {
      await this.facts.append(transaction, operation, [
        {
          ...{ kind: 'ARCHIVE_GAP', subject: `${topic}/${partition}` },
          reason: 'the bus no longer had it when it was to be archived',
          detail: { first_offset: from, next_offset: lowWater },
        },
      ]);
    });
    if (!noted) return 0;
    this.signals.gap(mark);
    this.telemetry.logger.error('ops_archive_gap', { topic, partition, first_offset: from, next_offset: lowWater });
    return 1;
  }

  #failed(error: unknown): void {
    const code = isProbityError(error) ? error.code : 'INTERNAL';
    this.signals.failed(code);
    this.telemetry.logger.error('ops_archive_failed', { code, detail: String(error) });
  }
}
