import { CustodySchema } from './custody.core.js';
import { type Static, Type } from '@sinclair/typebox';
import { DigestSchema } from '../../rails/digest.js';
import { EbRefSchema } from '../../rails/eb-ref.js';
import {
  EventIdSchema,
  EventTypeSchema,
  ProducerNameSchema,
  SchemaVersionSchema,
} from '../../rails/envelope.schema.js';
import { ContextPinsSchema, RunIdSchema } from '../../rails/pins.js';
import { PolicyRevSchema } from '../../rails/policy-rev.js';
import { RefSchema } from '../../rails/ref.js';
import { closed, safeInteger, type Sealed } from '../../rails/schema.js';
import { UtcMicrosSchema } from '../../rails/time.js';
import type { CallContext } from '../../substrate/rpc/rpc.port.js';
import { defineContract } from '../../substrate/rpc/rpc-contract.js';

export const TRAFFIC_TOPIC = 'fp.bus.traffic.v1';

/** Where an event was stopped, in the order of the checks. */
export const STAGES = [
  'size',
  'parse',
  'envelope',
  'producer',
  'allowlist',
  'payload',
  'pins',
  'run',
  'traffic',
  'partition_key',
  'identity',
] as const;
export type Stage = (typeof STAGES)[number];

/** Why an event was quarantined; the error code over HTTP is this with `IG_` before it. */
export const REASONS = [
  'PRODUCER_MISMATCH',
  'POLICY_DENY',
  'ENVELOPE_INVALID',
  'EVENT_TYPE_UNKNOWN',
  'SCHEMA_VERSION_MISSING',
  'SCHEMA_UNKNOWN',
  'SCHEMA_FAIL',
  'PAYLOAD_TOO_LARGE',
  'PINS_MISSING',
  'PINS_INVALID',
  'PIN_MISMATCH',
  'UNKNOWN_RUN',
  'RUN_NOT_READY',
  'JOIN_SURFACE_MISSING',
  'ROLE_NOT_TRAFFIC',
  'NOT_DECLARED_TRAFFIC_TARGET',
  'PARTITION_KEY_MISSING',
  'PAYLOAD_HASH_MISMATCH',
] as const;
export type Reason = (typeof REASONS)[number];
const ReasonSchema = Type.Union(REASONS.map((reason) => Type.Literal(reason)));

export const DecisionSchema = Type.Union([
  Type.Literal('ADMIT'),
  Type.Literal('DUPLICATE'),
  Type.Literal('QUARANTINE'),
]);

/** What became of one submission, in full. One of `eb_ref`, `original_receipt_id`, `quarantine` says where it went. */
export const ReceiptSchema = closed(
  {
    receipt_id: DigestSchema,
    decision: DecisionSchema,
    reason_codes: Type.Array(ReasonSchema),
    /** Whether the same event may be admitted later without being changed. */
    retryable: Type.Boolean(),
    /** Who was authenticated. */
    principal: Type.String(),
    producer: Type.Optional(ProducerNameSchema),
    event_id: Type.Optional(EventIdSchema),
    event_type: Type.Optional(EventTypeSchema),
    schema_version: Type.Optional(SchemaVersionSchema),
    ts_utc: Type.Optional(UtcMicrosSchema),
    pins: Type.Optional(ContextPinsSchema),
    payload_hash: Type.Optional(DigestSchema),
    /** When the gate decided; for ADMIT the time of admission. */
    decided_at_utc: UtcMicrosSchema,
    policy_rev: PolicyRevSchema,
    partition_key: Type.Optional(Type.String()),
    /** The profile by which the partition was chosen. */
    partitioning_profile: Type.Optional(Type.String()),
    /** ADMIT: where the event stands. DUPLICATE: where the first one stands. */
    eb_ref: Type.Optional(EbRefSchema),
    original_receipt_id: Type.Optional(DigestSchema),
    quarantine: Type.Optional(
      closed({
        quarantine_id: DigestSchema,
        stage: Type.String(),
        detail: Type.String(),
        evidence: Type.Optional(RefSchema),
      }),
    ),
    supersedes_ref: Type.Optional(DigestSchema),
    component_version: Type.String(),
    env: Type.String(),
  },
  {
    description:
      'What became of one event at the gate: admitted, recognised as a duplicate, or quarantined with a reason.',
  },
);
export type Receipt = Sealed<typeof ReceiptSchema>;

/** The same in short, for producers that send thousands. */
export const SubmitResultSchema = closed({
  decision: DecisionSchema,
  receipt_id: DigestSchema,
  event_id: Type.Optional(EventIdSchema),
  reason_codes: Type.Array(ReasonSchema),
  retryable: Type.Boolean(),
  /** What is wrong and where; never the value. */
  detail: Type.Optional(Type.String()),
  eb_ref: Type.Optional(EbRefSchema),
});
export type SubmitResult = Sealed<typeof SubmitResultSchema>;

/** One call of the port takes so many; a caller with more sends several. */
export const SUBMIT_EVENTS_MAX = 2_000;

export const SubmitRequest = closed({
  /** Each event as the text of one JSON object: the very bytes that are judged. */
  events: Type.Array(Type.String({ maxLength: 1_048_576 }), { minItems: 1, maxItems: SUBMIT_EVENTS_MAX }),
  /** One for all: the quarantined event that these supersede (release and correction alone). */
  supersedes_ref: Type.Optional(DigestSchema),
});
export const SubmitResponse = closed({ results: Type.Array(SubmitResultSchema) });

export const ReceiptsQuery = closed({
  run_id: Type.Optional(RunIdSchema),
  event_ids: Type.Array(EventIdSchema, { minItems: 1, maxItems: SUBMIT_EVENTS_MAX }),
});
/** The receipts of admission of these events, in their order; null for what was not admitted. */
export const ReceiptsResponse = closed({ receipts: Type.Array(Type.Union([ReceiptSchema, Type.Null()])) });

export const ReconcileRequest = closed({ run_id: RunIdSchema });

/** Whether the ledger and the bus hold the very same events of a run. */
export const ReconciliationSchema = closed({
  state: Type.Union([Type.Literal('RUNNING'), Type.Literal('DONE')]),
  run_id: RunIdSchema,
  /** Distinct identities of traffic that the ledger says were admitted. */
  admitted: safeInteger(0, 'events'),
  /** Submissions answered DUPLICATE, over all attempts. */
  duplicate: safeInteger(0, 'submissions'),
  /** Submissions quarantined, over all attempts. */
  quarantined: safeInteger(0, 'submissions'),
  /** Records of the run's traffic on the traffic topic. */
  on_bus: safeInteger(0, 'records'),
  /** All that the run has there, by type: what follows from its traffic, too (decisions, intents, outcomes). */
  by_type: Type.Record(
    Type.String(),
    closed({ admitted: safeInteger(0, 'identities'), on_bus: safeInteger(0, 'records') }),
  ),
  /** What follows from that traffic, and who lacks what; absent while it is RUNNING. */
  custody: Type.Optional(CustodySchema),
  /** sha-256 over the sorted lines `event_id payload_hash` of the traffic on the bus: equal sets, equal digests. */
  set_digest: Type.Optional(DigestSchema),
  /** Offending ids, at most 100 of each kind. */
  missing_on_bus: Type.Array(Type.String()),
  not_in_ledger: Type.Array(Type.String()),
  more_than_once_on_bus: Type.Array(Type.String()),
  other_content: Type.Array(Type.String()),
  reconciled: Type.Boolean(),
});
export type Reconciliation = Static<typeof ReconciliationSchema>;

/** The one door to the traffic topic. */
export abstract class IngestionGatePort {
  /**
   * Admits each event, recognises it as a duplicate, or quarantines it; one result per event, in their order. Either all
   * are answered or the call fails retryably, and the same events may be sent again: nothing happens twice.
   * @throws IG_LEDGER_UNHEALTHY, IG_EB_UNHEALTHY, IG_EVIDENCE_STORE_UNHEALTHY, IG_RATE_LIMITED, IG_PAUSED,
   * IG_IN_PROGRESS, IG_POLICY_UNAVAILABLE; data.retry_after_ms says how long to wait where that is known
   */
  abstract submit(request: Static<typeof SubmitRequest>, context: CallContext): Promise<Static<typeof SubmitResponse>>;
  abstract receipts(
    request: Static<typeof ReceiptsQuery>,
    context: CallContext,
  ): Promise<Static<typeof ReceiptsResponse>>;
  /** Starts to compare ledger and bus, or says how far it is; asked again until DONE. */
  abstract reconcile(request: Static<typeof ReconcileRequest>, context: CallContext): Promise<Reconciliation>;
}

export const INGESTION_GATE_CONTRACT = defineContract('ig', {
  submit: {
    request: SubmitRequest,
    response: SubmitResponse,
    idempotent: true,
    permission: 'rpc.call:ig',
    summary: 'Submits events for admission',
  },
  receipts: {
    request: ReceiptsQuery,
    response: ReceiptsResponse,
    idempotent: true,
    permission: 'rpc.call:ig',
    summary: 'Receipts of admitted events',
  },
  reconcile: {
    request: ReconcileRequest,
    response: ReconciliationSchema,
    idempotent: true,
    permission: 'rpc.call:ig',
    summary: 'Whether ledger and bus hold the same events of a run',
  },
});

const NameSchema = Type.String({ pattern: '^[a-z][a-z0-9._-]{0,99}$' });

/**
 * The body of the admission policy (`ig.admission`): who may send what, which types there are and what each class demands, how
 * partitions are chosen, and the limits of the door. One artifact, so that no half of it is ever in force.
 */
export const AdmissionPolicySchema = closed({
  /** A producer is a name in the envelope and those who may use it. */
  producers: Type.Record(
    NameSchema,
    closed({
      /** `SYSTEM::wsp`, `HUMAN::operator`: as authentication gives them. */
      principals: Type.Array(Type.String({ minLength: 1, maxLength: 200 }), { minItems: 1, uniqueItems: true }),
      /** Types in full, or their beginning followed by `*`. */
      event_types: Type.Array(Type.String({ pattern: '^([a-z][a-z0-9_.]*[*]?|[*])$' }), {
        minItems: 1,
        uniqueItems: true,
      }),
      /** Scenario ids in full, or their beginning followed by `*`. */
      scenarios: Type.Array(Type.String({ pattern: '^([a-z0-9][a-z0-9._-]*[*]?|[*])$' }), {
        minItems: 1,
        uniqueItems: true,
      }),
    }),
  ),
  /** What each type demands. */
  event_types: Type.Record(
    EventTypeNameSchema(),
    closed({
      /** `traffic` enters through a run that declares it; `platform` facts of a run need its pins, but no declaration. */
      class: Type.Union([Type.Literal('traffic'), Type.Literal('platform')]),
      schema_versions: Type.Array(SchemaVersionSchema, { minItems: 1, uniqueItems: true }),
      /** Members of the payload in the order in which they are looked for; the first that is there is the key. */
      partition_key: Type.Array(Type.String({ pattern: '^[a-z][a-z0-9_]{0,63}$' }), { minItems: 1 }),
    }),
  ),
  partitioning_profile: NameSchema,
  limits: closed({
    event_bytes_max: Type.Integer({ minimum: 1_024, maximum: 1_048_576 }),
    /** Bytes of events that wait for their answers; past the first the door throttles, past the second it pauses. */
    throttle_bytes: Type.Integer({ minimum: 1_024 }),
    pause_bytes: Type.Integer({ minimum: 1_024 }),
    /** Submissions per second and principal; absent: no limit. */
    rate_per_s: Type.Optional(Type.Integer({ minimum: 1 })),
  }),
  quarantine: closed({
    /** Whether the raw bytes of refused events are kept, beside their digests. */
    keep_raw: Type.Boolean(),
  }),
});
export type AdmissionPolicy = Sealed<typeof AdmissionPolicySchema>;

function EventTypeNameSchema() {
  return Type.String({ pattern: '^[a-z][a-z0-9_]*([.][a-z0-9][a-z0-9_]*)*$' });
}
