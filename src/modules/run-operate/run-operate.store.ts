import { Injectable } from '@nestjs/common';
import type { GovernanceFact } from '../../rails/events/governance-fact.schema.js';
import type { PolicyRev } from '../../rails/policy-rev.js';
import type { UtcMicros } from '../../rails/time.js';
import { Database } from '../../substrate/database/database.port.js';
import type { Head } from './changes.core.js';
import { factOf, GovernanceFacts, type StoredFact } from './governance-facts.js';

export interface FactRow {
  readonly number: number;
  readonly fact: GovernanceFact;
}

interface StoredRow {
  readonly number: number;
  readonly fact: StoredFact;
}

export interface ChangesQuery {
  readonly limit: number;
  readonly before?: number;
  readonly from?: UtcMicros;
  readonly to?: UtcMicros;
  /** Of this policy, operation or other subject alone. */
  readonly subject?: string;
}

/** The schema `gov`: what came into force, when, and what the control topic was not told of yet. */
@Injectable()
export class RunOperateStore {
  constructor(
    private readonly database: Database,
    private readonly facts: GovernanceFacts,
  ) {}

  /** Lets `next` say what is new on top of the last facts, one process at a time; facts and messages are one commit. */
  async record(
    next: (heads: ReadonlyMap<string, Head>) => readonly GovernanceFact[],
  ): Promise<readonly GovernanceFact[]> {
    return await this.database.transaction(async (transaction) => {
      await transaction.query('select 1 from turn for update');
      const { rows } = await transaction.query<{ subject: string; fact_id: string; policy_rev: PolicyRev }>(
        `select distinct on (subject) subject, fact_id, fact -> 'after' as policy_rev from facts
         where kind in ('POLICY_IN_FORCE', 'POLICY_ACTIVATED', 'POLICY_ROLLED_BACK') order by subject, number desc`,
      );
      const facts = next(
        new Map(rows.map(({ subject, fact_id, policy_rev }) => [subject, { factId: fact_id, policyRev: policy_rev }])),
      );
      return await this.facts.append(transaction, facts);
    });
  }

  /** Oldest first. */
  async unpublished(limit: number): Promise<readonly FactRow[]> {
    const { rows } = await this.database.query<StoredRow>(
      { text: 'select number, fact from outbox join facts using (number) order by number limit $1', readOnly: true },
      [limit],
    );
    return rows.map(({ number, fact }) => ({ number, fact: factOf(fact) }));
  }

  async published(numbers: readonly number[]): Promise<void> {
    await this.database.query('delete from outbox where number = any($1::bigint[])', [numbers]);
  }

  /** Youngest first. */
  async changes({ limit, before, from, to, subject }: ChangesQuery): Promise<readonly FactRow[]> {
    const { rows } = await this.database.query<StoredRow>(
      {
        text: `select number, fact from facts
               where ($2::bigint is null or number < $2) and ($3::timestamptz is null or observed_at >= $3)
                 and ($4::timestamptz is null or observed_at < $4) and ($5::text is null or subject = $5)
               order by number desc limit $1`,
        readOnly: true,
      },
      [limit, before ?? null, from ?? null, to ?? null, subject ?? null],
    );
    return rows.map(({ number, fact }) => ({ number, fact: factOf(fact) }));
  }
}
