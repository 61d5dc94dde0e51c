import { Injectable, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common';
import type { Counter } from '@opentelemetry/api';
import { systemActor } from '../../rails/actor.js';
import { fromEpochMs } from '../../rails/time.js';
import { Clock } from '../../substrate/clock/clock.port.js';
import { Rounds } from '../../substrate/clock/rounds.js';
import { Policies } from '../../substrate/policy/policy.port.js';
import { outgoing } from '../../substrate/rpc/outgoing.js';
import { Telemetry } from '../../substrate/telemetry/telemetry.port.js';
import { DecisionLogAuditPort, type Quarantined } from '../decision-log-audit/decision-log-audit.port.js';
import { subjectOf, type Trigger, triggered } from './case.core.js';
import { CaseMarks } from './case-marks.job.js';
import { CaseQuarantinesStore } from './case-quarantines.store.js';
import { CASES_POLICY } from './case-workbench.policy.js';
import { CaseWorkbenchStore } from './case-workbench.store.js';
import { DecisionSources } from './decision-sources.js';

const LOOK_AGAIN_MS = 5_000;
const BATCH = 100;
const CALL_LIMIT_MS = 10_000;

type QuarantinedRecord = Quarantined['records'][number];

/**
 * Opens cases for records that the audit log has quarantined, by asking it for what was signed since; cases and how far it has come are one commit. An
 * audit log that is away is asked again, and passes nothing by.
 */
@Injectable()
export class CaseQuarantines implements OnApplicationBootstrap, OnModuleDestroy {
  readonly #rounds: Rounds;
  readonly #triggers: Counter;

  constructor(
    private readonly cursor: CaseQuarantinesStore,
    private readonly store: CaseWorkbenchStore,
    private readonly log: DecisionLogAuditPort,
    private readonly sources: DecisionSources,
    private readonly marks: CaseMarks,
    private readonly policies: Policies,
    private readonly clock: Clock,
    private readonly telemetry: Telemetry,
  ) {
    this.#triggers = telemetry.meter.createCounter('cases.quarantines', {
      description: 'Records that the audit log quarantined, by what came of them',
    });
    this.#rounds = new Rounds({
      clock,
      everyMs: LOOK_AGAIN_MS,
      round: () => this.look(),
      onFailure: (error) => telemetry.logger.warn('cases_quarantines_failed', { detail: String(error) }),
    });
  }

  onApplicationBootstrap(): void {
    this.#rounds.start();
  }

  async onModuleDestroy(): Promise<void> {
    await this.#rounds.stop();
  }

  /** One page of the log. @returns how many records it was */
  async look(): Promise<number> {
    const from = await this.cursor.nextLeaf();
    const context = outgoing(this.clock, CALL_LIMIT_MS);
    const { records, next_leaf: to } = await this.log.quarantined({ from_leaf: from, limit: BATCH }, context);
    if (to <= from) return 0;
    const policy = this.policies.inForce(CASES_POLICY).body;
    const wanted = records.filter(({ reason_codes }) =>
      reason_codes.some((reason) => policy.triggers.ANOMALY?.reasons.includes(reason)),
    );
    const triggers = await this.#triggersOf(wanted);
    const now = fromEpochMs(this.clock.nowMs());
    const actor = systemActor('cases');
    const added = await this.store.database.transaction(async (transaction) => {
      if (!(await this.cursor.move(transaction, from, to))) return null;
      const wishes = triggers.map((trigger) => {
        const entry = triggered(trigger, policy, actor);
        return { subject: trigger.subject, identity: entry, entries: () => [entry] };
      });
      return wishes.length === 0 ? [] : await this.store.append(transaction, wishes, now);
    });
    if (added === null) return 0;
    for (const { outcome } of added) this.#triggers.add(1, { outcome });
    this.#passBy(wanted);
    const opened = added.filter(({ outcome }) => outcome === 'NEW').length;
    if (opened > 0) this.marks.wake();
    if (opened > 0) this.telemetry.logger.info('cases_quarantined', { from_leaf: from, to_leaf: to, triggers: opened });
    return records.length;
  }

  /** A decision is about its payment, and so is an intent; both meet the case that the payment may have. Anything else is about itself. */
  async #triggersOf(records: readonly QuarantinedRecord[]): Promise<readonly Trigger[]> {
    const events = new Map<string, string>();
    const intents = records.filter(({ event_type }) => event_type === 'action_intent');
    for (const runId of new Set(intents.flatMap(({ pins }) => pins?.run_id ?? []))) {
      const parents = intents.flatMap(({ pins, parent_event_id: parent }) =>
        pins?.run_id === runId && parent !== null ? [parent] : [],
      );
      for (const [decision, event] of await this.sources.eventsOf(runId, [...new Set(parents)]))
        events.set(`${runId} ${decision}`, event);
    }
    return records.flatMap(({ audit_record_id, reason_codes, pins, event_id, event_type, parent_event_id: parent }) => {
      if (pins === null || event_id === null) return [];
      const decided = event_type === 'decision' ? parent : events.get(`${pins.run_id} ${parent ?? ''}`);
      const about = decided ?? event_id;
      return [
        {
          subject: subjectOf(pins, about),
          trigger: 'ANOMALY' as const,
          sourceRef: audit_record_id,
          reason: `the audit log quarantined ${event_type ?? 'a record'}: ${reason_codes.join(', ')}`,
          evidence: [
            { kind: 'DLA_AUDIT_RECORD' as const, id: audit_record_id },
            { kind: 'EVENT' as const, id: event_id },
            ...(about === event_id ? [] : [{ kind: 'EVENT' as const, id: about }]),
          ],
        },
      ];
    });
  }

  /** What names no run or no event has no case to stand in: it is told to whoever reads the log and the meters. */
  #passBy(records: readonly QuarantinedRecord[]): void {
    for (const { leaf, reason_codes, pins, event_id } of records) {
      if (pins !== null && event_id !== null) continue;
      this.#triggers.add(1, { outcome: 'NO_EVENT' });
      this.telemetry.logger.error('cases_quarantine_without_event', { leaf, reason_codes });
    }
  }
}
