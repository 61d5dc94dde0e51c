import { Injectable, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common';
import type { Counter } from '@opentelemetry/api';
import { systemActor } from '../../rails/actor.js';
import { decisionIdRecipe } from '../../rails/decision/ids.js';
import { ProbityError } from '../../rails/errors/probity-error.js';
import type { Decision } from '../../rails/events/decision.schema.js';
import { fromEpochMs } from '../../rails/time.js';
import { Clock } from '../../substrate/clock/clock.port.js';
import { Rounds } from '../../substrate/clock/rounds.js';
import { outgoing } from '../../substrate/rpc/outgoing.js';
import { Telemetry } from '../../substrate/telemetry/telemetry.port.js';
import { IngestionGatePort, type SubmitResult } from '../ingestion-gate/ingestion-gate.port.js';
import { AdmittedRecords } from './admitted-records.js';
import { actionAnswered, type NewEntry } from './case.core.js';
import { caseIntent } from './case-intent.core.js';
import { type ActionOnItsWay, CaseWorkbenchStore } from './case-workbench.store.js';
import { decisionIn } from './decision-sources.js';

const LOOK_AGAIN_MS = 2_000;
const BATCH = 100;
const CALL_LIMIT_MS = 10_000;

/**
 * Takes what people ask for through the gate, and writes its answers into the timelines. A gate that is away is asked again with the very same
 * event, which it recognises: one intent per wish. What the actions layer did comes over the bus, to the consumer.
 */
@Injectable()
export class CaseActions implements OnApplicationBootstrap, OnModuleDestroy {
  readonly #rounds: Rounds;
  readonly #answers: Counter;

  constructor(
    private readonly store: CaseWorkbenchStore,
    private readonly gate: IngestionGatePort,
    private readonly records: AdmittedRecords,
    private readonly clock: Clock,
    private readonly telemetry: Telemetry,
  ) {
    this.#answers = telemetry.meter.createCounter('cases.actions', {
      description: 'Answers of the gate to wishes of people, by outcome and code',
    });
    this.#rounds = new Rounds({
      clock,
      everyMs: LOOK_AGAIN_MS,
      round: () => this.submit(),
      onFailure: (error) => telemetry.logger.warn('cases_actions_failed', { detail: String(error) }),
    });
  }

  onApplicationBootstrap(): void {
    this.#rounds.start();
  }

  async onModuleDestroy(): Promise<void> {
    await this.#rounds.stop();
  }

  /** There may be something to submit. */
  wake(): void {
    this.#rounds.wake();
  }

  /** One batch. @returns how many were answered for good */
  async submit(): Promise<number> {
    const waiting = await this.store.actionsOnTheirWay(BATCH);
    if (waiting.length === 0) return 0;
    const told: { readonly one: ActionOnItsWay; readonly text: string }[] = [];
    const answers: { readonly one: ActionOnItsWay; readonly entry: NewEntry }[] = [];
    const actor = systemActor('ig');
    const sources = await this.#sources(waiting);
    for (const one of waiting) {
      const { found, submitted } = one;
      const { decision, payload } = sources.get(one) ?? {};
      if (decision === undefined || payload === undefined) {
        const refused = { code: 'CASE_NOT_DECIDED', detail: `no decision of scope ${submitted.scope} is on the bus` };
        answers.push({ one, entry: actionAnswered(found.case_id, submitted.intent_id, refused, systemActor('cases')) });
      } else told.push({ one, text: caseIntent(found, submitted, decision, payload).text });
    }
    const results = await this.#submitted(told.map(({ text }) => text));
    told.forEach(({ one }, at) => {
      const answer = answerOf(results[at]);
      if (answer === null) return;
      answers.push({ one, entry: actionAnswered(one.found.case_id, one.submitted.intent_id, answer, actor) });
    });
    for (const { entry } of answers)
      this.#answers.add(1, { outcome: entry.type, code: entry.type === 'ACTION_REFUSED' ? entry.code : '' });
    if (answers.length === 0) return 0;
    const now = fromEpochMs(this.clock.nowMs());
    const wishes = answers.map(({ one, entry }) => ({ subject: one.found, identity: entry, entries: () => [entry] }));
    await this.store.database.transaction(async (transaction) => await this.store.append(transaction, wishes, now));
    this.telemetry.logger.info('cases_actions', { answered: answers.length, asked: waiting.length });
    return answers.length;
  }

  /** The decisions that the wishes are about and what was decided about, as they stand on the bus: in two calls of the gate per run. */
  async #sources(
    waiting: readonly ActionOnItsWay[],
  ): Promise<ReadonlyMap<ActionOnItsWay, { readonly decision: Decision; readonly payload: object }>> {
    const sources = new Map<ActionOnItsWay, { readonly decision: Decision; readonly payload: object }>();
    for (const runId of new Set(waiting.map(({ found }) => found.pins.run_id))) {
      const ofRun = waiting.filter(({ found }) => found.pins.run_id === runId);
      const ids = ofRun.map(({ found: { pins, subject_event_id }, submitted: { scope } }) =>
        String(decisionIdRecipe.derive({ pins, event_id: subject_event_id, scope })),
      );
      const events = ofRun.map(({ found }) => found.subject_event_id as string);
      const records = await this.records.find(runId, [...new Set([...ids, ...events])]);
      ofRun.forEach((one, at) => {
        const decided = records.get(ids[at] ?? '');
        const event = records.get(events[at] ?? '');
        const decision = decided === undefined ? null : decisionIn(decided);
        if (decision !== null && event !== undefined) sources.set(one, { decision, payload: event.event.payload });
      });
    }
    return sources;
  }

  async #submitted(events: string[]): Promise<readonly SubmitResult[]> {
    if (events.length === 0) return [];
    const { results } = await this.gate.submit({ events }, outgoing(this.clock, CALL_LIMIT_MS));
    if (results.length !== events.length)
      throw new ProbityError('INTERNAL', `the gate answered ${results.length} of ${events.length} events`);
    return results;
  }
}

/** What the gate says for good; null where the same event may be admitted later. */
function answerOf(result: SubmitResult | undefined): Parameters<typeof actionAnswered>[2] | null {
  if (result === undefined) return null;
  const { decision, receipt_id, reason_codes, retryable, detail = '' } = result;
  if (decision !== 'QUARANTINE') return { receipt_id };
  return retryable ? null : { code: `IG_${reason_codes[0] ?? 'QUARANTINE'}`, detail: detail.slice(0, 1_000) };
}
