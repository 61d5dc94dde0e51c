import { Controller } from '@nestjs/common';
import { digestCanonical } from '../../rails/canonical-json.js';
import { ProbityError } from '../../rails/errors/probity-error.js';
import { ActionIntentSchema } from '../../rails/events/action-intent.schema.js';
import { readEvent } from '../../rails/events/read-event.js';
import { isNoWorld } from '../../rails/pins.js';
import { fromEpochMs } from '../../rails/time.js';
import { validatorOf } from '../../rails/validator.js';
import type { RecordBatch } from '../../substrate/bus/bus.port.js';
import { BusHandler } from '../../substrate/bus/bus.server.js';
import { Clock } from '../../substrate/clock/clock.port.js';
import { Policies } from '../../substrate/policy/policy.port.js';
import { Telemetry } from '../../substrate/telemetry/telemetry.port.js';
import { ActionsLayerStore, type Judged, type RefusedIntent } from './actions-layer.store.js';
import { ACTIONS_POLICY, EFFECTORS } from './actions-layer.policy.js';
import { ActionSignals } from './actions-layer.signals.js';
import { authorise, type Authorised } from './authorise.core.js';
import { outcomeOf } from './outcome.core.js';
import { OutcomePublisher } from './outcome.publisher.js';

export const TRAFFIC = 'fp.bus.traffic.v1';
const intents = validatorOf(ActionIntentSchema, 'the intent');

/**
 * The only executor. A batch is judged by one revision of the policy; what is allowed is done, and intent, effect, outcome and position are one
 * commit. An intent that comes again finds its outcome there and changes nothing, whatever the policy says by now; other content under
 * its key is a conflict, of which the first stands.
 */
@Controller()
export class ActionsLayerConsumer {
  constructor(
    private readonly store: ActionsLayerStore,
    private readonly policies: Policies,
    private readonly publisher: OutcomePublisher,
    private readonly signals: ActionSignals,
    private readonly clock: Clock,
    private readonly telemetry: Telemetry,
  ) {}

  /** @throws AL_DRAINING while the policy drains: the batch comes again, and nothing new is begun */
  @BusHandler('al', TRAFFIC)
  async take(batch: RecordBatch): Promise<void> {
    const policy = this.policies.inForce(ACTIONS_POLICY);
    const now = fromEpochMs(this.clock.nowMs());
    const judged: Judged[] = [];
    const refused: RefusedIntent[] = [];
    for (const { value, offset } of batch.records) {
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
      judged.push({
        ...taken,
        semanticKey: digestCanonical({ pins, idempotency_key: intent.idempotency_key }),
        fingerprint: digestCanonical(intent),
        made: outcomeOf(taken, this.#authorised(intent, policy.body), policy.policy_rev, now),
      });
    }
    // What is done already must be told; what is new waits where it stands, on the bus.
    if (policy.body.posture === 'DRAIN' && judged.length > 0)
      throw new ProbityError('AL_DRAINING', 'the policy al.actions says DRAIN: nothing new is begun');
    const { fresh, duplicates, conflicts } = await this.store.take(batch, judged, refused, now);
    for (const { offset, reason, detail } of refused)
      this.telemetry.logger.error('al_refused', { partition: batch.partition, offset, reason, detail });
    if (conflicts > 0) this.telemetry.logger.error('al_conflict', { partition: batch.partition, conflicts });
    this.signals.batch(batch, fresh, duplicates, conflicts, refused.length);
    if (fresh.length > 0) {
      const outcomes = this.signals.outcomesOf(fresh);
      this.telemetry.logger.info('al_batch', { partition: batch.partition, taken: fresh.length, duplicates, outcomes });
      this.publisher.wake();
    }
  }

  /** What no effector can do is denied by default: nobody is told that something was done which was not. */
  #authorised(intent: Parameters<typeof authorise>[0], policy: Parameters<typeof authorise>[1]): Authorised {
    const authorised = authorise(intent, policy);
    if (!authorised.allowed || (EFFECTORS as readonly string[]).includes(intent.action_type)) return authorised;
    return { allowed: false, reason: 'DEFAULT_DENY', ruleId: null };
  }
}
