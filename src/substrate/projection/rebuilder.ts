import { type Basis, nextOffset, topicsOf } from '../../rails/basis.js';
import { isProbityError, ProbityError } from '../../rails/errors/probity-error.js';
import type { PolicyRev } from '../../rails/policy-rev.js';
import type { Ref } from '../../rails/ref.js';
import type { Offset, Position } from '../bus/bus.port.js';
import type { Clock } from '../clock/clock.port.js';
import type { Logger } from '../telemetry/telemetry.port.js';
import { compared } from './comparison.js';
import { Fold } from './fold.js';
import type { Counted, Generation, Live, RebuildOrder } from './generation.schema.js';
import type { GenerationsStore } from './generations.store.js';
import { CHECKPOINT_ROWS, type Projector } from './projector.js';
import { folded, NewestOnly, Positions, readTogether, type ReplayLog, type ReplayStretch } from './replay.js';
import { restored } from './restored.js';
import { ProjectedRuns, type ProjectedState } from './runs.js';

/** Whoever asked within this time is still at work, though nothing runs for him at the moment. */
const HOLD_MS = 5_000;
const LIVE_LOOK_MS = 50;
const LIVE_WAIT_MS = 30_000;

/**
 * Makes another generation of a projector's state from the log, beside the one that is served: the same fold, written to rows of its own, so that no more of it
 * is in memory than a checkpoint. It is compared with the live state at its basis, and takes its place where it is told to and both are equal. One at a
 * time, in the process that owns the state; each step is found done when it is asked for again (law R6).
 */
export class Rebuilder<State extends ProjectedState> {
  #task: Promise<void> | undefined;
  #asked: { readonly opId: string; readonly atMs: number } | undefined;
  #failed: { readonly opId: string; readonly error: unknown } | undefined;
  readonly #stop = new AbortController();

  constructor(
    private readonly projector: Projector<State>,
    private readonly generations: GenerationsStore,
    private readonly log: ReplayLog,
    private readonly clock: Clock,
    private readonly logger: Logger,
    private readonly checkpointRows = CHECKPOINT_ROWS,
  ) {}

  /** What is not done yet is taken up again by the next process. */
  async onModuleDestroy(): Promise<void> {
    this.#stop.abort();
    await this.#task;
  }

  live(): Promise<Live> {
    const { owner, vector, projection } = this.projector;
    this.projector.demandOwnership();
    return Promise.resolve({
      generation: owner.live,
      basis: vector.record(),
      policy_rev: projection.policyRev,
    });
  }

  /** @throws as the port says */
  async rebuild({ op_id: opId, plan, to }: RebuildOrder): Promise<Generation> {
    this.projector.demandOwnership();
    const before = await this.generations.find(opId);
    if (before !== null && before.plan.digest.hex !== plan.digest.hex)
      throw new ProbityError('OPS_JOB_CONFLICT', `${opId} has another plan already`);
    if (before?.state === 'DISCARDED')
      throw new ProbityError('REPLAY_GENERATION_GONE', `the generation of ${opId} was let go`);
    if (before !== null && hasCome(before, to)) return before;
    this.#demandTurn(opId);
    const failed = this.#failed;
    this.#failed = undefined;
    if (failed?.opId === opId) throw failed.error;
    const found = before ?? (await this.#begun(opId, plan));
    this.#task ??= this.#run(opId, to);
    return found;
  }

  async #begun(opId: string, plan: Ref): Promise<Generation> {
    await this.generations.begin(this.projector.owner, opId, plan, this.projector.projection.policyRev);
    const found = await this.generations.find(opId);
    if (found === null) throw new ProbityError('INTERNAL', 'a generation that was begun is not there');
    return found;
  }

  #demandTurn(opId: string): void {
    const atMs = this.clock.monotonicMs();
    const before = this.#asked;
    const isHeld = before !== undefined && before.opId !== opId;
    if (isHeld && (this.#task !== undefined || atMs - before.atMs < HOLD_MS))
      throw new ProbityError('REPLAY_BUSY', `the generation of ${before.opId} is being made`);
    this.#asked = { opId, atMs };
  }

  async #run(opId: string, to: RebuildOrder['to']): Promise<void> {
    const { signal } = this.#stop;
    let found: Generation | null = null;
    try {
      // Anew: the last task may have ended since whoever started this one looked.
      found = await this.generations.find(opId);
      if (found !== null && !hasCome(found, to)) await this.#steps(found, to, signal);
    } catch (error) {
      if (signal.aborted) return;
      this.logger.warn(`${this.projector.projection.name}_rebuild_ended`, { op_id: opId, detail: String(error) });
      if (found !== null && isProbityError(error) && !error.retryable)
        await this.#fail(found.generation, error).catch(() => undefined);
      else this.#failed = { opId, error };
    } finally {
      this.#task = undefined;
    }
  }

  async #steps(found: Generation, to: RebuildOrder['to'], signal: AbortSignal): Promise<void> {
    const { basis, stretches } = await this.log.open(found.plan);
    let { state } = found;
    if (state === 'BUILDING') {
      demandSame(found.policy_rev, this.projector.projection.policyRev);
      await this.#written(found.generation, stretches, signal, { ...found.counted });
      await this.generations.to(this.projector.owner, found.generation, 'BUILT');
      state = 'BUILT';
    }
    if (to === 'BUILT') return;
    if (state === 'BUILT') state = await this.#compare(found.generation, basis, signal);
    if (to === 'LIVE' && state === 'EQUAL') await this.#cutOver(found, signal);
  }

  async #fail(generation: number, { code, detail }: ProbityError): Promise<void> {
    await this.generations.to(this.projector.owner, generation, 'FAILED', {
      fault: { code, says: detail.slice(0, 500) },
    });
  }

  /**
   * From where its own positions stand: rows, positions and counts move in one transaction (law R5).
   * @param counted is added to; left out for what lies behind the plan
   */
  async #written(
    generation: number,
    stretches: readonly ReplayStretch[],
    signal: AbortSignal,
    counted?: Counted,
  ): Promise<void> {
    const { store, projection } = this.projector;
    const fold = new Fold(projection, () => new NewestOnly());
    const positions = new Positions(await store.positions(generation));
    const save = async (): Promise<void> => {
      const drained = fold.drain();
      const runs = await fold.packed(drained);
      const { owner } = this.projector;
      await store.save(
        { owner, generation, positions: positions.all(), runs, invalid: drained.invalid },
        async (transaction) => {
          if (counted !== undefined) await this.generations.count(transaction, generation, counted);
        },
      );
    };
    let sinceSaved = 0;
    for await (const read of readTogether(stretches, positions, signal)) {
      await folded(fold, read, ({ events, labels, invalid }) => {
        if (counted === undefined) return;
        counted.events += events;
        counted.labels += labels;
        counted.invalid += invalid.length;
      });
      if (counted !== undefined) counted.records += read.records.length;
      positions.move(read, read.next);
      sinceSaved += read.records.length;
      // Also where nothing of it is kept: a crash need not read it all again.
      if (fold.runs.pending < this.checkpointRows && sinceSaved < 4 * this.checkpointRows) continue;
      await save();
      sinceSaved = 0;
    }
    signal.throwIfAborted();
    await save();
  }

  async #compare(generation: number, basis: Basis, signal: AbortSignal): Promise<'EQUAL' | 'DIFFERENT'> {
    const { projector, generations } = this;
    const { projection, store } = projector;
    await this.#reached(basis, signal);
    const built = new ProjectedRuns(projection.open, projection.fields);
    await restored(store, generation, built);
    // So that what could not be used up to now is on record, too.
    await projector.checkpoint();
    const found = await compared({
      ...{ basis, built, horizonMicros: projection.horizonMicros, live: projector.runs },
      liveInvalid: await generations.invalid(projector.owner.live, basis),
      builtInvalid: await generations.invalid(generation, basis),
    });
    const state = found.equal ? 'EQUAL' : 'DIFFERENT';
    await generations.to(projector.owner, generation, state, { compared: found });
    this.logger.info(`${projection.name}_generation_compared`, { generation, equal: found.equal });
    return state;
  }

  /** @throws REPLAY_LIVE_BEHIND */
  async #reached(basis: Basis, signal: AbortSignal): Promise<void> {
    const { vector } = this.projector;
    const behind = (): string | undefined =>
      topicsOf(basis)
        .flatMap((topic) => Object.keys(basis.topics[topic] ?? {}).map((partition) => ({ topic, partition })))
        .filter(
          ({ topic, partition }) =>
            (vector.nextOf(topic, Number(partition)) ?? 0) < nextOffset(basis, topic, Number(partition)),
        )
        .map(({ topic, partition }) => `${topic}/${partition}`)[0];
    const untilMs = this.clock.monotonicMs() + LIVE_WAIT_MS;
    for (let at = behind(); at !== undefined; at = behind()) {
      signal.throwIfAborted();
      if (this.clock.monotonicMs() >= untilMs)
        throw new ProbityError('REPLAY_LIVE_BEHIND', `${at} is before the basis`);
      await this.clock.sleep(LIVE_LOOK_MS, signal);
    }
  }

  /**
   * First what came since the basis is added to the rows; then they are read into memory, while what is left to come is small. From the moment at which the
   * fold follows, it gets what the live one gets; what lies between is read from the log; then it is exactly as far, and takes over.
   */
  async #cutOver({ generation, op_id }: Generation, signal: AbortSignal): Promise<void> {
    const { projector, generations } = this;
    const { store, projection } = projector;
    await this.#written(
      generation,
      this.#between(await store.positions(generation), projector.vector.positions()),
      signal,
    );
    const fold = new Fold(projection, projection.open);
    await restored(store, generation, fold.runs);
    const standing = await store.positions(generation);
    const followedFrom = projector.follow(fold);
    try {
      const from = new Positions(standing);
      for await (const read of readTogether(this.#between(standing, followedFrom), from, signal))
        await folded(fold, read);
      signal.throwIfAborted();
      await projector.adopt(generation, (transaction) => generations.live(transaction, generation));
    } catch (error) {
      projector.unfollow();
      throw error;
    }
    this.logger.info(`${projection.name}_cutover`, { op_id, generation });
  }

  #between(from: readonly Position[], to: readonly Position[]): readonly ReplayStretch[] {
    const standing = new Positions(from);
    return to.flatMap(({ topic, partition, offset: end }) => {
      const start: Offset = standing.of({ topic, partition });
      return start < end ? [this.log.onward({ topic, partition, start, end })] : [];
    });
  }
}

function hasCome({ state }: Generation, to: RebuildOrder['to']): boolean {
  if (state === 'FAILED' || state === 'LIVE') return true;
  if (to === 'BUILT') return state !== 'BUILDING';
  return state === 'DIFFERENT' || (to === 'COMPARED' && state === 'EQUAL');
}

function demandSame(then: PolicyRev, now: PolicyRev): void {
  if (then.content_digest === now.content_digest && then.revision === now.revision) return;
  throw new ProbityError(
    'REPLAY_POLICY_CHANGED',
    `${now.policy_id} ${now.revision} is in force, and the rebuild began under ${then.revision}`,
  );
}
