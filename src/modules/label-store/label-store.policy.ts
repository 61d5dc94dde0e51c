import { Type } from '@sinclair/typebox';
import { closed } from '../../rails/schema.js';
import type { PolicyKind } from '../../substrate/policy/policy.port.js';

/** Which labels of a world are published. */
export const FeedSchema = closed({
  /**
   * all: every row of the truth product. fraud_and_corrections: rows that say fraud, and rows that take back an earlier one of the same
   * event; what is never labelled counts as no fraud all the same.
   */
  publish: Type.Union([Type.Literal('all'), Type.Literal('fraud_and_corrections')]),
  batch_labels_max: Type.Integer({ minimum: 1, maximum: 2_000 }),
});

export const FEED_POLICY: PolicyKind<typeof FeedSchema> = { policy_id: 'labels.feed', schema: FeedSchema };
