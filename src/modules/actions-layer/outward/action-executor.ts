import { randomUUID } from 'node:crypto';
import { Inject, Injectable, type OnApplicationBootstrap, type OnModuleDestroy, Optional } from '@nestjs/common';
import { fromEpochMs, toEpochMicros, type UtcMicros } from '../../../rails/time.js';
import { Clock } from '../../../substrate/clock/clock.port.js';
import { Rounds } from '../../../substrate/clock/rounds.js';
import { Policies } from '../../../substrate/policy/policy.port.js';
import { Telemetry } from '../../../substrate/telemetry/telemetry.port.js';
import { ACTIONS_POLICY, typeOf } from '../actions-layer.policy.js';
import { ActionSignals } from '../actions-layer.signals.js';
import { outcomeOf } from '../outcome.core.js';
import type { Ended } from '../outcome.rows.js';
import { OutcomePublisher } from '../outcome.publisher.js';
import { failed, type Next, nextOf } from './attempt.core.js';
import { after, type Breaker, CLOSED, permits } from './breaker.core.js';
import type { Target } from './targets.schema.js';
import { Flights } from './flights.js';
import { TargetCaller } from './target.caller.js';
import { type Report, type Work, WorkStore } from './work.store.js';

const LOOK_AGAIN_MS = 500;
const END_AT_ONCE_MAX = 500;
/** So long an attempt that has ended waits for others that are under way, to be told in one commit. */
const TOLD_AFTER_MS = 50;
/** Beyond what an attempt may last, for the commits before and after it. */
const LEASE_MARGIN_MS = 10_000;
/** Where the jitter of waits comes from; a test has its own. */
export const RANDOM = Symbol('random');

/**
 * Carries out effects outside this database. A batch of a target is claimed and its attempts are written down as begun, then they leave at once,
 * and how they ended is told batch by batch, in one commit with what follows from it. One loop per target: a slow one holds up nobody else.
 */
@Injectable()
export class ActionExecutor implements OnApplicationBootstrap, OnModuleDestroy {
  readonly #ended = new AbortController();
  readonly #breakers = new Map<string, Breaker>();
  readonly #flights = new Map<string, Flights>();
  /** One per target that a policy ever named since the start. */
  readonly #loops = new Map<string, Rounds>();
  #ending: Rounds | undefined;

  constructor(
    private readonly store: WorkStore,
    private readonly caller: TargetCaller,
    private readonly policies: Policies,
    private readonly publisher: OutcomePublisher,
    private readonly signals: ActionSignals,
    private readonly clock: Clock,
    private readonly telemetry: Telemetry,
    @Optional() @Inject(RANDOM) private readonly random: () => number = Math.random,
  ) {
    signals.watchBreakers(() => this.breakers());
  }

  /** @throws CONFIG_SECRET_MISSING, CONFIG_INVALID when a target cannot be spoken to: better now than at the first payment */
  onApplicationBootstrap(): void {
    const { targets } = this.policies.inForce(ACTIONS_POLICY).body;
    for (const [name, target] of Object.entries(targets)) this.caller.check(name, target);
    this.#follow(targets);
    this.#ending = this.#repeat(() => this.endWaiting());
  }

  async onModuleDestroy(): Promise<void> {
    this.#ended.abort();
    // First whoever may begin another loop.
    await this.#ending?.stop();
    await Promise.all([...this.#loops.values()].map((loop) => loop.stop()));
    // What is under way is finished and told; what cannot be told any more is in doubt, and its lease ends it.
    for (const [name, flights] of this.#flights) {
      await flights.allEnded();
      await this.#report(name, flights.ended.splice(0)).catch(() => undefined);
    }
    this.caller.close();
  }

  wake(): void {
    this.#ending?.wake();
    for (const loop of this.#loops.values()) loop.wake();
  }

  /** By target. */
  breakers(): Readonly<Record<string, Breaker['state']>> {
    const { targets } = this.policies.inForce(ACTIONS_POLICY).body;
    return Object.fromEntries(Object.keys(targets).map((name) => [name, this.#breaker(name).state]));
  }

  /**
   * Fills the free places of a target with attempts, and tells how those ended that have ended by then: all that are under way, or after a moment
   * whichever have, so that one that is silent holds up no other.
   * @returns how many were told, or are under way still; 0: there is nothing to do
   */
  async round(name: string): Promise<number> {
    const { body } = this.policies.inForce(ACTIONS_POLICY);
    const target = body.targets[name];
    const flights = this.#flightsOf(name);
    const isOpen = body.posture === 'NORMAL' && target !== undefined && !body.kill_switches.includes(typeOf(name));
    if (target === undefined || (!isOpen && flights.size + flights.ended.length === 0)) return 0;
    if (isOpen) await this.#begin(name, target, flights);
    if (flights.size > 0) await Promise.race([flights.allEnded(), this.clock.sleep(TOLD_AFTER_MS, this.#ended.signal)]);
    const told = flights.ended.splice(0);
    if (told.length > 0) await this.#report(name, told);
    this.#judge(name, target, told, flights);
    return told.length + flights.size + flights.ended.length;
  }

  async #begin(name: string, target: Target, flights: Flights): Promise<void> {
    const { breaker, count } = permits(this.#breaker(name), target.concurrency_max - flights.size, this.clock.nowMs());
    if (count === 0) return;
    this.#breakers.set(name, breaker);
    const permit = randomUUID();
    const claimedAtMs = this.clock.nowMs();
    const work = await this.store.claim(name, count, {
      permit,
      now: fromEpochMs(claimedAtMs),
      leaseUntil: fromEpochMs(claimedAtMs + 2 * target.timeout_ms + LEASE_MARGIN_MS),
    });
    for (const one of work)
      flights.begin(
        this.#attempt(name, target, one).then((report) => ({ ...report, permit })),
        // It has no end that anybody knows: it stays in doubt, and its lease ends it.
        (error) => this.telemetry.logger.error('al_attempt_failed', { target: name, detail: String(error) }),
      );
  }

  /** What ended tells the breaker; a trial that nothing was due for decides nothing. */
  #judge(name: string, target: Target, told: readonly Report[], flights: Flights): void {
    const before = this.#breaker(name);
    if (told.length === 0 && flights.size > 0) return;
    const answers = told.map(({ end }) => end.reached);
    const next = after(before, answers, target.breaker, this.clock.nowMs());
    this.#breakers.set(name, next);
    if (next.state === 'OPEN' && before.state !== 'OPEN' && told.length > 0)
      this.telemetry.logger.warn('al_breaker_open', { target: name, open_ms: target.breaker.open_ms });
  }

  /** A target that cannot be spoken to is told of; its attempts end as such. One that is gone has nothing to do in its rounds. */
  #follow(targets: Readonly<Record<string, Target>>): void {
    for (const [name, target] of Object.entries(targets)) {
      if (this.#loops.has(name) || this.#ended.signal.aborted) continue;
      try {
        this.caller.check(name, target);
      } catch (error) {
        this.telemetry.logger.error('al_target_unusable', { target: name, detail: String(error) });
      }
      this.#loops.set(
        name,
        this.#repeat(() => this.round(name)),
      );
    }
  }

  #flightsOf(name: string): Flights {
    const known = this.#flights.get(name);
    if (known !== undefined) return known;
    const flights = new Flights();
    this.#flights.set(name, flights);
    return flights;
  }

  /** Ends what waits and will not be attempted; what waits for a target that a policy has brought since is attempted from now on. @returns how many */
  async endWaiting(): Promise<number> {
    const { policy_rev, body } = this.policies.inForce(ACTIONS_POLICY);
    this.#follow(body.targets);
    this.signals.backlog((await this.store.backlog()).work, this.clock.nowMs());
    const now = fromEpochMs(this.clock.nowMs());
    const ended = await this.store.endWaiting(
      {
        targets: Object.keys(body.targets),
        switchedOff: body.kill_switches,
        revision: policy_rev.revision,
        all: body.posture === 'KILL',
      },
      now,
      END_AT_ONCE_MAX,
      (work) => {
        const switchedOff = body.posture === 'KILL' || body.kill_switches.includes(work.actionType);
        const reason = switchedOff
          ? 'CANCELLED_BY_POSTURE'
          : body.targets[work.target] === undefined
            ? 'INVALID_PARAMS'
            : 'DEPENDENCY_DOWN';
        return this.#endedBy(work, failed([reason], work.ambiguous), work.attemptNo, now);
      },
    );
    this.#told(ended);
    return ended.length;
  }

  async #attempt(name: string, target: Target, work: Work): Promise<Omit<Report, 'permit'>> {
    const startedMs = this.clock.monotonicMs();
    const end = await this.caller.attempt(target, work);
    this.signals.attempt(name, end, this.clock.monotonicMs() - startedMs);
    const nowMs = this.clock.nowMs();
    const next = nextOf(
      end,
      {
        attemptNo: work.attemptNo,
        ambiguous: work.ambiguous && !end.wasAbsent,
        canAsk: target.status_url !== undefined,
        giveUpAtMs: toEpochMicros(work.giveUpAt) / 1_000,
      },
      target.retry,
      nowMs,
      this.random(),
    );
    const { semanticKey, attemptNo } = work;
    const then =
      next.kind === 'again'
        ? { dueAt: fromEpochMs(next.dueAtMs), ambiguous: next.ambiguous }
        : this.#endedBy(work, next, attemptNo, fromEpochMs(nowMs), end.effectorRef);
    return { semanticKey, attemptNo, end, then };
  }

  async #report(name: string, reports: readonly Report[]): Promise<void> {
    const counted = await this.store.report(reports, fromEpochMs(this.clock.nowMs()));
    if (counted.length < reports.length)
      this.telemetry.logger.warn('al_permit_lost', { target: name, attempts: reports.length - counted.length });
    this.#told(counted.flatMap(({ then }) => ('made' in then ? [then] : [])));
  }

  #endedBy(work: Work, next: Exclude<Next, { kind: 'again' }>, attemptNo: number, now: UtcMicros, ref?: string): Ended {
    const made = outcomeOf(
      work.taken,
      work.judgement,
      {
        status: next.kind === 'executed' ? 'EXECUTED' : 'FAILED',
        reasons: next.kind === 'executed' ? [] : next.reasons,
        attemptNo,
        retryable: next.kind === 'failed' && next.retryable,
        ...(work.startedAt === null ? {} : { startedAt: work.startedAt }),
        ...(ref === undefined ? {} : { effectorRef: ref }),
      },
      now,
    );
    return { semanticKey: work.semanticKey, made };
  }

  #told(ended: readonly Ended[]): void {
    if (ended.length === 0) return;
    this.signals.ended(ended);
    for (const { made } of ended) {
      const { status, reason_codes, idempotency_key, decision_id, action_type, attempt_no } = made.outcome;
      const fact = { status, reason_codes, idempotency_key, decision_id, action_type, attempt_no };
      if (status === 'FAILED') this.telemetry.logger.error('al_action_failed', fact);
      else this.telemetry.logger.debug('al_action_executed', fact);
    }
    this.publisher.wake();
  }

  #breaker(name: string): Breaker {
    return this.#breakers.get(name) ?? CLOSED;
  }

  #repeat(round: () => Promise<number>): Rounds {
    const { logger } = this.telemetry;
    const onFailure = (error: unknown): void => logger.warn('al_execute_failed', { detail: String(error) });
    const rounds = new Rounds({ clock: this.clock, everyMs: LOOK_AGAIN_MS, round, onFailure });
    rounds.start();
    return rounds;
  }
}
