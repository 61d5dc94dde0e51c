import { digestCanonical } from '../../rails/canonical-json.js';
import { isProbityError, ProbityError } from '../../rails/errors/probity-error.js';
import { isOtherType } from '../../rails/events/read-event.js';
import type { BusRecord, Offset, Position, PositionStore, RecordBatch, TopicPartition } from '../bus/bus.port.js';
import type { Transaction } from '../database/database.port.js';
import type { Clock } from '../clock/clock.port.js';
import { NO_LONGER_NEEDED } from '../clock/deadline.js';
import type { Logger } from '../telemetry/telemetry.port.js';
import type { CheckpointStore, Owner } from './checkpoint.store.js';
import { Fold } from './fold.js';
import { CONTROL, type Projection, TRAFFIC } from './projection.js';
import { restored } from './restored.js';
import type { ProjectedRuns, ProjectedState } from './runs.js';
import { Vector } from './vector.js';

/** A checkpoint is made after so many rows, or so long after the first of them. */
export const CHECKPOINT_ROWS = 50_000;
const CHECKPOINT_AFTER_MS = 5_000;

export interface ProjectionSignals {
  applied(applied: number, noop: number, invalid: number): void;
  saved(tookMs: number): void;
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
  readonly #heads = new Map<string, { next: number; highWater: number }>();
  #fold: Fold<State>;
  /** A fold that gets what comes as well, until it takes the place of the one that answers. */
  #beside: Fold<State> | undefined;
  #owner: Owner = { fence: 0, live: 0 };
  #superseded = false;
  #dirtySinceMs: number | undefined;
  #saving: Promise<void> = Promise.resolve();
  #savedAtMs: number | undefined;
  #timer = false;
  readonly #ended = new AbortController();

  constructor(
    readonly projection: Projection<State>,
    readonly store: CheckpointStore,
    private readonly clock: Clock,
    private readonly logger: Logger,
    private readonly told: () => ProjectionSignals,
  ) {
    this.#fold = new Fold(projection, projection.open);
  }

  async onModuleInit(): Promise<void> {
    const { name, fields, types } = this.projection;
    // The members that are kept, and the streams whose events they are kept of.
    const keptDigest = digestCanonical({ fields, types: [...types].sort(), format: 1 });
    const { owner, rebuilt } = await this.store.takeOver(keptDigest);
    this.#owner = owner;
    if (rebuilt) this.logger.warn(`${name}_rebuild`, { why: 'other members of events are kept now' });
    const startedMs = this.clock.monotonicMs();
    const rows = await restored(this.store, owner.live, this.runs);
    for (const position of await this.store.positions(owner.live)) this.vector.moveTo(position, position.offset);
    const took_ms = Math.round(this.clock.monotonicMs() - startedMs);
    this.logger.info(`${name}_loaded`, { rows, generation: owner.live, took_ms });
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

  /** The states that answer: ask for them anew after each await, since a cutover puts others in their place. */
  get runs(): ProjectedRuns<State> {
    return this.#fold.runs;
  }

  get owner(): Owner {
    return this.#owner;
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
    return await this.store.positions(this.#owner.live);
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
    return !isOtherType(value, this.#fold.wantedOf(topic));
  }

  /** Applies a batch in one step and moves the vector with it. */
  async take(batch: RecordBatch): Promise<void> {
    this.demandOwnership();
    const next = this.vector.nextOf(batch.topic, batch.partition) ?? 0;
    const fresh = batch.records.filter(({ offset }) => offset >= next);
    const taken = this.#fold.take(batch, fresh);
    this.#beside?.take(batch, fresh);
    for (const { topic, partition, offset, reason, detail } of taken.invalid)
      this.logger.error(`${this.projection.name}_invalid_record`, { topic, partition, offset, reason, detail });
    this.vector.moveTo(batch, batch.nextOffset);
    this.#heads.set(`${batch.topic} ${batch.partition}`, { next: batch.nextOffset, highWater: batch.highWater });
    this.told().applied(taken.events + taken.labels, taken.noop, taken.invalid.length);
    this.#dirtySinceMs ??= this.clock.monotonicMs();
    if (this.#due()) await this.checkpoint();
    else this.#saveLater();
  }

  /** State and vector as they are now, written together; one after the other, and what comes meanwhile belongs to the next. */
  async checkpoint(): Promise<void> {
    await this.#inTurn(() => this.#save());
  }

  /**
   * From now on this fold gets what comes as well as the one that answers.
   * @returns where the memory stands, so that the caller knows what else the fold has to be given
   */
  follow(fold: Fold<State>): readonly Position[] {
    this.#beside = fold;
    return this.vector.positions();
  }

  unfollow(): void {
    this.#beside = undefined;
  }

  /**
   * The fold that follows answers from now on. What it holds that its generation does not have yet, the vector and the pointer to the generation are written in one
   * transaction; then it takes the other one's place in one step. The vector goes on as it stands: nobody sees it go back.
   */
  async adopt(generation: number, also: (transaction: Transaction) => Promise<void>): Promise<void> {
    await this.#inTurn(async () => {
      const fold = this.#beside;
      if (fold === undefined) throw new ProbityError('INTERNAL', 'no state follows that could take over');
      const drained = fold.drain();
      const positions = this.vector.positions();
      const runs = await fold.packed(drained);
      await this.store.save(
        { owner: this.#owner, generation, positions, runs, invalid: drained.invalid },
        async (transaction) => {
          await transaction.query('update owner set generation = $1', [generation]);
          await also(transaction);
        },
      );
      this.#owner = { ...this.#owner, live: generation };
      this.#fold = fold;
      this.#beside = undefined;
      // What came while it was written is in neither checkpoint.
      this.#dirtySinceMs ??= this.clock.monotonicMs();
      this.#savedAtMs = this.clock.monotonicMs();
      this.#saveLater();
    });
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

  /** One write after the other; each failure is its caller's. */
  async #inTurn(write: () => Promise<void>): Promise<void> {
    const saving = this.#saving.then(write).catch((error: unknown) => {
      if (isProbityError(error, this.store.errors.superseded) && !this.#superseded) {
        this.#superseded = true;
        this.logger.error(`${this.projection.name}_superseded`, {});
      }
      throw error;
    });
    this.#saving = saving.catch(() => undefined);
    await saving;
  }

  async #save(): Promise<void> {
    if (this.#dirtySinceMs === undefined || this.#superseded) return;
    const startedMs = this.clock.monotonicMs();
    const fold = this.#fold;
    const positions = this.vector.positions();
    const drained = fold.drain();
    const dirtySince = this.#dirtySinceMs;
    this.#dirtySinceMs = undefined;
    try {
      const runs = await fold.packed(drained);
      const owner = this.#owner;
      await this.store.save({ owner, generation: owner.live, positions, runs, invalid: drained.invalid });
      this.#savedAtMs = this.clock.monotonicMs();
      this.told().saved(this.#savedAtMs - startedMs);
    } catch (error) {
      fold.putBack(drained);
      this.#dirtySinceMs = dirtySince;
      throw error;
    }
  }
}
