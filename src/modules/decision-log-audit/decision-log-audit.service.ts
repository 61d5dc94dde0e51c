import { Injectable } from '@nestjs/common';
import type { Static } from '@sinclair/typebox';
import type { DecisionLogAuditPort, LeavesAnswer, LeavesQuery } from './decision-log-audit.port.js';
import { DecisionLogAuditStore } from './decision-log-audit.store.js';

/** What other units ask the audit log. */
@Injectable()
export class DecisionLogAuditService implements DecisionLogAuditPort {
  constructor(private readonly store: DecisionLogAuditStore) {}

  async leaves({ run_id }: Static<typeof LeavesQuery>): Promise<Static<typeof LeavesAnswer>> {
    return { by_kind: { ...(await this.store.counts(run_id)) } };
  }
}
