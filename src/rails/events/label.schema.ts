import { Type } from '@sinclair/typebox';
import { DigestSchema } from '../digest.js';
import { EventIdSchema } from '../envelope.schema.js';
import { closed, type Sealed } from '../schema.js';
import { UtcMicrosSchema } from '../time.js';

/**
 * `label` v1, a control fact: what became known of an event, and when. A reader counts it from `observed_at_utc` on, so it may be
 * published ahead of time. `ts_utc` of the envelope is the observed time; its `event_id` is the label's id.
 */
export const LabelSchema = closed(
  {
    label_id: DigestSchema,
    target_event_id: EventIdSchema,
    label_type: Type.Literal('fraud_disposition'),
    label_value: Type.Union([
      Type.Literal('FRAUD_CONFIRMED'),
      Type.Literal('FRAUD_SUSPECTED'),
      Type.Literal('LEGIT_CONFIRMED'),
    ]),
    /** When it happened: the event's own time. */
    effective_at_utc: UtcMicrosSchema,
    /** When it became known. */
    observed_at_utc: UtcMicrosSchema,
    /** `truth_product`: of a world whose truth is known. */
    source: closed({
      kind: Type.Literal('truth_product'),
      output_id: Type.String({ pattern: '^[a-z][a-z0-9_]{0,63}$' }),
    }),
  },
  { description: 'What became known of an event, and when.' },
);
export type Label = Sealed<typeof LabelSchema>;
