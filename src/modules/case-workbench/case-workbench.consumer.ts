import { Controller } from '@nestjs/common';
import type { Counter } from '@opentelemetry/api';
import { systemActor } from '../../rails/actor.js';
import { type Decision, DecisionSchema } from '../../rails/events/decision.schema.js';
import { isOtherType, readEvent } from '../../rails/events/read-event.js';
import { isNoWorld } from '../../rails/pins.js';
import { fromEpochMs } from '../../rails/time.js';
import { validatorOf } from '../../rails/validator.js';
import type { RecordBatch } from '../../substrate/bus/bus.port.js';
import { BusHandler } from '../../substrate/bus/bus.server.js';
import { PassedBy } from '../../substrate/bus/passed-by.js';
import { Clock } from '../../substrate/clock/clock.port.js';
import { Policies } from '../../substrate/policy/policy.port.js';
import { Telemetry } from '../../substrate/telemetry/telemetry.port.js';
import { subjectOf, type Trigger, triggered } from './case.core.js';
import { CASES_POLICY } from './case-workbench.policy.js';
import { CaseWorkbenchStore } from './case-workbench.store.js';

const PASSED_BY_MAX = 1_000;
const decisions = validatorOf(DecisionSchema, 'the decision');

/** Decisions that a person has to look at become cases; triggers, cases and position are one commit. A record that nobody can read stops nobody. */
@Controller()
export class CaseWorkbenchConsumer {
  readonly #passedBy = new PassedBy(PASSED_BY_MAX);
  readonly #triggers: Counter;
  readonly #invalid: Counter;

  constructor(
    private readonly store: CaseWorkbenchStore,
    private readonly policies: Policies,
    private readonly clock: Clock,
    private readonly telemetry: Telemetry,
  ) {
    const { meter } = telemetry;
    this.#triggers = meter.createCounter('cases.triggers', { description: 'Triggers of cases, by kind and outcome' });
    this.#invalid = meter.createCounter('cases.invalid', { description: 'Records that could not be read' });
  }

  @BusHandler('cases', 'fp.bus.traffic.v1')
  async take(batch: RecordBatch): Promise<void> {
    const policy = this.policies.inForce(CASES_POLICY).body;
    const triggers: Trigger[] = [];
    for (const { value, offset } of batch.records) {
      if (isOtherType(value, (type) => type === 'decision')) continue;
      const read = readEvent(value);
      const checked = read.ok && read.event.eventType === 'decision' ? decisions.check(read.event.payload) : undefined;
      if (!read.ok || checked?.ok === false || (checked !== undefined && isNoWorld(read.event.pins))) {
        const { topic, partition } = batch;
        this.#invalid.add(1);
        this.telemetry.logger.error('cases_invalid_record', { topic, partition, offset });
        continue;
      }
      if (checked === undefined || isNoWorld(read.event.pins)) continue;
      const decision: Decision = checked.value;
      if (!policy.triggers.DECISION_ESCALATION.outcomes.includes(decision.outcome)) continue;
      triggers.push({
        subject: subjectOf(read.event.pins, decision.source_event.event_id),
        trigger: 'DECISION_ESCALATION',
        sourceRef: decision.decision_id,
        evidence: [
          { kind: 'DECISION', id: decision.decision_id },
          { kind: 'EVENT', id: decision.source_event.event_id },
        ],
      });
    }
    if (triggers.length === 0 && this.#passedBy.mayPass(batch, batch.records.length)) return;
    const now = fromEpochMs(this.clock.nowMs());
    const actor = systemActor('cases');
    const added = await this.store.database.transaction(async (transaction) => {
      const wishes = triggers.map((trigger) => {
        const entry = triggered(trigger, policy, actor);
        return { subject: trigger.subject, identity: entry, entries: () => [entry] };
      });
      const results = wishes.length === 0 ? [] : await this.store.append(transaction, wishes, now);
      await this.store.moved(transaction, batch);
      return results;
    });
    this.#passedBy.noted(batch);
    for (const { outcome } of added) this.#triggers.add(1, { trigger: 'DECISION_ESCALATION', outcome });
    const opened = added.filter(({ outcome }) => outcome === 'NEW').length;
    if (opened > 0) this.telemetry.logger.info('cases_triggered', { partition: batch.partition, triggers: opened });
  }
}
