import { Injectable } from '@nestjs/common';
import { type GovernanceFact, policyRevOf } from '../../rails/events/governance-fact.schema.js';
import type { Transaction } from '../../substrate/database/database.port.js';

/** A fact as it stands in the table: rows of version 1 lack what version 2 has more. */
export type StoredFact = Omit<GovernanceFact, 'subject' | 'evidence' | 'detail' | 'op_id' | 'step'> &
  Partial<GovernanceFact>;

/** Writes facts of governance. What is to be told of them is the same commit. */
@Injectable()
export class GovernanceFacts {
  /**
   * Within the transaction that does what they tell of. A fact whose id stands already is left as it is: the first one counts.
   * @returns those that are new, in the order in which they were given
   */
  async append(transaction: Transaction, facts: readonly GovernanceFact[]): Promise<readonly GovernanceFact[]> {
    if (facts.length === 0) return facts;
    const { rows } = await transaction.query<{ fact_id: string }>(
      `with new as (
         insert into facts (fact_id, kind, subject, fact, observed_at, op_id)
         select fact_id, kind, subject, fact, observed_at, op_id
         from unnest($1::text[], $2::text[], $3::text[], $4::jsonb[], $5::timestamptz[], $6::text[])
           with ordinality as given (fact_id, kind, subject, fact, observed_at, op_id, place)
         order by place
         on conflict (fact_id) do nothing
         returning number, fact_id
       ), told as (insert into outbox (number) select number from new)
       select fact_id from new`,
      [
        facts.map(({ fact_id }) => fact_id),
        facts.map(({ kind }) => kind),
        facts.map(({ subject }) => subject),
        facts.map((fact) => JSON.stringify(fact)),
        facts.map(({ observed_at_utc }) => observed_at_utc),
        facts.map(({ op_id }) => op_id),
      ],
    );
    const written = new Set(rows.map(({ fact_id }) => fact_id));
    return facts.filter(({ fact_id }) => written.has(fact_id));
  }
}

/** A row of any version, as version 2. */
export function factOf(stored: StoredFact): GovernanceFact {
  const subject = stored.subject ?? policyRevOf(stored.after)?.policy_id ?? stored.scope;
  return { evidence: [], detail: {}, op_id: null, step: 0, ...stored, subject };
}
