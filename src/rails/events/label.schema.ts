import { Type } from '@sinclair/typebox';
import { ActorSchema } from '../actor.js';
import { DigestSchema } from '../digest.js';
import { LabelTargetSchema } from '../labels/target.js';
import { PolicyRevSchema } from '../policy-rev.js';
import { closed, safeInteger, type Sealed } from '../schema.js';
import { UtcMicrosSchema } from '../time.js';

export const LabelTypeSchema = Type.String({ pattern: '^[a-z][a-z0-9_]{0,63}$' });
export const LabelValueSchema = Type.String({ pattern: '^[A-Z][A-Z0-9_]{0,63}$' });
export const NamespaceSchema = Type.String({ pattern: '^[a-z][a-z0-9._-]{0,63}$' });

/** Takes back what it supersedes and says nothing instead; a value of every type. */
export const WITHDRAWN = 'WITHDRAWN';

export const LABEL_SOURCES = ['HUMAN', 'EXTERNAL', 'AUTO', 'SYSTEM'] as const;
export const LabelSourceSchema = Type.Union(LABEL_SOURCES.map((source) => Type.Literal(source)));
export type LabelSource = (typeof LABEL_SOURCES)[number];

/** How sure the writer is, in millionths. */
export const ConfidenceSchema = Type.Integer({ minimum: 0, maximum: 1_000_000 });

/**
 * `label` v2, a control fact: what became known of something, and when. A reader counts it from `observed_at_utc` on, so that the
 * labels of a replayed world may be published ahead of time. `ts_utc` of the envelope is the observed time; its `event_id` is the
 * label's id.
 */
export const LabelSchema = closed(
  {
    label_id: DigestSchema,
    /** Its number in the ledger of labels. */
    ledger_seq: safeInteger(1, 'from 1, without gaps'),
    target: LabelTargetSchema,
    label_type: LabelTypeSchema,
    label_value: LabelValueSchema,
    confidence_ppm: Type.Optional(ConfidenceSchema),
    /** When it happened: for a fraud the time of the payment. */
    effective_at_utc: UtcMicrosSchema,
    /** When it became known: by the ledger's clock; for a sealed world by that of the world. */
    observed_at_utc: UtcMicrosSchema,
    /** By the ledger's clock, always. */
    recorded_at_utc: UtcMicrosSchema,
    /** When the writer says that it was known. */
    reported_at_utc: Type.Optional(UtcMicrosSchema),
    source: closed({
      type: LabelSourceSchema,
      namespace: NamespaceSchema,
      /** Who says it. */
      actor: ActorSchema,
      /** The unit that a person said it through. */
      via: Type.Optional(ActorSchema.properties.actor_id),
    }),
    /** The label that it takes the place of. */
    supersedes: Type.Optional(DigestSchema),
    policy_rev: PolicyRevSchema,
  },
  { description: 'What became known of an event, an entity or a flow, and when.' },
);
export type Label = Sealed<typeof LabelSchema>;
