import { ProbityError } from '../../../rails/errors/probity-error.js';
import { type Clock } from '../../clock/clock.port.js';
import { type Logger } from '../../telemetry/telemetry.port.js';
import { type GroupName, type TopicName, type TopicPartition } from '../bus.port.js';
import { assignPartitions } from '../group-assignment.core.js';
import { keyOf } from './kafka.fetcher.js';
import { bounded, busError, passes, persist } from './kafka.persist.js';
import { classify, isRefusal, type JoinedGroup } from './kafka.protocol.js';
import { encodings, type Wire } from './kafka.wire.js';

export interface MemberPlan {
  readonly wire: Wire;
  readonly clock: Clock;
  readonly group: GroupName;
  readonly topics: readonly TopicName[];
  readonly sessionTimeoutMs: number;
  /** How long the group waits for members that still finish their batches before it goes on without them. */
  readonly rebalanceTimeoutMs: number;
  readonly requestTimeoutMs: number;
  readonly logger?: Logger;
  /** The assignment is ours; calls `begun` when its positions are taken. Must end soon after the session's signal aborts, and never reject. */
  readonly onTaken: (places: readonly TopicPartition[], session: Session, begun: () => void) => Promise<void>;
  /** Hand back what `onTaken` was given; never rejects. The group waits for it, unless the session is lost. */
  readonly onGiven: (session: Session) => Promise<void>;
  /** Offsets that outside observers may see, since the last question. */
  readonly progress: () => readonly (TopicPartition & { readonly offset: number })[];
}

/** One generation of the group in which we are a member. */
export class Session {
  readonly memberId: string;
  readonly generationId: number;
  readonly #over = new AbortController();
  readonly #closed = new AbortController();
  /** When the last request that the coordinator answered was sent; its own patience begins no earlier. */
  heardMs: number;
  lost = false;
  /** Resolve when the signals abort; made once, since a listener per wait would pile up on a signal that lives for days. */
  readonly ended: Promise<void>;
  readonly handedOver: Promise<void>;

  constructor(joined: JoinedGroup, heardMs: number) {
    this.memberId = joined.memberId;
    this.generationId = joined.generationId;
    this.heardMs = heardMs;
    this.ended = aborted(this.over);
    this.handedOver = aborted(this.closed);
  }

  /** Aborts when the partitions have to be given back, for whatever reason. */
  get over(): AbortSignal {
    return this.#over.signal;
  }

  /** Aborts when the hand-over is done and nobody has to be kept waiting any more. */
  get closed(): AbortSignal {
    return this.#closed.signal;
  }

  end(lost: boolean): void {
    this.lost ||= lost;
    this.#over.abort();
  }

  close(): void {
    this.#closed.abort();
  }
}

const PROTOCOL = 'probity-sticky';
const HEARTBEAT_MS = 500;

/**
 * Membership in a Kafka group.
 *
 *     joining --assignment--> holding --rebalance, stop--> releasing --handed over--> joining | left
 *        ^                       \----------- lost ----------> releasing (as lost) -----/
 *
 * The join request is what tells the group that our partitions are free. So it is sent after the hand-over and never
 * before, and heartbeats go on meanwhile: the group waits for us up to `rebalanceTimeoutMs`, and no other member works
 * on a partition whose batch we have not ended.
 *
 * *Lost* is told by the coordinator (it does not know us any more, or our generation is past), or by the clock: where no
 * heartbeat that we sent was answered for a session time-out, the coordinator has given us up by now, whether we can
 * hear it or not. Our clock starts when a request is sent, the coordinator's when it arrives: ours ends first.
 */
export class KafkaMember {
  readonly #plan: MemberPlan;
  readonly #stopping = new AbortController();
  readonly #stopped = aborted(this.#stopping.signal);
  #memberId = '';
  #coordinator: number | undefined;
  #owned: readonly TopicPartition[] = [];
  #session: Session | undefined;
  #running: Promise<void> | undefined;

  constructor(plan: MemberPlan) {
    this.#plan = plan;
  }

  /** Resolves when an assignment has begun: a record appended from then on is delivered, wherever the consumer begins. */
  async start(): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#running = this.#run(resolve, reject);
    });
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#session?.end(false);
    await this.#running;
  }

  /** One heartbeat now, beside those that are sent anyway. */
  async heartbeat(): Promise<void> {
    if (this.#session !== undefined) await this.#beat(this.#session);
  }

  async #run(joined: () => void, refused: (error: ProbityError) => void): Promise<void> {
    const { clock, logger, requestTimeoutMs } = this.#plan;
    const stopping = this.#stopping.signal;
    for (let failures = 0; !stopping.aborted;) {
      try {
        // A join that is nearly through is awaited even when we stop, for its member could not be signed off otherwise; one
        // that takes longer is abandoned, and closing the wire ends it.
        const taken = await bounded(clock, requestTimeoutMs, this.#join(), this.#stopped);
        if (taken === undefined) break;
        failures = 0;
        await this.#hold(taken.session, taken.places, joined);
      } catch (raw) {
        const error = classify(raw);
        const { type: reason, message } = error;
        if (isRefusal(error, 'UNKNOWN_MEMBER_ID', 'FENCED_INSTANCE_ID')) this.#memberId = '';
        else if (!isRefusal(error, 'REBALANCE_IN_PROGRESS', 'ILLEGAL_GENERATION')) {
          this.#coordinator = undefined;
          logger?.warn('bus_join_failed', { group: this.#plan.group, reason, message });
          // Of the first join the caller waits for the result; later ones are tried for as long as the consumer lives.
          if (!passes(error) && this.#memberId === '') {
            refused(busError(error, `the group ${this.#plan.group} could not be joined`));
            return;
          }
        }
        failures += 1;
        await clock.sleep(Math.min(50 * failures, 1_000), stopping);
      }
    }
    refused(new ProbityError('BUS_UNAVAILABLE', 'the consumer was stopped before it had joined'));
  }

  async #join(): Promise<{ readonly session: Session; readonly places: readonly TopicPartition[] }> {
    const { wire, clock, group, topics, sessionTimeoutMs, rebalanceTimeoutMs, requestTimeoutMs } = this.#plan;
    const deadlineMs = clock.monotonicMs() + requestTimeoutMs;
    const coordinator = (this.#coordinator ??= await persist({ wire, clock, deadlineMs }, () =>
      wire.coordinatorOfGroup(group),
    ));
    const joined = await wire.ask(coordinator, (broker) =>
      broker.joinGroup({
        groupId: group,
        sessionTimeout: sessionTimeoutMs,
        rebalanceTimeout: rebalanceTimeoutMs,
        memberId: this.#memberId,
        groupProtocols: [{ name: PROTOCOL, metadata: encodings.subscription(topics, this.#owned) }],
      }),
    );
    this.#memberId = joined.memberId;
    const heardMs = clock.monotonicMs();
    const { memberAssignment } = await wire.ask(coordinator, async (broker) =>
      broker.syncGroup({
        groupId: group,
        generationId: joined.generationId,
        memberId: joined.memberId,
        groupAssignment: joined.leaderId === joined.memberId ? await this.#assign(joined) : [],
      }),
    );
    const assigned = encodings.assigned(memberAssignment);
    const places = topics.flatMap((topic) => (assigned[topic] ?? []).map((partition) => ({ topic, partition })));
    this.#owned = places;
    return { session: new Session(joined, heardMs), places };
  }

  /** The leader's duty. Members are numbered in the order of their ids, so that every leader numbers them alike. */
  async #assign(joined: JoinedGroup): Promise<readonly { memberId: string; memberAssignment: Buffer }[]> {
    const { wire } = this.#plan;
    const members = [...joined.members]
      .sort((one, other) => (one.memberId < other.memberId ? -1 : 1))
      .map(({ memberId, memberMetadata }, member) => ({ memberId, member, ...encodings.subscribed(memberMetadata) }));
    const places = new Map<string, { readonly topic: string; readonly partition: number }>();
    for (const topic of new Set(members.flatMap(({ topics }) => topics))) {
      for (const partition of (await wire.leaders(topic)).keys())
        places.set(keyOf({ topic, partition }), { topic, partition });
    }
    const previous = new Map(members.flatMap(({ member, owned }) => owned.map((place) => [keyOf(place), member])));
    const assignment = assignPartitions(
      members,
      [...places].map(([place, { topic }]) => ({ place, topic })),
      previous,
    );
    return members.map(({ memberId, member }) => {
      const shares: Record<string, number[]> = {};
      for (const [key, { topic, partition }] of places) {
        if (assignment.get(key) === member) (shares[topic] ??= []).push(partition);
      }
      return { memberId, memberAssignment: encodings.assignment(shares) };
    });
  }

  async #hold(session: Session, places: readonly TopicPartition[], begun: () => void): Promise<void> {
    const { onTaken, onGiven } = this.#plan;
    const { wire, clock, group, requestTimeoutMs } = this.#plan;
    this.#session = session;
    const pulse = Promise.all([this.#beats(session), this.#watch(session)]);
    if (this.#stopping.signal.aborted) session.end(false);
    const taking = onTaken(places, session, begun);
    await session.ended;
    await taking;
    await onGiven(session);
    session.close();
    await pulse;
    this.#session = undefined;
    if (session.lost) this.#owned = [];
    if (!this.#stopping.signal.aborted || session.lost) return;
    await this.#report(session);
    const coordinator = this.#coordinator;
    if (coordinator === undefined) return;
    // Without a goodbye the group would wait for a session time-out before it gives our partitions to others.
    const leaving = wire.ask(coordinator, (broker) =>
      broker.leaveGroup({ groupId: group, memberId: session.memberId }),
    );
    await bounded(clock, requestTimeoutMs, leaving).catch(() => undefined);
  }

  /** Heartbeats until the hand-over is done; the first one that is answered with "rebalance" ends the holding. */
  async #beats(session: Session): Promise<void> {
    const { clock } = this.#plan;
    for (;;) {
      await clock.sleep(HEARTBEAT_MS, session.closed);
      if (session.closed.aborted || session.lost) return;
      await Promise.race([this.#beat(session).then(() => this.#report(session)), session.handedOver]);
    }
  }

  async #beat(session: Session): Promise<void> {
    const { wire, clock, group: groupId } = this.#plan;
    const { memberId, generationId: groupGenerationId } = session;
    const sentMs = clock.monotonicMs();
    try {
      this.#coordinator ??= await wire.coordinatorOfGroup(groupId);
      await wire.ask(this.#coordinator, (broker) => broker.heartbeat({ groupId, groupGenerationId, memberId }));
      session.heardMs = Math.max(session.heardMs, sentMs);
    } catch (raw) {
      const error = classify(raw);
      if (isRefusal(error, 'REBALANCE_IN_PROGRESS')) {
        session.heardMs = Math.max(session.heardMs, sentMs);
        session.end(false);
      } else if (isRefusal(error, 'UNKNOWN_MEMBER_ID', 'ILLEGAL_GENERATION', 'FENCED_INSTANCE_ID')) {
        if (!isRefusal(error, 'ILLEGAL_GENERATION')) this.#memberId = '';
        session.end(true);
      } else {
        this.#coordinator = undefined;
        await wire.refresh().catch(() => undefined);
      }
    }
  }

  /** The clock's part of losing a session. */
  async #watch(session: Session): Promise<void> {
    const { clock, sessionTimeoutMs } = this.#plan;
    while (!session.closed.aborted) {
      const leftMs = session.heardMs + sessionTimeoutMs - clock.monotonicMs();
      if (leftMs <= 0) {
        session.end(true);
        return;
      }
      await clock.sleep(leftMs, session.closed);
    }
  }

  /** Offsets for outside observers of lag. Nothing of ours ever reads them back, so a failure costs nothing. */
  async #report(session: Session): Promise<void> {
    const { wire, group: groupId, progress } = this.#plan;
    const moved = progress();
    const coordinator = this.#coordinator;
    if (moved.length === 0 || coordinator === undefined || session.lost) return;
    const { memberId, generationId: groupGenerationId } = session;
    const topics = [...new Set(moved.map(({ topic }) => topic))].map((topic) => ({
      topic: topic,
      partitions: moved
        .filter((place) => place.topic === topic)
        .map(({ partition, offset }) => ({ partition, offset: String(offset) })),
    }));
    await wire
      .ask(coordinator, (broker) => broker.offsetCommit({ groupId, groupGenerationId, memberId, topics }))
      .catch(() => undefined);
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
