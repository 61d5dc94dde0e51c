import { Injectable } from '@nestjs/common';
import type { Static } from '@sinclair/typebox';
import { AuditObjects } from './audit-objects.js';
import type {
  DecisionLogAuditPort,
  LeavesAnswer,
  LeavesQuery,
  Quarantined,
  QuarantinedQuery,
} from './decision-log-audit.port.js';
import { DecisionLogAuditStore } from './decision-log-audit.store.js';
import { quarantinedIn } from './leaf.core.js';

/** What other units ask the audit log. */
@Injectable()
export class DecisionLogAuditService implements DecisionLogAuditPort {
  constructor(
    private readonly store: DecisionLogAuditStore,
    private readonly objects: AuditObjects,
  ) {}

  async leaves({ run_id }: Static<typeof LeavesQuery>): Promise<Static<typeof LeavesAnswer>> {
    return { by_kind: { ...(await this.store.counts(run_id)) } };
  }

  /** As their leaves say under a signature, and not as the index does, which can be dropped. */
  async quarantined({ from_leaf: from, limit }: Static<typeof QuarantinedQuery>): Promise<Quarantined> {
    const { published: size } = await this.store.state();
    const leaves = await this.store.quarantined(from, size, limit);
    const records: Quarantined['records'][number][] = [];
    for (const leaf of leaves) records.push(quarantinedIn(leaf, await this.objects.leaf(leaf, size)));
    const last = leaves.at(-1);
    return { records, next_leaf: leaves.length === limit && last !== undefined ? last + 1 : Math.max(from, size) };
  }
}
