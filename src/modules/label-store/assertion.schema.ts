import { type Static, Type } from '@sinclair/typebox';
import { ActorSchema } from '../../rails/actor.js';
import { DigestSchema } from '../../rails/digest.js';
import {
  ConfidenceSchema,
  LabelTypeSchema,
  LabelValueSchema,
  NamespaceSchema,
} from '../../rails/events/label.schema.js';
import { EventIdSchema } from '../../rails/envelope.schema.js';
import { LabelTargetSchema } from '../../rails/labels/target.js';
import { RunIdSchema, RunPinsSchema } from '../../rails/pins.js';
import { RefSchema } from '../../rails/ref.js';
import { closed, type Sealed } from '../../rails/schema.js';

const Time = Type.String({ minLength: 1, maxLength: 40, description: 'RFC 3339, with Z or an offset' });
const Text = (maxLength: number) =>
  Type.String({ minLength: 1, maxLength, pattern: '^[!-~]([ -~]*[!-~])?$', description: 'printable ASCII' });

export const EVIDENCE_KINDS = [
  'DLA_AUDIT_RECORD',
  'DECISION',
  'ACTION_OUTCOME',
  'EB_ORIGIN_OFFSET',
  'CASE_EVENT',
  'EXTERNAL_REF',
] as const;

/** What a label stands on, by reference alone. */
export const EvidenceRefSchema = closed({
  kind: Type.Union(EVIDENCE_KINDS.map((kind) => Type.Literal(kind))),
  /** The id in its own system. */
  id: Text(300),
  ref: Type.Optional(RefSchema),
});

/** A transaction by the id that its producer gave it, for whoever does not know ours. */
const TransactionTargetSchema = closed({
  kind: Type.Literal('TRANSACTION'),
  transaction_id: Text(128),
  /** The edge that it came in by; needed where several know the id. */
  producer: Type.Optional(Type.String({ pattern: '^[a-z][a-z0-9._-]{0,99}$' })),
});

/** What somebody says of an event, an entity or a flow. Who says it is known from authentication; only a unit that the policy trusts with it names the person whom it authenticated. */
export const AssertionSchema = closed(
  {
    run_id: RunIdSchema,
    /** Where the writer knows them: refused unless they are those of the run. */
    pins: Type.Optional(RunPinsSchema),
    target: Type.Union([...LabelTargetSchema.anyOf, TransactionTargetSchema]),
    label_type: LabelTypeSchema,
    label_value: LabelValueSchema,
    confidence_ppm: Type.Optional(ConfidenceSchema),
    /** When it happened; for an event its own time unless stated. */
    effective_at_utc: Type.Optional(Time),
    /** When the writer says that it became known. It is kept; what counts is when the store was told. */
    reported_at_utc: Type.Optional(Time),
    namespace: NamespaceSchema,
    /** What makes it the same label when it is sent again, within target, type and namespace. */
    handle: Text(200),
    /** The label that it takes the place of, of the same target and type. */
    supersedes: Type.Optional(DigestSchema),
    /** The person for whom a unit says it; refused unless the writer may act for people. */
    on_behalf_of: Type.Optional(ActorSchema),
    evidence_refs: Type.Optional(Type.Array(EvidenceRefSchema, { maxItems: 20 })),
  },
  { description: 'A label as a writer asserts it.' },
);
export type Assertion = Sealed<typeof AssertionSchema>;
/** The same before it was checked, as our own code makes it. */
export interface AssertionInput {
  readonly run_id: string;
  readonly namespace: string;
  readonly target: Readonly<Record<string, string>> & { readonly kind: string };
  readonly label_type: string;
  readonly label_value: string;
  readonly handle: string;
  readonly effective_at_utc?: string;
  readonly reported_at_utc?: string;
  readonly supersedes?: string;
}

export const AssertResultSchema = closed({
  outcome: Type.Union([Type.Literal('ACCEPTED'), Type.Literal('DUPLICATE'), Type.Literal('REJECTED')]),
  /** Of the label that stands. */
  label_id: Type.Optional(DigestSchema),
  ledger_seq: Type.Optional(Type.Integer({ minimum: 1 })),
  event_id: Type.Optional(EventIdSchema),
  observed_at_utc: Type.Optional(Type.String()),
  code: Type.Optional(Type.String()),
  /** What is wrong and where; never the value. */
  detail: Type.Optional(Type.String()),
  retryable: Type.Optional(Type.Boolean()),
});
export type AssertResult = Static<typeof AssertResultSchema>;
