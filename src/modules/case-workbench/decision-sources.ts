import { Injectable } from '@nestjs/common';
import { type Decision, DecisionSchema } from '../../rails/events/decision.schema.js';
import { validatorOf } from '../../rails/validator.js';
import { type AdmittedRecord, AdmittedRecords } from './admitted-records.js';

const decisions = validatorOf(DecisionSchema, 'the decision');

/** Which event a decision was about: an outcome names the decision alone. Asked for the few actions that failed. */
@Injectable()
export class DecisionSources {
  constructor(private readonly records: AdmittedRecords) {}

  /**
   * By decision; one that was never admitted, or whose record is gone, is left out.
   * @throws what `AdmittedRecords.find` throws: then the same outcomes come again
   */
  async eventsOf(runId: string, decisionIds: readonly string[]): Promise<ReadonlyMap<string, string>> {
    const found = await this.records.find(runId, decisionIds);
    return new Map(
      [...found].flatMap(([id, record]) => {
        const decision = decisionIn(record);
        return decision === null ? [] : [[id, decision.source_event.event_id] as const];
      }),
    );
  }
}

/** The decision that a record is; null where it is none. */
export function decisionIn({ event }: AdmittedRecord): Decision | null {
  const checked = decisions.check(event.payload);
  return event.eventType === 'decision' && checked.ok ? checked.value : null;
}
