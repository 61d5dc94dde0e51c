import { ProbityError } from '../../../rails/errors/probity-error.js';
import { type Clock } from '../../clock/clock.port.js';
import { type Database } from '../../database/database.port.js';
import { type Logger } from '../../telemetry/telemetry.port.js';
import { asOffset } from '../../../rails/eb-ref.js';
import {
  type BusConsumer,
  type ConsumerOptions,
  type PartitionStatus,
  type Position,
  type TopicPartition,
} from '../bus.port.js';
import { backoffMs, beginPartitions, PartitionWorker, positionFault, type WorkerContext } from '../partition-worker.js';
import { Bell } from './bell.js';
import { repeatableFault } from './faults.js';
import { Growth } from './growth.js';
import { type LogReader } from './log.js';
import { Membership } from './membership.js';
import { type PlaceId, type Signals } from './signals.js';
import { type Topic, type TopicCatalog } from './topics.js';

export interface ConsumerContext {
  readonly database: Database;
  readonly topics: TopicCatalog;
  readonly log: LogReader;
  readonly signals: Signals;
  readonly clock: Clock;
  readonly logger: Logger | undefined;
  readonly onStopped: (consumer: BusConsumer) => void;
}

const SESSION_TIMEOUT_MS = 10_000;
/** Often enough that a death is noticed within half a second, seldom enough that sixteen consumers cost the server nothing. */
const PULSE_MS = 500;
/** While a partition is still with its old owner; its hand-over is also announced, so this is for what got lost. */
const PULSE_PENDING_MS = 100;
/** This much before the group would give a member up, the member gives up by itself. */
const SELF_FENCE = 0.9;
const IDLE_MS = 60_000;

/** A partition whose lock this member holds. */
interface Held {
  readonly place: PlaceId;
  readonly worker: PartitionWorker;
  /** Settles when onAssigned has been heard and the position is known; true when onAssigned succeeded. */
  assigned: Promise<boolean>;
  /** Set once it is on its way back. */
  leaving: boolean;
  readonly growth: Growth;
  readonly silence: () => void;
}

/**
 * A member of a group. Three activities side by side, none of which waits for another:
 *
 * - **rounds**: pulse, make a new assignment when the members changed, compare what is held with what is due. A round
 *   never waits for the unit's code: a slow handler must not make the member look dead.
 * - **hand-overs**: per partition, away (abort the signal, wait for the batch in flight, onRevoked, unlock) or here (lock,
 *   onAssigned, ask the store for the position).
 * - **the pump**: one fetch for all partitions that are ready and may have something; each batch then goes its own way.
 *
 *     idle --start()--> joined --session lost or pulse overdue--> lost: everything is revoked as `lost` --> joined again
 *                          \--stop()--> everything is released --> left
 */
export class EmbeddedConsumer implements BusConsumer {
  readonly #context: ConsumerContext;
  readonly #options: ConsumerOptions;
  readonly #worker: WorkerContext;
  readonly #held = new Map<string, Held>();
  readonly #rounds: Bell;
  readonly #pump: Bell;
  readonly #sessionTimeoutMs: number;
  #topics: readonly Topic[] = [];
  #membership: Membership | undefined;
  /** When the last pulse that was answered was sent. */
  #pulsedAtMs = 0;
  #generation = -1;
  #target: readonly PlaceId[] = [];
  #stopping = false;
  #over = false;
  #started: Promise<void> | undefined;
  #running: Promise<unknown> = Promise.resolve();

  constructor(context: ConsumerContext, options: ConsumerOptions) {
    this.#context = context;
    this.#options = options;
    this.#sessionTimeoutMs = options.sessionTimeoutMs ?? SESSION_TIMEOUT_MS;
    this.#rounds = new Bell(context.clock);
    this.#pump = new Bell(context.clock);
    this.#worker = {
      options,
      clock: context.clock,
      marksOf: (places) => context.log.marks(places),
      heartbeat: () => this.#heartbeat(),
      onFailure: (event, places, fault) => {
        context.logger?.warn(event, {
          group: options.group,
          partitions: places.map(({ topic, partition }) => `${topic}/${partition}`),
          error: fault instanceof Error ? fault.message : String(fault),
        });
      },
    };
  }

  start(): Promise<void> {
    this.#started ??= this.#start();
    return this.#started;
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    this.#rounds.ring();
    await this.#started?.catch(() => undefined);
    await this.#running;
    this.#context.onStopped(this);
  }

  async status(): Promise<readonly PartitionStatus[]> {
    const known = [...this.#held.values()].filter(({ worker, leaving }) => !leaving && worker.nextOffset !== undefined);
    if (known.length === 0) return [];
    const workers = known.map(({ worker }) => worker);
    const marks = await this.#context.log.marks(workers);
    return workers.flatMap(({ topic, partition, nextOffset, halted }) => {
      const mark = marks.find((candidate) => candidate.topic === topic && candidate.partition === partition);
      if (mark === undefined || nextOffset === undefined) return [];
      const lagOffsets = Math.max(0, mark.highWater - nextOffset);
      const status = { topic, partition, nextOffset, highWater: mark.highWater, lagOffsets };
      return [halted === undefined ? status : { ...status, halted }];
    });
  }

  async #start(): Promise<void> {
    if (this.#stopping) throw new ProbityError('BUS_UNAVAILABLE', 'the consumer was stopped before it started');
    this.#topics = await this.#context.topics.find(this.#options.topics);
    try {
      this.#membership = await this.#join();
      await this.#round(this.#membership);
    } catch (fault) {
      await this.#membership?.close();
      throw repeatableFault(fault, `the group ${this.#options.group} could not be joined`);
    }
    const deaf = this.#context.signals.onGroup(this.#options.group, () => this.#rounds.ring());
    this.#running = Promise.all([this.#run(), this.#pumpAll()]).finally(deaf);
  }

  async #join(): Promise<Membership> {
    const { signals } = this.#context;
    const topicIds = this.#topics.map(({ topicId }) => topicId);
    this.#pulsedAtMs = this.#context.clock.monotonicMs();
    const membership = await Membership.join(this.#context, this.#options.group, topicIds, this.#sessionTimeoutMs);
    membership.lost.addEventListener('abort', () => this.#rounds.ring(), { once: true });
    this.#generation = -1;
    this.#target = [];
    signals.groupChanged(this.#options.group);
    return membership;
  }

  /** Rounds until the member has left; a lost membership is replaced. */
  async #run(): Promise<void> {
    for (let failures = 0; !(this.#stopping && this.#held.size === 0);) {
      const membership = this.#membership;
      try {
        if (membership === undefined) {
          if (this.#stopping) break;
          this.#membership = await this.#join();
        } else if (membership.lost.aborted || !(await this.#overseenRound(membership))) await this.#lose(membership);
        else await this.#rounds.wait(this.#pending() ? PULSE_PENDING_MS : PULSE_MS);
        failures = 0;
      } catch (fault) {
        failures += 1;
        this.#worker.onFailure('bus_group_failed', [], fault);
        if (membership !== undefined && isLost(membership)) await this.#lose(membership);
        await this.#rounds.wait(backoffMs(failures));
      }
    }
    await this.#leave();
    this.#over = true;
    this.#pump.ring();
  }

  async #leave(): Promise<void> {
    const membership = this.#membership;
    this.#membership = undefined;
    if (membership === undefined) return;
    // Without an answer the end of the session says the same, only later.
    await membership.leave().catch(() => undefined);
    await membership.close();
    this.#context.signals.groupChanged(this.#options.group);
  }

  /**
   * A round that may not outlast the group's patience: false once the group may have given this member up. The count
   * begins when the last pulse that was answered had been sent, which is before the server noted it; so this member stops
   * before anybody else begins.
   */
  async #overseenRound(membership: Membership): Promise<boolean> {
    const { clock } = this.#context;
    const done = new AbortController();
    const leftMs = this.#pulsedAtMs + this.#sessionTimeoutMs * SELF_FENCE - clock.monotonicMs();
    const overdue = clock.sleep(leftMs, AbortSignal.any([done.signal, membership.lost])).then(() => false);
    try {
      return await Promise.race([this.#round(membership), overdue]);
    } finally {
      done.abort();
    }
  }

  /** False when the group has given this member up. */
  async #round(membership: Membership): Promise<boolean> {
    const sentAtMs = this.#context.clock.monotonicMs();
    const pulse = await membership.pulse();
    if (pulse === undefined || this.#membership !== membership) return false;
    this.#pulsedAtMs = sentAtMs;
    let renewed = pulse.generation !== this.#generation;
    if (pulse.stale && !this.#stopping && (await membership.rebalance())) {
      this.#context.signals.groupChanged(this.#options.group);
      renewed = true;
    }
    if (renewed) {
      this.#target = await membership.target();
      // The generation of the pulse, not of the rebalance: if they differ, the next round looks again.
      this.#generation = pulse.generation;
    }
    // A round that was overtaken by a loss ends here: what it learnt is about a session that is no longer ours.
    if (this.#membership !== membership) return false;
    const due = new Map((this.#stopping ? [] : this.#target).map((place) => [idOf(place), place]));
    this.#handBack(
      [...this.#held.values()].filter(({ place }) => !due.has(idOf(place))),
      'released',
      membership,
    );
    const wanted = [...due.values()].filter((place) => !this.#held.has(idOf(place)));
    const taken = wanted.length > 0 ? await membership.acquire(wanted) : [];
    if (this.#membership !== membership) return false;
    this.#take(taken);
    return true;
  }

  #pending(): boolean {
    return this.#target.some((place) => !this.#held.has(idOf(place)));
  }

  #take(places: readonly PlaceId[]): void {
    if (places.length === 0) return;
    const { wakesOn } = this.#options;
    const taken = places.map((place): Held => {
      const worker = new PartitionWorker(this.#placeOf(place), this.#worker);
      const silence = this.#context.signals.onAppend([place], (_, records) => {
        if (wakesOn !== undefined && records?.some((record) => wakesOn(record, worker.topic)) === false) return;
        held.growth.rung(records);
        this.#pump.ring();
      });
      const held: Held = {
        place,
        worker,
        assigned: Promise.resolve(false),
        leaving: false,
        growth: new Growth(),
        silence,
      };
      this.#held.set(idOf(place), held);
      return held;
    });
    const assigned = this.#assign(taken.map(({ worker }) => worker));
    for (const held of taken) held.assigned = assigned;
  }

  async #assign(workers: readonly PartitionWorker[]): Promise<boolean> {
    for (let failures = 1; ; failures += 1) {
      const open = workers.filter(({ signal }) => !signal.aborted);
      if (open.length === 0) return false;
      try {
        await this.#options.onAssigned?.(workers.map(({ topic, partition }) => ({ topic, partition })));
        break;
      } catch (fault) {
        this.#worker.onFailure('bus_assignment_failed', open, fault);
        await this.#context.clock.sleep(backoffMs(failures), AbortSignal.any(open.map(({ signal }) => signal)));
      }
    }
    await beginPartitions(workers, this.#worker);
    this.#pump.ring();
    return true;
  }

  /** Begins to hand these back; those on their way already are left alone. Settles when all of them are back. */
  #handBack(candidates: readonly Held[], how: 'released' | 'lost', membership: Membership): void {
    const leaving = candidates.filter((held) => !held.leaving);
    if (leaving.length === 0) return;
    for (const held of leaving) held.leaving = true;
    void this.#handBackAll(leaving, how, membership);
  }

  async #handBackAll(leaving: readonly Held[], how: 'released' | 'lost', membership: Membership): Promise<void> {
    const ended = leaving.map(({ worker }) => worker.end());
    const assigned = await Promise.all(leaving.map((held) => held.assigned));
    await Promise.all(ended);
    for (const { silence } of leaving) silence();
    const told = leaving.filter((_, index) => assigned[index] === true).map(({ worker }) => worker);
    const lost = how === 'lost' || membership.lost.aborted;
    if (told.length > 0)
      await this.#options
        .onRevoked?.(
          told.map(({ topic, partition }) => ({ topic, partition })),
          lost ? 'lost' : 'released',
        )
        // The partition goes back all the same: kept, nobody would ever work on it again.
        .catch((fault: unknown) => this.#worker.onFailure('bus_revocation_failed', told, fault));
    if (!lost) await membership.release(leaving.map(({ place }) => place)).catch(() => undefined);
    for (const { place } of leaving) this.#held.delete(idOf(place));
    this.#rounds.ring();
    if (!lost) this.#context.signals.groupChanged(this.#options.group);
  }

  /** The session is gone or as good as gone: nothing is ours any more. Waits until the unit has been told. */
  async #lose(membership: Membership): Promise<void> {
    this.#membership = undefined;
    this.#target = [];
    this.#handBack([...this.#held.values()], 'lost', membership);
    await membership.close();
    while (this.#held.size > 0) await this.#rounds.wait(PULSE_MS);
  }

  async #pumpAll(): Promise<void> {
    for (let failures = 0; !this.#over;) {
      const due = [...this.#held.values()].filter(({ growth, worker }) => growth.due && worker.ready);
      if (due.length === 0) {
        await this.#pump.wait(IDLE_MS);
        continue;
      }
      try {
        await this.#fetch(due);
        failures = 0;
      } catch (fault) {
        failures += 1;
        this.#worker.onFailure('bus_fetch_failed', [], fault);
        await this.#pump.wait(backoffMs(failures));
      }
    }
  }

  async #fetch(due: readonly Held[]): Promise<void> {
    const { batchRecordsMax } = this.#options;
    const positions = due.map(({ worker }): Position => {
      const { topic, partition, nextOffset } = worker;
      return { topic, partition, offset: asOffset(nextOffset ?? 0) };
    });
    const looks = due.map(({ growth }) => growth.look());
    const limits = { partitionRecordsMax: batchRecordsMax, recordsMax: batchRecordsMax * due.length };
    const fetched = await this.#context.log.fetch(positions, limits).catch((fault: unknown) => {
      for (const look of looks) look.failed();
      throw fault;
    });
    due.forEach((held, index) => {
      const [found, look] = [fetched[index], looks[index]];
      if (found === undefined || !held.worker.ready) return;
      const fault = positionFault(found, found.offset, found.marks);
      if (fault !== undefined) held.worker.halt(fault);
      else if (found.batch === undefined) look?.found(found, found.offset);
      else {
        void held.worker.deliver(found.batch).then(() => {
          // More behind the batch, or the batch itself again after a failure.
          look?.found(found, held.worker.nextOffset ?? found.offset);
          this.#pump.ring();
        });
      }
    });
  }

  async #heartbeat(): Promise<void> {
    // A heartbeat that fails tells the handler nothing that its signal does not.
    await this.#membership?.pulse().catch(() => undefined);
  }

  #placeOf({ topicId, partition }: PlaceId): TopicPartition {
    const topic = this.#topics.find((candidate) => candidate.topicId === topicId);
    if (topic === undefined) throw new ProbityError('INTERNAL', 'the group assigned a topic that was not asked for');
    return { topic: topic.topic, partition };
  }
}

function isLost(membership: Membership): boolean {
  return membership.lost.aborted;
}

function idOf({ topicId, partition }: PlaceId): string {
  return `${topicId}/${partition}`;
}
