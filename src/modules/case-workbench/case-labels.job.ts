import { Injectable, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common';
import type { Counter } from '@opentelemetry/api';
import { systemActor } from '../../rails/actor.js';
import { fromEpochMs } from '../../rails/time.js';
import { Clock } from '../../substrate/clock/clock.port.js';
import { Rounds } from '../../substrate/clock/rounds.js';
import { Policies } from '../../substrate/policy/policy.port.js';
import { outgoing } from '../../substrate/rpc/outgoing.js';
import { Telemetry } from '../../substrate/telemetry/telemetry.port.js';
import { LabelStorePort } from '../label-store/label-store.port.js';
import { answered } from './case.core.js';
import type { Case } from './case.schema.js';
import { CASES_POLICY } from './case-workbench.policy.js';
import { CaseWorkbenchStore, type Submitted } from './case-workbench.store.js';

const LOOK_AGAIN_MS = 2_000;
const BATCH = 100;
const CALL_LIMIT_MS = 10_000;

/**
 * Tells the label store what people found, and writes its answers into the timelines. Until there is one, nothing is claimed: a store that is
 * away is asked again with the same handle, and what it has taken already it recognises.
 */
@Injectable()
export class CaseLabels implements OnApplicationBootstrap, OnModuleDestroy {
  readonly #rounds: Rounds;
  readonly #answers: Counter;

  constructor(
    private readonly store: CaseWorkbenchStore,
    private readonly labels: LabelStorePort,
    private readonly policies: Policies,
    private readonly clock: Clock,
    private readonly telemetry: Telemetry,
  ) {
    this.#answers = telemetry.meter.createCounter('cases.labels', {
      description: 'Answers of the label store to dispositions, by outcome and code',
    });
    this.#rounds = new Rounds({
      clock,
      everyMs: LOOK_AGAIN_MS,
      round: () => this.submit(),
      onFailure: (error) => telemetry.logger.warn('cases_labels_failed', { detail: String(error) }),
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
    const waiting = await this.store.labelsOnTheirWay(BATCH);
    if (waiting.length === 0) return 0;
    const submitted = await this.store.lastSubmissions(waiting.map(({ case_id }) => case_id));
    const submissions = waiting.map((found) => [found, demanded(submitted.get(found.case_id))] as const);
    const namespace = this.policies.inForce(CASES_POLICY).body.label_namespace;
    const asked = submissions.map(([found, last]) => assertionOf(found, last, namespace));
    const { results } = await this.labels.assert({ labels: asked }, outgoing(this.clock, CALL_LIMIT_MS));
    const actor = systemActor('labels');
    const wishes = submissions.flatMap(([found, { disposition_event_id }], index) => {
      const { outcome, label_id, code = '', detail = '', retryable } = results[index] ?? { outcome: 'REJECTED' };
      this.#answers.add(1, { outcome, code });
      if (outcome === 'REJECTED' && retryable !== false) return [];
      const answer =
        outcome === 'REJECTED' || label_id === undefined
          ? { code, detail: detail.slice(0, 1_000) }
          : { label_id: label_id };
      const entry = answered(found.case_id, disposition_event_id, answer, actor);
      return [{ subject: found, identity: entry, entries: () => [entry] }];
    });
    if (wishes.length === 0) return 0;
    const now = fromEpochMs(this.clock.nowMs());
    await this.store.database.transaction(async (transaction) => await this.store.append(transaction, wishes, now));
    this.telemetry.logger.info('cases_labels', { answered: wishes.length, asked: asked.length });
    return wishes.length;
  }
}

function demanded(submitted: Submitted | undefined): Submitted {
  if (submitted === undefined) throw new TypeError('a label is on its way because it was submitted');
  return submitted;
}

/** The entry of the disposition is the handle and the evidence: the same finding is the same label, however often it is sent. */
function assertionOf({ pins, subject_event_id }: Case, submitted: Submitted, namespace: string): object {
  const { disposition_event_id, label_type, label_value, supersedes, actor } = submitted;
  return {
    run_id: pins.run_id,
    pins,
    target: { kind: 'EVENT', event_id: subject_event_id },
    ...{ label_type, label_value, namespace, handle: disposition_event_id, on_behalf_of: actor },
    ...(supersedes === undefined ? {} : { supersedes }),
    evidence_refs: [{ kind: 'CASE_EVENT', id: disposition_event_id }],
  };
}
