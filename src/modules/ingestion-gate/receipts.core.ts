import { type Digest } from '../../rails/digest.js';
import { asOffset, asTopicName, type EbRef } from '../../rails/eb-ref.js';
import { type EventId, type EventType, type ProducerName, type SchemaVersion } from '../../rails/envelope.schema.js';
import { type RunPins } from '../../rails/pins.js';
import { type PolicyRev } from '../../rails/policy-rev.js';
import { type Ref } from '../../rails/ref.js';
import { type UtcMicros } from '../../rails/time.js';
import { ATTEMPT_RECIPE } from './identity.core.js';
import { type Reason, type Receipt, type Stage, type SubmitResult } from './ingestion-gate.port.js';

/** What a batch shares for one caller: a row of `intakes`. */
export interface Intake {
  readonly intakeId: number;
  readonly principal: string;
  readonly policyRev: PolicyRev;
  readonly partitioningProfile: string;
  readonly topic: string;
  readonly decidedAt: UtcMicros;
  readonly supersedes?: Digest;
  readonly componentVersion: string;
  readonly env: string;
}

export interface Place {
  readonly partition: number;
  readonly offset: number;
}

/** An admitted event as its row says it. */
export interface Admission extends Place {
  readonly receiptId: Digest;
  readonly eventId: EventId;
  readonly eventType: EventType;
  readonly schemaVersion: SchemaVersion;
  readonly producer: ProducerName;
  readonly tsUtc: UtcMicros;
  readonly pins: RunPins;
  readonly payloadHash: Digest;
  readonly partitionKey: string;
}

/** A refused submission as its row says it; of the event what was well-formed. */
export interface Quarantine {
  readonly quarantineId: Digest;
  readonly stage: Stage;
  readonly reason: Reason;
  readonly retryable: boolean;
  readonly detail: string;
  readonly evidence: Ref;
  readonly producer?: ProducerName;
  readonly eventId?: EventId;
  readonly eventType?: EventType;
  readonly schemaVersion?: SchemaVersion;
  readonly tsUtc?: UtcMicros;
  readonly pins?: RunPins;
  readonly payloadHash?: Digest;
}

export function admitReceipt(intake: Intake, admission: Admission): Receipt {
  return {
    receipt_id: admission.receiptId,
    decision: 'ADMIT',
    reason_codes: [],
    retryable: false,
    ...factsOf(admission),
    ...shared(intake),
    partition_key: admission.partitionKey,
    partitioning_profile: intake.partitioningProfile,
    eb_ref: ebRef(intake.topic, admission),
  };
}

/** `first` is the admission that stands; `topic` where it stands, which may have been another when it was admitted. */
export function duplicateReceipt(intake: Intake, receiptId: Digest, first: Admission & { topic: string }): Receipt {
  return {
    receipt_id: receiptId,
    decision: 'DUPLICATE',
    reason_codes: [],
    retryable: false,
    ...factsOf(first),
    ...shared(intake),
    eb_ref: ebRef(first.topic, first),
    original_receipt_id: first.receiptId,
  };
}

/** The entry in quarantine and its receipt are two halves of one thing, so they have one id. */
export function quarantineReceipt(intake: Intake, entry: Quarantine): Receipt {
  const { producer, eventId, eventType, schemaVersion, tsUtc, pins, payloadHash } = entry;
  return {
    receipt_id: entry.quarantineId,
    decision: 'QUARANTINE',
    reason_codes: [entry.reason],
    retryable: entry.retryable,
    ...shared(intake),
    ...(producer === undefined ? {} : { producer }),
    ...(eventId === undefined ? {} : { event_id: eventId }),
    ...(eventType === undefined ? {} : { event_type: eventType }),
    ...(schemaVersion === undefined ? {} : { schema_version: schemaVersion }),
    ...(tsUtc === undefined ? {} : { ts_utc: tsUtc }),
    ...(pins === undefined ? {} : { pins }),
    ...(payloadHash === undefined ? {} : { payload_hash: payloadHash }),
    quarantine: {
      quarantine_id: entry.quarantineId,
      stage: entry.stage,
      detail: entry.detail,
      evidence: entry.evidence,
    },
  };
}

/** The receipt of an attempt that admitted nothing: every attempt has its own. */
export function attemptReceiptId(
  decision: 'DUPLICATE' | 'QUARANTINE',
  at: { readonly intakeId: number; readonly position: number },
  what: { readonly pins: RunPins | null; readonly event: string },
): Digest {
  return ATTEMPT_RECIPE.derive({ ...what, decision, intake_id: at.intakeId, position: at.position });
}

/** The short form, for producers that send thousands. */
export function resultOf(receipt: Receipt): SubmitResult {
  const { decision, receipt_id, event_id, reason_codes, retryable, quarantine, eb_ref } = receipt;
  return {
    decision,
    receipt_id,
    reason_codes,
    retryable,
    ...(event_id === undefined ? {} : { event_id }),
    ...(quarantine === undefined ? {} : { detail: quarantine.detail }),
    ...(eb_ref === undefined ? {} : { eb_ref }),
  };
}

function ebRef(topic: string, { partition, offset }: Place): EbRef {
  return { topic: asTopicName(topic), partition, offset: asOffset(offset) };
}

function factsOf(admission: Admission) {
  return {
    producer: admission.producer,
    event_id: admission.eventId,
    event_type: admission.eventType,
    schema_version: admission.schemaVersion,
    ts_utc: admission.tsUtc,
    pins: admission.pins,
    payload_hash: admission.payloadHash,
  };
}

function shared(intake: Intake) {
  return {
    principal: intake.principal,
    decided_at_utc: intake.decidedAt,
    policy_rev: intake.policyRev,
    component_version: intake.componentVersion,
    env: intake.env,
    ...(intake.supersedes === undefined ? {} : { supersedes_ref: intake.supersedes }),
  };
}
