import type { UtcMicros } from '../../rails/time.js';
import type { Transaction } from '../../substrate/database/database.port.js';
import type { MadeOutcome } from './outcome.core.js';

/** An intent that is at its end. */
export interface Ended {
  readonly semanticKey: string;
  readonly made: MadeOutcome;
}

/** Outcomes and the messages that tell them, in the transaction that ends their intents. */
export async function saveOutcomes(transaction: Transaction, ended: readonly Ended[], now: UtcMicros): Promise<void> {
  if (ended.length === 0) return;
  await transaction.query(
    {
      name: 'al_outcomes',
      text: `insert into outcomes (semantic_key, outcome_id, status, reason_codes, matched_rule_id, event, completed_at)
             select *, $7::timestamptz from unnest($1::text[], $2::text[], $3::text[], $4::jsonb[], $5::text[], $6::text[])`,
    },
    [
      ended.map(({ semanticKey }) => semanticKey),
      ended.map(({ made }) => made.outcome.outcome_id),
      ended.map(({ made }) => made.outcome.status),
      ended.map(({ made }) => JSON.stringify(made.outcome.reason_codes)),
      ended.map(({ made }) => made.outcome.matched_rule_id ?? null),
      ended.map(({ made }) => made.event),
      now,
    ],
  );
  await transaction.query(
    { name: 'al_outbox', text: 'insert into outbox (semantic_key) select * from unnest($1::text[])' },
    [ended.map(({ semanticKey }) => semanticKey)],
  );
}
