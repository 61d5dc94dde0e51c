import { Injectable } from '@nestjs/common';
import type { Counter } from '@opentelemetry/api';
import type { Actor } from '../../rails/actor.js';
import { ProbityError } from '../../rails/errors/probity-error.js';
import { isNoWorld } from '../../rails/pins.js';
import { fromEpochMs } from '../../rails/time.js';
import { Clock } from '../../substrate/clock/clock.port.js';
import { Policies } from '../../substrate/policy/policy.port.js';
import type { CallContext } from '../../substrate/rpc/rpc.port.js';
import { Telemetry } from '../../substrate/telemetry/telemetry.port.js';
import { IngestionGatePort } from '../ingestion-gate/ingestion-gate.port.js';
import { type CaseRefusal, entriesOf, goneOn, identityOf, type NewEntry, subjectOf, triggered } from './case.core.js';
import type { Case, Asked } from './case.schema.js';
import { CaseActions } from './case-actions.job.js';
import { CaseLabels } from './case-labels.job.js';
import { CaseMarks } from './case-marks.job.js';
import { CASES_POLICY } from './case-workbench.policy.js';
import { CaseWorkbenchStore, type Wish } from './case-workbench.store.js';

/** What came of a person's wish, and the case as it is then. */
export interface Done {
  readonly outcome: 'NEW' | 'DUPLICATE';
  readonly case: Case;
}

/** What people do with cases. Each wish is once by its key, and is judged by the case as it stands under its lock. */
@Injectable()
export class CaseWorkbenchService {
  readonly #commands: Counter;

  constructor(
    private readonly store: CaseWorkbenchStore,
    private readonly labels: CaseLabels,
    private readonly actions: CaseActions,
    private readonly marks: CaseMarks,
    private readonly gate: IngestionGatePort,
    private readonly policies: Policies,
    private readonly clock: Clock,
    private readonly telemetry: Telemetry,
  ) {
    this.#commands = telemetry.meter.createCounter('cases.commands', {
      description: 'Commands of people, by type and outcome',
    });
  }

  /** Opens the case of an event, or adds to it where there is one. @throws CASE_EVENT_UNKNOWN, CASE_PERSON_NEEDED, CASE_IDEMPOTENCY_CONFLICT */
  async open(
    {
      runId,
      eventId,
      reason,
      key,
    }: { readonly runId: string; readonly eventId: string; readonly reason: string; readonly key: string },
    actor: Actor,
    context: CallContext,
  ): Promise<Done> {
    demandPerson(actor);
    const { receipts } = await this.gate.receipts({ run_id: runId as never, event_ids: [eventId as never] }, context);
    const pins = receipts[0]?.pins;
    if (pins === undefined || isNoWorld(pins))
      throw new ProbityError('CASE_EVENT_UNKNOWN', 'the gate has admitted no such event in this run');
    const subject = subjectOf(pins, eventId);
    const policy = this.policies.inForce(CASES_POLICY).body;
    const entry = triggered(
      { subject, trigger: 'MANUAL_ASSERTION', sourceRef: key, evidence: [{ kind: 'EVENT', id: eventId }], reason },
      policy,
      actor,
    );
    const done = await this.#carryOut({ subject, identity: entry, entries: () => [entry] }, 'OPEN', actor);
    this.marks.wake();
    return done;
  }

  /** @throws CASE_NOT_FOUND, CASE_PERSON_NEEDED, CASE_GONE_ON, CASE_IDEMPOTENCY_CONFLICT and what the case says to the command */
  async command(caseId: string, { command, idempotency_key: key, expected_seq }: Asked, actor: Actor): Promise<Done> {
    demandPerson(actor);
    const found = await this.store.find(caseId);
    if (found === null) throw new ProbityError('CASE_NOT_FOUND', 'no case has this id');
    const { case_id, pins, subject_event_id } = found;
    const { body: policy, policy_rev: policyRev } = this.policies.inForce(CASES_POLICY);
    const entries = (now: Case | null): readonly NewEntry[] | CaseRefusal => {
      if (now === null) throw new TypeError('a case is never taken away');
      const supersedes = now.label.label_id;
      return goneOn(now, expected_seq) ?? entriesOf(now, command, { actor, key, policy, policyRev, supersedes });
    };
    const identity = identityOf(case_id, command, key);
    return await this.#carryOut(
      { subject: { case_id, pins, subject_event_id }, identity, entries },
      command.type,
      actor,
    );
  }

  async #carryOut(wish: Wish, type: string, actor: Actor): Promise<Done> {
    const now = fromEpochMs(this.clock.nowMs());
    const [added] = await this.store.database.transaction(
      async (transaction) => await this.store.append(transaction, [wish], now),
    );
    if (added === undefined) throw new TypeError('one result per wish');
    const { outcome, found } = added;
    this.#commands.add(1, { type, outcome });
    if (outcome === 'REFUSED') {
      const { code, detail } = added.refusal;
      throw new ProbityError(code, detail, { data: { case_seq: found.case_seq } });
    }
    if (outcome === 'CONFLICT')
      throw new ProbityError('CASE_IDEMPOTENCY_CONFLICT', 'something else was asked for under this key');
    this.telemetry.logger.info('case_command', { case_id: found.case_id, type, outcome, actor: actor.actor_id });
    if (found.label.state === 'PENDING') this.labels.wake();
    if (found.actions.some(({ state }) => state === 'SUBMITTED')) this.actions.wake();
    return { outcome, case: found };
  }
}

export function demandPerson({ source_type, actor_id }: Actor): void {
  if (source_type !== 'HUMAN') throw new ProbityError('CASE_PERSON_NEEDED', `${actor_id} is no person`);
}
