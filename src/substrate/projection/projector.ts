import { promisify } from 'node:util';
import { gunzip, gzip } from 'node:zlib';
import { digestCanonical } from '../../rails/canonical-json.js';
import { isProbityError, ProbityError } from '../../rails/errors/probity-error.js';
import { LabelSchema } from '../../rails/events/label.schema.js';
import { type BusEvent, isOtherType, readEvent } from '../../rails/events/read-event.js';
import type { FeatureEvent } from '../../rails/features/event-table.js';
import { type KeptEvent, type KeptLabel, restoreEvent, restoreLabel } from '../../rails/features/kept.js';
import { type LabelFact, labelFactOf } from '../../rails/features/label-table.js';
import { isNoWorld } from '../../rails/pins.js';
import { validatorOf } from '../../rails/validator.js';
import type { BusRecord, Offset, Position, PositionStore, RecordBatch, TopicPartition } from '../bus/bus.port.js';
import type { Clock } from '../clock/clock.port.js';
import { NO_LONGER_NEEDED } from '../clock/deadline.js';
import type { Logger } from '../telemetry/telemetry.port.js';
import type { CheckpointStore, InvalidRecord, StoredSegment } from './checkpoint.store.js';
import { type ProjectedRun, ProjectedRuns, type ProjectedState } from './runs.js';
import { eventsSegment, labelsSegment, rowsOf, type SegmentText } from './segments.js';
import { Vector } from './vector.js';

export const TRAFFIC = 'fp.bus.traffic.v1';
export const CONTROL = 'fp.bus.control.v1';

const packed = promisify(gzip);
const unpacked = promisify(gunzip);
const labels = validatorOf(LabelSchema, 'the label');

/** A checkpoint is made after so many rows, or so long after the first of them. */
const CHECKPOINT_ROWS = 50_000;
const CHECKPOINT_AFTER_MS = 5_000;

/** What is projected, and of what. */
export interface Projection<State extends ProjectedState> {
  /** How its log events begin: `ofp`. */
  readonly name: string;
  readonly open: () => State;
  /** Types of events that are applied, and the members of their payloads that are kept. */
  readonly types: readonly string[];
  readonly fields: readonly string[];
  readonly readsLabels: boolean;
  /** What is so long behind the newest event is asked for by nobody. */
  readonly horizonMicros: number;
  /** Why an event of these types cannot be used; null when it can. */
  readonly unusable: (event: FeatureEvent) => string | null;
}

export interface ProjectionSignals {
  applied(applied: number, noop: number, invalid: number): void;
  saved(tookMs: number): void;
}

/** What one batch turned out to hold, before any of it is applied. */
interface Sorted<State extends ProjectedState> {
  readonly events: Map<ProjectedRun<State>, FeatureEvent[]>;
  readonly facts: Map<ProjectedRun<State>, LabelFact[]>;
  readonly invalid: InvalidRecord[];
  noop: number;
}

/**
 * Keeps a state per run in memory, and its checkpoint behind it.
 *
 * A batch is applied and the vector moved in one step without an await, so that an answer never sees half of it. What the memory has and the
 * checkpoint has not is read from the bus again after a crash: the vector of the checkpoint says from where (law R5). While the
 * process lives a failed batch is asked for again from the memory's own vector, and what lies below it is passed over (law R6).
 */
export class Projector<State extends ProjectedState> implements PositionStore {
  readonly vector = new Vector(TRAFFIC, [TRAFFIC, CONTROL]);
  readonly runs: ProjectedRuns<State>;
  readonly #types: ReadonlySet<string>;
  readonly #heads = new Map<string, { next: number; highWater: number }>();
  #invalid: InvalidRecord[] = [];
  #fence = 0;
  #superseded = false;
  #dirtySinceMs: number | undefined;
  #saving: Promise<void> = Promise.resolve();
  #savedAtMs: number | undefined;
  #timer = false;
  readonly #ended = new AbortController();

  constructor(
    private readonly projection: Projection<State>,
    private readonly store: CheckpointStore,
    private readonly clock: Clock,
    private readonly logger: Logger,
    private readonly told: () => ProjectionSignals,
  ) {
    this.#types = new Set(projection.types);
    this.runs = new ProjectedRuns(projection.open, projection.fields);
  }

  async onModuleInit(): Promise<void> {
    const { name, fields, types } = this.projection;
    // The members that are kept, and the streams whose events they are kept of.
    const keptDigest = digestCanonical({ fields, types: [...types].sort(), format: 1 });
    const { fence, rebuilt } = await this.store.takeOver(keptDigest);
    this.#fence = fence;
    if (rebuilt) this.logger.warn(`${name}_rebuild`, { why: 'other members of events are kept now' });
    await this.#load();
  }

  async onModuleDestroy(): Promise<void> {
    this.#ended.abort();
    try {
      await this.checkpoint();
    } catch (error) {
      // What was not saved is read from the bus again.
      this.logger.warn(`${this.projection.name}_last_checkpoint_failed`, { detail: String(error) });
    }
  }

  /** @throws the code for `superseded` once another process has taken over: answers of this one would grow old in silence */
  demandOwnership(): void {
    if (this.#superseded) throw new ProbityError(this.store.errors.superseded, 'another process keeps this state now');
  }

  /** Where the memory stands, which is where it wants to go on; after a start that is where the checkpoint stands (law R5). */
  positions(partitions: readonly TopicPartition[]): Promise<readonly Position[]> {
    return Promise.resolve(
      partitions.flatMap((place) => {
        const offset = this.nextOf(place);
        return offset === undefined ? [] : [{ ...place, offset }];
      }),
    );
  }

  /** Where the checkpoint stands: the memory is ahead of it, and is gone with the process. */
  async restartsAt(): Promise<readonly Position[]> {
    return await this.store.positions();
  }

  /** The first offset that is not in the state yet; undefined for a partition of which nothing is. */
  nextOf({ topic, partition }: TopicPartition): Offset | undefined {
    return this.vector.nextOf(topic, partition);
  }

  wakesOn(record: Pick<BusRecord, 'value'>, topic: string): boolean {
    return this.needs(record, topic);
  }

  /** Whether a record may hold something for this state; its first bytes say. */
  needs({ value }: Pick<BusRecord, 'value'>, topic: string): boolean {
    return !isOtherType(value, this.#wantedOf(topic));
  }

  /** Applies a batch in one step and moves the vector with it. */
  async take(batch: RecordBatch): Promise<void> {
    this.demandOwnership();
    const next = this.vector.nextOf(batch.topic, batch.partition) ?? 0;
    const fresh = batch.records.filter(({ offset }) => offset >= next);
    const sorted = this.#sort(batch, fresh);
    for (const [run, events] of sorted.events) this.runs.applyEvents(run, events);
    for (const [run, facts] of sorted.facts) this.runs.applyLabels(run, facts);
    for (const invalid of sorted.invalid) this.#mark(invalid);
    this.vector.moveTo(batch, batch.nextOffset);
    this.#heads.set(`${batch.topic} ${batch.partition}`, { next: batch.nextOffset, highWater: batch.highWater });
    this.told().applied(count(sorted.events) + count(sorted.facts), sorted.noop, sorted.invalid.length);
    this.#dirtySinceMs ??= this.clock.monotonicMs();
    if (this.#due()) await this.checkpoint();
    else this.#saveLater();
  }

  /** State and vector as they are now, written together; one after the other, and what comes meanwhile belongs to the next. */
  async checkpoint(): Promise<void> {
    const saving = this.#saving.then(() => this.#save());
    this.#saving = saving.catch(() => undefined);
    await saving;
  }

  *heads(): Generator<{ topic: string; partition: number; next: number; highWater: number }, void> {
    for (const [name, { next, highWater }] of this.#heads) {
      const [topic = '', partition = ''] = name.split(' ');
      yield { topic, partition: Number(partition), next, highWater };
    }
  }

  get checkpointAgeMs(): number | null {
    return this.#savedAtMs === undefined ? null : this.clock.monotonicMs() - this.#savedAtMs;
  }

  /** Until everything before these places on their own traffic partitions has been applied, or so long. */
  async reach(
    places: readonly { readonly partition: number; readonly offset: number }[],
    waitMs: number,
    signal: AbortSignal,
  ): Promise<void> {
    const furthest = new Map<number, number>();
    for (const { partition, offset } of places) furthest.set(partition, Math.max(offset, furthest.get(partition) ?? 0));
    const missing = [...furthest].filter(([partition, offset]) => !this.vector.hasReached(partition, offset));
    if (missing.length === 0 || waitMs === 0) return;
    const late = new AbortController();
    const end = AbortSignal.any([signal, late.signal]);
    const reached = Promise.all(missing.map(([partition, offset]) => this.vector.reached(partition, offset, end))).then(
      () => late.abort(NO_LONGER_NEEDED),
    );
    // The clock of the platform, so that a test can hold the time still; it wakes when there is nothing left to wait for.
    await this.clock.sleep(waitMs, end);
    late.abort(NO_LONGER_NEEDED);
    await reached;
  }

  #due(): boolean {
    const since = this.#dirtySinceMs;
    return (
      this.runs.pending >= CHECKPOINT_ROWS ||
      (since !== undefined && this.clock.monotonicMs() - since >= CHECKPOINT_AFTER_MS)
    );
  }

  /** What came last must not wait for the next batch, which may never come. */
  #saveLater(): void {
    if (this.#timer || this.#ended.signal.aborted) return;
    this.#timer = true;
    void this.clock.sleep(CHECKPOINT_AFTER_MS, this.#ended.signal).then(async () => {
      this.#timer = false;
      if (this.#ended.signal.aborted || this.#dirtySinceMs === undefined) return;
      await this.checkpoint().catch((error: unknown) => {
        this.logger.warn(`${this.projection.name}_checkpoint_failed`, { detail: String(error) });
        this.#saveLater();
      });
    });
  }

  #wantedOf(topic: string): (type: string) => boolean {
    if (topic === TRAFFIC) return (type) => this.#types.has(type);
    return (type) => this.projection.readsLabels && type === 'label';
  }

  #sort(batch: RecordBatch, records: readonly BusRecord[]): Sorted<State> {
    const sorted: Sorted<State> = { events: new Map(), facts: new Map(), invalid: [], noop: 0 };
    const wanted = this.#wantedOf(batch.topic);
    for (const record of records) {
      if (isOtherType(record.value, wanted)) {
        sorted.noop += 1;
        continue;
      }
      const read = readEvent(record.value);
      if (!read.ok) {
        sorted.invalid.push(invalidRecord(batch, record, read.reason, read.says, null));
        continue;
      }
      if (batch.topic === TRAFFIC) this.#sortEvent(batch, record, read.event, sorted);
      else this.#sortFact(batch, record, read.event, sorted);
    }
    return sorted;
  }

  #sortEvent(batch: RecordBatch, record: BusRecord, event: BusEvent, sorted: Sorted<State>): void {
    if (!this.#types.has(event.eventType)) {
      sorted.noop += 1;
      return;
    }
    if (isNoWorld(event.pins)) {
      sorted.invalid.push(invalidRecord(batch, record, 'MISSING_PINS', 'the event belongs to no run', null));
      return;
    }
    const seen = featureEventOf(event, batch.partition, record);
    const why = this.projection.unusable(seen);
    if (why !== null) {
      const digest = this.runs.digestOf(event.pins);
      sorted.invalid.push(invalidRecord(batch, record, 'PAYLOAD_UNUSABLE', why, digest));
      this.runs.open(event.pins);
      return;
    }
    pushTo(sorted.events, this.runs.open(event.pins), seen);
  }

  #sortFact(batch: RecordBatch, record: BusRecord, event: BusEvent, sorted: Sorted<State>): void {
    if (event.eventType !== 'label' || !this.projection.readsLabels) {
      sorted.noop += 1;
      return;
    }
    const label = labels.check(event.payload);
    if (!label.ok || isNoWorld(event.pins)) {
      const says = label.ok ? 'the label belongs to no run' : `/payload${label.fault.at} ${label.fault.says}`;
      const digest = isNoWorld(event.pins) ? null : this.runs.digestOf(event.pins);
      sorted.invalid.push(invalidRecord(batch, record, 'PAYLOAD_UNUSABLE', says, digest));
      if (!isNoWorld(event.pins)) this.runs.open(event.pins);
      return;
    }
    const fact = labelFactOf(label.value, { partition: batch.partition, offset: record.offset });
    if (fact === null) sorted.noop += 1;
    else pushTo(sorted.facts, this.runs.open(event.pins), fact);
  }

  #mark(invalid: InvalidRecord): void {
    this.#invalid.push(invalid);
    for (const run of this.runs) if (run.pinsDigest === invalid.pinsDigest) run.invalid += 1;
    const { topic, partition, offset, reason, detail } = invalid;
    this.logger.error(`${this.projection.name}_invalid_record`, { topic, partition, offset, reason, detail });
  }

  async #save(): Promise<void> {
    if (this.#dirtySinceMs === undefined || this.#superseded) return;
    const startedMs = this.clock.monotonicMs();
    const positions = this.vector.positions();
    const taken = [...this.runs].map((run) => ({ run, events: run.events, labels: run.labels }));
    const invalid = this.#invalid;
    const dirtySince = this.#dirtySinceMs;
    for (const { run } of taken) [run.events, run.labels] = [[], []];
    this.#invalid = [];
    this.#dirtySinceMs = undefined;
    try {
      const runs = await Promise.all(
        taken
          .filter(({ run, events, labels: facts }) => events.length + facts.length + run.invalid > 0)
          .map(async ({ run, events, labels: facts }) => ({
            pins: run.pins,
            pinsDigest: run.pinsDigest,
            segments: await packedSegments(events, facts),
            horizonMicros: (run.state.newest ?? -8.64e21) - this.projection.horizonMicros,
          })),
      );
      await this.store.save({ fence: this.#fence, positions, runs, invalid });
      this.#savedAtMs = this.clock.monotonicMs();
      this.told().saved(this.#savedAtMs - startedMs);
    } catch (error) {
      // Nothing was written: it stands first in the next one.
      for (const { run, events, labels: facts } of taken) {
        run.events = [...events, ...run.events];
        run.labels = [...facts, ...run.labels];
      }
      this.#invalid = [...invalid, ...this.#invalid];
      this.#dirtySinceMs = dirtySince;
      if (isProbityError(error, this.store.errors.superseded)) {
        this.#superseded = true;
        this.logger.error(`${this.projection.name}_superseded`, {});
      }
      throw error;
    }
  }

  async #load(): Promise<void> {
    const startedMs = this.clock.monotonicMs();
    let rows = 0;
    for (const { run: number, pins, invalid } of await this.store.runs()) {
      const run = this.runs.open(pins);
      run.invalid = invalid;
      for await (const segment of this.store.segments(number)) {
        await this.#restore(run, segment);
        rows += segment.rows;
      }
    }
    for (const position of await this.store.positions()) this.vector.moveTo(position, position.offset);
    const took_ms = Math.round(this.clock.monotonicMs() - startedMs);
    this.logger.info(`${this.projection.name}_loaded`, { rows, took_ms });
  }

  async #restore(run: ProjectedRun<State>, segment: StoredSegment): Promise<void> {
    try {
      const text = (await unpacked(segment.bytes)).toString('utf8');
      if (segment.kind === 'events')
        run.state.apply([...rowsOf<KeptEvent>(text)].map((kept) => restoreEvent(kept, this.projection.fields)));
      else run.state.applyLabels([...rowsOf<KeptLabel>(text)].map(restoreLabel));
    } catch (cause) {
      throw new ProbityError(this.store.errors.damaged, `a segment of run ${run.pins.run_id} cannot be read`, {
        cause,
      });
    }
  }
}

export function featureEventOf(
  event: BusEvent,
  partition: number,
  { offset }: Pick<BusRecord, 'offset'>,
): FeatureEvent {
  const { eventId, eventType, ts, payload } = event;
  return { eventId, eventType, ts, partition, offset, payload };
}

async function packedSegments(
  events: readonly KeptEvent[],
  facts: readonly KeptLabel[],
): Promise<readonly StoredSegment[]> {
  const texts: SegmentText[] = [];
  if (events.length > 0) texts.push(eventsSegment(events));
  if (facts.length > 0) texts.push(labelsSegment(facts));
  return await Promise.all(
    texts.map(async ({ kind, rows, newestMicros, text }) => ({
      kind,
      rows,
      newestMicros,
      bytes: await packed(text, { level: 1 }),
    })),
  );
}

function invalidRecord(
  { topic, partition }: TopicPartition,
  { offset }: BusRecord,
  reason: string,
  detail: string,
  pinsDigest: string | null,
): InvalidRecord {
  return { topic, partition, offset, reason, detail: detail.slice(0, 500), pinsDigest };
}

function pushTo<Key, Value>(lists: Map<Key, Value[]>, key: Key, value: Value): void {
  const list = lists.get(key);
  if (list === undefined) lists.set(key, [value]);
  else list.push(value);
}

function count(lists: ReadonlyMap<unknown, readonly unknown[]>): number {
  let sum = 0;
  for (const list of lists.values()) sum += list.length;
  return sum;
}
