import { Injectable } from '@nestjs/common';
import { isOtherType, readEvent } from '../../rails/events/read-event.js';
import type { OutgoingRecord, Position, PositionStore, TopicPartition } from '../../substrate/bus/bus.port.js';
import { Policies } from '../../substrate/policy/policy.port.js';
import { CASES_POLICY } from './case-workbench.policy.js';
import { CaseWorkbenchStore } from './case-workbench.store.js';

/** Where the batches begin, and which records are work. */
@Injectable()
export class CasePositions implements PositionStore {
  constructor(
    private readonly store: CaseWorkbenchStore,
    private readonly policies: Policies,
  ) {}

  async positions(partitions: readonly TopicPartition[]): Promise<readonly Position[]> {
    return await this.store.positions(partitions);
  }

  /** By the policy in force: a decision that nobody has to look at is none, nor is an action that went well. */
  needs({ value }: OutgoingRecord): boolean {
    if (isOtherType(value, (type) => type === 'decision' || type === 'action_outcome')) return false;
    const read = readEvent(value);
    // What nobody can read is counted and passed by.
    if (!read.ok) return false;
    const { eventType, payload } = read.event;
    const { DECISION_ESCALATION, ACTION_FAILURE } = this.policies.inForce(CASES_POLICY).body.triggers;
    const names = (list: readonly string[], name: unknown): boolean => list.some((one) => one === name);
    if (eventType === 'decision') return names(DECISION_ESCALATION.outcomes, payload['outcome']);
    if (eventType !== 'action_outcome') return false;
    return names(ACTION_FAILURE.statuses, payload['status']) || payload['origin'] === 'CASE';
  }
}
