import { Controller } from '@nestjs/common';
import { canonicalJson, digestCanonical } from '../../rails/canonical-json.js';
import { ProbityError } from '../../rails/errors/probity-error.js';
import { type ActionIntent, ActionIntentSchema } from '../../rails/events/action-intent.schema.js';
import { isOtherType, readEvent } from '../../rails/events/read-event.js';
import { isNoWorld, type RunPins } from '../../rails/pins.js';
import { fromEpochMs } from '../../rails/time.js';
import { validatorOf } from '../../rails/validator.js';
import type { RecordBatch } from '../../substrate/bus/bus.port.js';
import { BusHandler } from '../../substrate/bus/bus.server.js';
import { PassedBy } from '../../substrate/bus/passed-by.js';
import { Clock } from '../../substrate/clock/clock.port.js';
import { Policies, type PolicyInForce } from '../../substrate/policy/policy.port.js';
import { Telemetry } from '../../substrate/telemetry/telemetry.port.js';
import { ActionsLayerStore, type Judged, type RefusedIntent } from './actions-layer.store.js';
import { ACTIONS_POLICY, type ActionsPolicySchema, effectorOf } from './actions-layer.policy.js';
import { ActionSignals } from './actions-layer.signals.js';
import { authorise, type Authorised } from './authorise.core.js';
import { outcomeOf, resultOf, type TakenIntent } from './outcome.core.js';
import { OutcomePublisher } from './outcome.publisher.js';
import { ActionExecutor } from './outward/action-executor.js';

export const TRAFFIC = 'fp.bus.traffic.v1';
const PASSED_BY_MAX = 1_000;
const intents = validatorOf(ActionIntentSchema, 'the intent');

/**
 * The only executor. A batch is judged by one revision of the policy; what is allowed is done, and intent, effect, outcome and position are one
 * commit; an effect outside is taken in that commit and carried out after it, by `outward/action-executor.ts`. An intent that comes again
 * finds its outcome there and changes nothing, whatever the policy says by now; other content under
 * its key is a conflict, of which the first stands.
 */
@Controller()
export class ActionsLayerConsumer {
  readonly #passedBy = new PassedBy(PASSED_BY_MAX);

  constructor(
    private readonly store: ActionsLayerStore,
    private readonly policies: Policies,
    private readonly publisher: OutcomePublisher,
    private readonly executor: ActionExecutor,
    private readonly signals: ActionSignals,
    private readonly clock: Clock,
    private readonly telemetry: Telemetry,
  ) {}

  /** @throws AL_DRAINING while the policy drains: the batch comes again, and nothing new is begun */
  @BusHandler('al', TRAFFIC)
  async take(batch: RecordBatch): Promise<void> {
    const policy = this.policies.inForce(ACTIONS_POLICY);
    const nowMs = this.clock.nowMs();
    const now = fromEpochMs(nowMs);
    const judged: Judged[] = [];
    const refused: RefusedIntent[] = [];
    for (const { value, offset } of batch.records) {
      if (isOtherType(value, (type) => type === 'action_intent')) continue;
      const read = readEvent(value);
      if (!read.ok) {
        refused.push({ offset, reason: 'ENVELOPE_PARSE_FAILED', detail: read.says.slice(0, 500) });
        continue;
      }
      const { eventType, eventId, envelope, pins, payload } = read.event;
      if (eventType !== 'action_intent') continue;
      const checked = intents.check(payload);
      if (!checked.ok || isNoWorld(pins)) {
        const detail = checked.ok
          ? 'the intent belongs to no run'
          : `/payload${checked.fault.at} ${checked.fault.says}`;
        refused.push({ offset, reason: 'SEMANTIC_KEY_INCOMPLETE', detail: detail.slice(0, 500) });
        continue;
      }
      const intent = checked.value;
      const taken = { pins, eventId, tsUtc: envelope.ts_utc, intent, offset };
      const semanticKey = digestCanonical({ idempotency_key: intent.idempotency_key, pins });
      judged.push({
        ...taken,
        semanticKey,
        fingerprint: digestCanonical(intent),
        then: this.#then(taken, semanticKey, policy, nowMs),
      });
    }
    // What is done already must be told; what is new waits where it stands, on the bus.
    if (policy.body.posture === 'DRAIN' && judged.length > 0)
      throw new ProbityError('AL_DRAINING', 'the policy al.actions says DRAIN: nothing new is begun');
    if (judged.length + refused.length === 0 && this.#passedBy.mayPass(batch, batch.records.length)) {
      this.signals.batch(batch, [], 0, 0, 0);
      return;
    }
    const { fresh, duplicates, conflicts } = await this.store.take(batch, judged, refused, now);
    this.#passedBy.noted(batch);
    for (const { offset, reason, detail } of refused)
      this.telemetry.logger.error('al_refused', { partition: batch.partition, offset, reason, detail });
    if (conflicts > 0) this.telemetry.logger.error('al_conflict', { partition: batch.partition, conflicts });
    this.signals.batch(batch, fresh, duplicates, conflicts, refused.length);
    if (fresh.length > 0) {
      const outcomes = this.signals.outcomesOf(fresh);
      this.telemetry.logger.info('al_batch', { partition: batch.partition, taken: fresh.length, duplicates, outcomes });
      for (const { then, intent, pins } of fresh)
        if (then.kind === 'ended' && then.effect === 'notify') this.#notify(intent, pins);
      this.publisher.wake();
      if (fresh.some(({ then }) => then.kind === 'outward')) this.executor.wake();
    }
  }

  /** For whoever reads the logs; the row is the effect, and this is its echo. */
  #notify({ decision_id, outcome, reason_codes, target }: ActionIntent, { run_id }: RunPins): void {
    this.telemetry.logger.warn('al_notification', { decision_id, run_id, outcome, reason_codes, target: target.id });
  }

  /** What no effector can do is denied by default: nobody is told that something was done which was not. */
  #then(
    taken: TakenIntent,
    semanticKey: string,
    policy: PolicyInForce<typeof ActionsPolicySchema>,
    nowMs: number,
  ): Judged['then'] {
    const { intent, pins, eventId, tsUtc } = taken;
    const effector = effectorOf(intent.action_type, policy.body);
    const by = authorise(intent, policy.body);
    const authorised: Authorised =
      by.allowed && effector.kind === 'none' ? { allowed: false, reason: 'DEFAULT_DENY', ruleId: null } : by;
    const judgement = { policyRev: policy.policy_rev, ruleId: authorised.ruleId };
    if (!authorised.allowed || effector.kind !== 'outward') {
      const now = fromEpochMs(nowMs);
      const made = outcomeOf(taken, judgement, resultOf(authorised, now), now);
      return { kind: 'ended', made, effect: authorised.allowed && effector.kind === 'row' ? effector.effect : null };
    }
    const { target } = effector;
    const seconds = policy.body.targets[target]?.retry.give_up_after_s ?? 0;
    return {
      kind: 'outward',
      work: {
        semanticKey,
        target,
        actionType: intent.action_type,
        taken: canonicalJson({ pins, eventId, tsUtc, intent }),
        judgement,
        giveUpAt: fromEpochMs(nowMs + seconds * 1_000),
      },
    };
  }
}
