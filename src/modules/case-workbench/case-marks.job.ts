import { Injectable, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common';
import { decisionIdRecipe } from '../../rails/decision/ids.js';
import { Clock } from '../../substrate/clock/clock.port.js';
import { Rounds } from '../../substrate/clock/rounds.js';
import { Policies } from '../../substrate/policy/policy.port.js';
import { Telemetry } from '../../substrate/telemetry/telemetry.port.js';
import { AdmittedRecords } from './admitted-records.js';
import { marksOf } from './case-marks.core.js';
import { CaseMarksStore, type Marked } from './case-marks.store.js';
import { CASES_POLICY } from './case-workbench.policy.js';
import { decisionIn } from './decision-sources.js';

const LOOK_AGAIN_MS = 2_000;
const BATCH = 100;

/** Notes what the payments of cases name, soon after a case was opened: the consumer of decisions waits for no reading of the bus. */
@Injectable()
export class CaseMarks implements OnApplicationBootstrap, OnModuleDestroy {
  readonly #rounds: Rounds;

  constructor(
    private readonly store: CaseMarksStore,
    private readonly records: AdmittedRecords,
    private readonly policies: Policies,
    clock: Clock,
    telemetry: Telemetry,
  ) {
    this.#rounds = new Rounds({
      clock,
      everyMs: LOOK_AGAIN_MS,
      round: () => this.mark(),
      onFailure: (error) => telemetry.logger.warn('cases_marks_failed', { detail: String(error) }),
    });
  }

  onApplicationBootstrap(): void {
    this.#rounds.start();
  }

  async onModuleDestroy(): Promise<void> {
    await this.#rounds.stop();
  }

  /** A case was opened, or triggered again. */
  wake(): void {
    this.#rounds.wake();
  }

  /** One batch. @returns how many cases it was */
  async mark(): Promise<number> {
    const waiting = await this.store.unmarked(BATCH);
    const { similar } = this.policies.inForce(CASES_POLICY).body;
    for (const runId of new Set(waiting.map(({ value }) => value.pins.run_id))) {
      const ofRun = waiting.filter(({ value }) => value.pins.run_id === runId);
      const asked = ofRun.map((of) => {
        const { pins, subject_event_id: event_id } = of.value;
        return {
          of,
          event: event_id,
          decision: decisionIdRecipe.derive({ pins, event_id, scope: similar.scope }),
        };
      });
      const records = await this.records.find(runId, [
        ...new Set(asked.flatMap(({ event, decision }) => [event, decision])),
      ]);
      const marked = asked.map(({ of, event, decision }): Marked => {
        const paid = records.get(event);
        const decided = records.get(decision);
        if (paid === undefined) return { of, marks: null };
        return { of, marks: marksOf(paid.event.payload, decided === undefined ? null : decisionIn(decided), similar) };
      });
      await this.store.mark(marked);
    }
    return waiting.length;
  }
}
