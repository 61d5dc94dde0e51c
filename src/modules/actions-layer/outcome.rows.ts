import type { UtcMicros } from '../../rails/time.js';
import type { Part } from '../../substrate/database/one-statement.js';
import type { MadeOutcome } from './outcome.core.js';

/** An intent that is at its end. */
export interface Ended {
  readonly semanticKey: string;
  readonly made: MadeOutcome;
}

/** Outcomes and the messages that tell them, for the statement that ends their intents. */
export function outcomeParts(ended: readonly Ended[], now: UtcMicros): readonly Part[] {
  if (ended.length === 0) return [];
  const keys = ended.map(({ semanticKey }) => semanticKey);
  const outcomes: Part = {
    as: 'ended',
    text: `insert into outcomes (semantic_key, outcome_id, status, reason_codes, matched_rule_id, event, completed_at)
           select *, $7::timestamptz from unnest($1::text[], $2::text[], $3::text[], $4::jsonb[], $5::text[], $6::text[])`,
    values: [
      keys,
      ended.map(({ made }) => made.outcome.outcome_id),
      ended.map(({ made }) => made.outcome.status),
      ended.map(({ made }) => JSON.stringify(made.outcome.reason_codes)),
      ended.map(({ made }) => made.outcome.matched_rule_id ?? null),
      ended.map(({ made }) => made.event),
      now,
    ],
  };
  const outbox: Part = {
    as: 'to_tell',
    text: 'insert into outbox (semantic_key) select * from unnest($1::text[])',
    values: [keys],
  };
  return [outcomes, outbox];
}
