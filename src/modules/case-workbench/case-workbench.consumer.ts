import { Controller } from '@nestjs/common';
import type { Counter } from '@opentelemetry/api';
import { systemActor } from '../../rails/actor.js';
import type { Offset } from '../../rails/eb-ref.js';
import { type ActionOutcome, ActionOutcomeSchema } from '../../rails/events/action-outcome.schema.js';
import { type Decision, DecisionSchema } from '../../rails/events/decision.schema.js';
import { isOtherType, readEvent } from '../../rails/events/read-event.js';
import { differingPins, isNoWorld, type RunPins } from '../../rails/pins.js';
import { fromEpochMs } from '../../rails/time.js';
import { validatorOf } from '../../rails/validator.js';
import type { RecordBatch } from '../../substrate/bus/bus.port.js';
import { BusHandler } from '../../substrate/bus/bus.server.js';
import { PassedBy } from '../../substrate/bus/passed-by.js';
import { Clock } from '../../substrate/clock/clock.port.js';
import { Policies } from '../../substrate/policy/policy.port.js';
import { Telemetry } from '../../substrate/telemetry/telemetry.port.js';
import { actionEnded, type NewEntry, type Subject, subjectOf, type Trigger, triggered } from './case.core.js';
import type { Case } from './case.schema.js';
import { CaseMarks } from './case-marks.job.js';
import { CASES_POLICY, type CasesPolicy } from './case-workbench.policy.js';
import { CaseWorkbenchStore, type Wish } from './case-workbench.store.js';
import { DecisionSources } from './decision-sources.js';

const PASSED_BY_MAX = 1_000;
const decisions = validatorOf(DecisionSchema, 'the decision');
const outcomes = validatorOf(ActionOutcomeSchema, 'the outcome');

/** Decisions that a person has to look at and actions that failed become cases, and what became of actions that people asked for is written down; triggers, cases and position are one commit. A record that nobody can read stops nobody. */
@Controller()
export class CaseWorkbenchConsumer {
  readonly #passedBy = new PassedBy(PASSED_BY_MAX);
  readonly #triggers: Counter;
  readonly #invalid: Counter;

  constructor(
    private readonly store: CaseWorkbenchStore,
    private readonly sources: DecisionSources,
    private readonly marks: CaseMarks,
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
    const { triggers, ended } = await this.#read(batch, policy);
    if (triggers.length + ended.length === 0 && this.#passedBy.mayPass(batch, batch.records.length)) return;
    const now = fromEpochMs(this.clock.nowMs());
    const actor = systemActor('cases');
    const added = await this.store.database.transaction(async (transaction) => {
      const wishes = [
        ...ended.map(({ found, outcome }) => wishOf(found, actionEnded(found.case_id, outcome, systemActor('al')))),
        ...triggers.map((trigger) => wishOf(trigger.subject, triggered(trigger, policy, actor))),
      ];
      const results = wishes.length === 0 ? [] : await this.store.append(transaction, wishes, now);
      await this.store.moved(transaction, batch);
      return results.slice(ended.length);
    });
    this.#passedBy.noted(batch);
    added.forEach(({ outcome }, index) =>
      this.#triggers.add(1, { trigger: triggers[index]?.trigger ?? 'none', outcome }),
    );
    const opened = added.filter(({ outcome }) => outcome === 'NEW').length;
    if (opened > 0) this.marks.wake();
    if (opened > 0) this.telemetry.logger.info('cases_triggered', { partition: batch.partition, triggers: opened });
  }

  /** What leads to cases, and what became of actions that people asked for in them. */
  async #read(
    batch: RecordBatch,
    policy: CasesPolicy,
  ): Promise<{ readonly triggers: readonly Trigger[]; readonly ended: readonly Ended[] }> {
    const escalated: ReturnType<typeof escalationOf>[] = [];
    const told: Told[] = [];
    for (const { value, offset } of batch.records) {
      if (isOtherType(value, (type) => type === 'decision' || type === 'action_outcome') || wasExecuted(value))
        continue;
      const read = readEvent(value);
      if (!read.ok) {
        this.#passBy(batch, offset);
        continue;
      }
      const { eventType, pins, payload } = read.event;
      if (eventType !== 'decision' && eventType !== 'action_outcome') continue;
      const checked = eventType === 'decision' ? decisions.check(payload) : outcomes.check(payload);
      if (!checked.ok || isNoWorld(pins)) this.#passBy(batch, offset);
      else if ('outcome_id' in checked.value) told.push({ pins, outcome: checked.value, offset });
      else escalated.push(escalationOf(checked.value, pins));
    }
    const { DECISION_ESCALATION, ACTION_FAILURE } = policy.triggers;
    const failed = told.filter(({ outcome }) =>
      (ACTION_FAILURE.statuses as readonly string[]).includes(outcome.status),
    );
    const ofPeople = told.filter(({ outcome: { origin } }) => origin === 'CASE');
    return {
      triggers: [
        ...escalated.filter(({ outcome }) => DECISION_ESCALATION.outcomes.includes(outcome)),
        ...(await this.#failures(batch, failed)),
      ],
      ended: ofPeople.length === 0 ? [] : await this.#ended(batch, ofPeople),
    };
  }

  /** Of intents that were asked for here, in the very run of their case. */
  async #ended(batch: RecordBatch, told: readonly Told[]): Promise<readonly Ended[]> {
    const cases = await this.store.casesOfIntents(told.map(({ outcome }) => outcome.idempotency_key));
    return told.flatMap(({ pins, outcome, offset }) => {
      const found = cases.get(outcome.idempotency_key);
      if (found !== undefined && differingPins(found.pins, pins).length === 0) return [{ found, outcome }];
      this.#passBy(batch, offset);
      return [];
    });
  }

  /** What failed is about the payment that was decided about, so it meets the case that the decision may have. */
  async #failures(batch: RecordBatch, failed: readonly Told[]): Promise<readonly Trigger[]> {
    const triggers: Trigger[] = [];
    for (const runId of new Set(failed.map(({ pins }) => pins.run_id))) {
      const ofRun = failed.filter(({ pins }) => pins.run_id === runId);
      const events = await this.sources.eventsOf(runId, [...new Set(ofRun.map(({ outcome }) => outcome.decision_id))]);
      for (const { pins, outcome, offset } of ofRun) {
        const event = events.get(outcome.decision_id);
        if (event === undefined) {
          this.#passBy(batch, offset);
          continue;
        }
        triggers.push({
          subject: subjectOf(pins, event),
          trigger: 'ACTION_FAILURE',
          sourceRef: outcome.outcome_id,
          reason: `${outcome.action_type} ${outcome.status}: ${outcome.reason_codes.join(', ')}`,
          evidence: [
            { kind: 'ACTION_OUTCOME', id: outcome.outcome_id },
            { kind: 'DECISION', id: outcome.decision_id },
            { kind: 'EVENT', id: event },
          ],
        });
      }
    }
    return triggers;
  }

  #passBy({ topic, partition }: RecordBatch, offset: Offset): void {
    this.#invalid.add(1);
    this.telemetry.logger.error('cases_invalid_record', { topic, partition, offset });
  }
}

interface Told {
  readonly pins: RunPins;
  readonly outcome: ActionOutcome;
  readonly offset: Offset;
}

interface Ended {
  readonly found: Case;
  readonly outcome: ActionOutcome;
}

function wishOf(subject: Subject, entry: NewEntry): Wish {
  const { case_id, pins, subject_event_id } = subject;
  return { subject: { case_id, pins, subject_event_id }, identity: entry, entries: () => [entry] };
}

function escalationOf(
  { decision_id, outcome, source_event }: Decision,
  pins: RunPins,
): Trigger & { readonly outcome: Decision['outcome'] } {
  return {
    subject: subjectOf(pins, source_event.event_id),
    trigger: 'DECISION_ESCALATION',
    sourceRef: decision_id,
    evidence: [
      { kind: 'DECISION', id: decision_id },
      { kind: 'EVENT', id: source_event.event_id },
    ],
    outcome,
  };
}

const EXECUTED = Buffer.from('"status":"EXECUTED"');
const OF_PEOPLE = Buffer.from('"origin":"CASE"');
/** Nearly every outcome; seen from its bytes, which are canonical, so that it need not be parsed. What people asked for is told in any case. */
function wasExecuted(value: Uint8Array): boolean {
  const bytes = Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  return bytes.includes(EXECUTED) && !bytes.includes(OF_PEOPLE);
}
