import { Injectable } from '@nestjs/common';
import { type Digest } from '../../../rails/digest.js';
import { type EventId, type EventType, type ProducerName, type SchemaVersion } from '../../../rails/envelope.schema.js';
import { type PolicyId } from '../../../rails/policy-rev.js';
import { type RunPins } from '../../../rails/pins.js';
import { type ObjectKey, refTo } from '../../../rails/ref.js';
import { fromEpochMs, type UtcMicros } from '../../../rails/time.js';
import { Clock } from '../../../substrate/clock/clock.port.js';
import { Database } from '../../../substrate/database/database.port.js';
import { type Principal } from '../../../substrate/identity/identity.port.js';
import { admissionIds } from '../identity.core.js';
import { type QuarantineEntry, type QuarantinePage, type QuarantineQuery } from '../ingestion-gate.gate.js';
import { type Reason, type Receipt, type Stage } from '../ingestion-gate.port.js';
import {
  type Admission,
  admitReceipt,
  duplicateReceipt,
  type Intake,
  type Quarantine,
  quarantineReceipt,
} from '../receipts.core.js';
import { bytesOf, digestBytes } from './arrays.js';

const INTAKE_COLUMNS = `
  i.intake, i.principal, i.policy_id, i.policy_revision, encode(i.policy_digest, 'hex') as policy_digest,
  i.partitioning_profile, i.topic, i.decided_at, encode(i.supersedes, 'hex') as supersedes, i.component_version, i.env`;

const ADMISSION_COLUMNS = `
  encode(a.receipt_id, 'hex') as admission_id, encode(a.payload_hash, 'hex') as payload_hash, a.record_offset, a.partition,
  a.ts_utc, a.event_id, a.partition_key, k.event_type, k.schema_version, k.producer,
  r.run_id, r.manifest_fingerprint, r.parameter_hash, r.seed, r.scenario_id`;

const ADMITTED = {
  name: 'ig_admitted',
  text: `
    select ${INTAKE_COLUMNS}, ${ADMISSION_COLUMNS}
    from admissions as a join intakes as i on i.intake = a.intake join kinds as k on k.kind = a.kind
      join runs as r on r.run = a.run
    where a.receipt_id = any(array(
      select substring($1::bytea from n * 32 + 1 for 32) from generate_series(0, $2::int - 1) as n))`,
  readOnly: true,
} as const;

const DUPLICATE = {
  text: `
    select ${INTAKE_COLUMNS}, ${ADMISSION_COLUMNS}, encode(d.receipt_id, 'hex') as receipt_id, f.topic as first_topic
    from duplicates as d join admissions as a on a.receipt_id = d.admission_id
      join intakes as i on i.intake = d.intake join intakes as f on f.intake = a.intake
      join kinds as k on k.kind = a.kind join runs as r on r.run = a.run
    where d.receipt_id = $1`,
  readOnly: true,
} as const;

const QUARANTINED = `
  select ${INTAKE_COLUMNS}, q.entry_no, encode(q.quarantine_id, 'hex') as quarantine_id, q.stage, q.reason, q.retryable,
    q.detail, encode(q.raw_digest, 'hex') as raw_digest, q.evidence_locator,
    encode(q.evidence_digest, 'hex') as evidence_digest, q.evidence_bytes, q.line_start, q.line_end, q.producer,
    q.event_id, q.event_type, q.schema_version, q.ts_utc, encode(q.payload_hash, 'hex') as payload_hash, q.pins,
    (select encode(s.receipt_id, 'hex') from supersessions as s where s.quarantine_id = q.quarantine_id
      order by s.intake limit 1) as superseded_by
  from quarantines as q join intakes as i on i.intake = q.intake`;

const QUARANTINE_PAGE = {
  text: `${QUARANTINED}
    where ($1::bigint is null or q.entry_no < $1) and ($2::text is null or q.run_id = $2)
      and ($3::text is null or q.reason = $3) and ($4::text is null or q.producer = $4)
    order by q.entry_no desc limit $5`,
  readOnly: true,
} as const;

const QUARANTINE_ENTRY = { text: `${QUARANTINED} where q.quarantine_id = $1`, readOnly: true } as const;

const RUNS = {
  text: `select run_id, manifest_fingerprint, parameter_hash, seed, scenario_id from runs
    where $1::text is null or run_id = $1 order by run desc limit $2`,
  readOnly: true,
} as const;

const RECORD_READ = `
  insert into evidence_reads (quarantine_id, reader, key_id, purpose, read_at)
  values ($1, $2, $3, $4, $5)`;

interface IntakeRow {
  readonly intake: number;
  readonly principal: string;
  readonly policy_id: PolicyId;
  readonly policy_revision: number;
  readonly policy_digest: Digest;
  readonly partitioning_profile: string;
  readonly topic: string;
  readonly decided_at: UtcMicros;
  readonly supersedes: Digest | null;
  readonly component_version: string;
  readonly env: string;
}

interface AdmissionRow extends IntakeRow, RunPins {
  readonly admission_id: Digest;
  readonly payload_hash: Digest;
  readonly record_offset: number;
  readonly partition: number;
  readonly ts_utc: UtcMicros;
  readonly event_id: EventId;
  readonly partition_key: string;
  readonly event_type: EventType;
  readonly schema_version: SchemaVersion;
  readonly producer: ProducerName;
}

interface DuplicateRow extends AdmissionRow {
  readonly receipt_id: Digest;
  readonly first_topic: string;
}

interface QuarantineRow extends IntakeRow {
  readonly entry_no: number;
  readonly quarantine_id: Digest;
  readonly stage: Stage;
  readonly reason: Reason;
  readonly retryable: boolean;
  readonly detail: string;
  readonly raw_digest: Digest;
  readonly evidence_locator: ObjectKey;
  readonly evidence_digest: Digest;
  readonly evidence_bytes: number;
  readonly line_start: number;
  readonly line_end: number;
  readonly producer: ProducerName | null;
  readonly event_id: EventId | null;
  readonly event_type: EventType | null;
  readonly schema_version: SchemaVersion | null;
  readonly ts_utc: UtcMicros | null;
  readonly payload_hash: Digest | null;
  readonly pins: RunPins | null;
  readonly superseded_by: Digest | null;
}

/** Where the raw bytes of a quarantined event are. */
export interface EvidencePlace {
  readonly ref: Quarantine['evidence'];
  readonly range: { readonly start: number; readonly end: number };
  readonly rawDigest: Digest;
}

/** Runs among which an event id without a run is looked for, youngest first. */
const RUNS_SEARCHED = 2_000;
const RECEIPTS_MAX = 100;

/** Receipts, made again from the rows that they stand for. */
@Injectable()
export class ReceiptsStore {
  constructor(
    private readonly database: Database,
    private readonly clock: Clock,
  ) {}

  async receipt(id: Digest): Promise<Receipt | null> {
    const [admitted] = await this.admitted([id]);
    if (admitted !== undefined) return admitted;
    const { rows: doubled } = await this.database.query<DuplicateRow>(DUPLICATE, [bytesOf(id)]);
    const [row] = doubled;
    if (row !== undefined)
      return duplicateReceipt(intakeOf(row), row.receipt_id, { ...admissionOf(row), topic: row.first_topic });
    return (await this.entry(id))?.receipt ?? null;
  }

  /** Receipts of admission that stand under these ids, in no order. */
  async admitted(ids: readonly Digest[]): Promise<readonly Receipt[]> {
    const { rows } = await this.database.query<AdmissionRow>(ADMITTED, [digestBytes(ids), ids.length]);
    return rows.map((row) => admitReceipt(intakeOf(row), admissionOf(row)));
  }

  /**
   * The receipts of admission of these events, in their order; of a certain run, or the youngest of any. An id of
   * admission follows from pins and event id, so no index over event ids is kept: the runs are few, and their ids are tried.
   */
  async ofEvents(eventIds: readonly string[], runId?: string): Promise<readonly (Receipt | null)[]> {
    const runs = await this.#runs(runId);
    const found = new Map<string, Receipt>();
    // Youngest run first, so that the first one found is the one that is wanted.
    for (const pins of runs) {
      const open = eventIds.filter((id) => !found.has(id));
      if (open.length === 0) break;
      const idOf = admissionIds(pins);
      for (const receipt of await this.admitted(open.map((id) => idOf(id as EventId))))
        found.set(receipt.event_id ?? '', receipt);
    }
    return eventIds.map((id) => found.get(id) ?? null);
  }

  /** All receipts of admission of one event id, youngest first. */
  async ofEvent(eventId: string, runId?: string): Promise<readonly Receipt[]> {
    const ids = (await this.#runs(runId)).map((pins) => admissionIds(pins)(eventId as EventId));
    const receipts = ids.length === 0 ? [] : await this.admitted(ids);
    return [...receipts].sort((a, b) => (a.decided_at_utc > b.decided_at_utc ? -1 : 1)).slice(0, RECEIPTS_MAX);
  }

  async page({ limit, cursor, run_id, reason, producer }: QuarantineQuery): Promise<QuarantinePage> {
    const { rows } = await this.database.query<QuarantineRow>(QUARANTINE_PAGE, [
      cursor === undefined ? null : Number(cursor),
      run_id ?? null,
      reason ?? null,
      producer ?? null,
      limit + 1,
    ]);
    const entries = rows.slice(0, limit).map(entryOf);
    const last = rows[limit - 1];
    return rows.length > limit && last !== undefined ? { entries, next_cursor: String(last.entry_no) } : { entries };
  }

  async entry(id: Digest): Promise<QuarantineEntry | null> {
    const { rows } = await this.database.query<QuarantineRow>(QUARANTINE_ENTRY, [bytesOf(id)]);
    return rows[0] === undefined ? null : entryOf(rows[0]);
  }

  async evidence(id: Digest): Promise<EvidencePlace | null> {
    const { rows } = await this.database.query<QuarantineRow>(QUARANTINE_ENTRY, [bytesOf(id)]);
    const [row] = rows;
    if (row === undefined) return null;
    return {
      ref: evidenceOf(row),
      range: { start: row.line_start, end: row.line_end },
      rawDigest: row.raw_digest,
    };
  }

  async recordRead(id: Digest, reader: Principal, purpose: string): Promise<void> {
    const at = fromEpochMs(this.clock.nowMs());
    await this.database.query(RECORD_READ, [bytesOf(id), reader.actor.actor_id, reader.keyId, purpose, at]);
  }

  async #runs(runId: string | undefined): Promise<readonly RunPins[]> {
    return (await this.database.query<RunPins>(RUNS, [runId ?? null, RUNS_SEARCHED])).rows;
  }
}

function intakeOf(row: IntakeRow): Intake {
  return {
    intakeId: row.intake,
    principal: row.principal,
    policyRev: { policy_id: row.policy_id, revision: row.policy_revision, content_digest: row.policy_digest },
    partitioningProfile: row.partitioning_profile,
    topic: row.topic,
    decidedAt: row.decided_at,
    ...(row.supersedes === null ? {} : { supersedes: row.supersedes }),
    componentVersion: row.component_version,
    env: row.env,
  };
}

function admissionOf(row: AdmissionRow): Admission {
  const { run_id, manifest_fingerprint, parameter_hash, seed, scenario_id } = row;
  return {
    receiptId: row.admission_id,
    eventId: row.event_id,
    eventType: row.event_type,
    schemaVersion: row.schema_version,
    producer: row.producer,
    tsUtc: row.ts_utc,
    pins: { manifest_fingerprint, parameter_hash, seed, scenario_id, run_id },
    payloadHash: row.payload_hash,
    partitionKey: row.partition_key,
    partition: row.partition,
    offset: row.record_offset,
  };
}

function entryOf(row: QuarantineRow): QuarantineEntry {
  const entry: Quarantine = {
    quarantineId: row.quarantine_id,
    stage: row.stage,
    reason: row.reason,
    retryable: row.retryable,
    detail: row.detail,
    evidence: evidenceOf(row),
    ...(row.producer === null ? {} : { producer: row.producer }),
    ...(row.event_id === null ? {} : { eventId: row.event_id }),
    ...(row.event_type === null ? {} : { eventType: row.event_type }),
    ...(row.schema_version === null ? {} : { schemaVersion: row.schema_version }),
    ...(row.ts_utc === null ? {} : { tsUtc: row.ts_utc }),
    ...(row.payload_hash === null ? {} : { payloadHash: row.payload_hash }),
    ...(row.pins === null ? {} : { pins: row.pins }),
  };
  return {
    quarantine_id: row.quarantine_id,
    receipt: quarantineReceipt(intakeOf(row), entry),
    ...(row.superseded_by === null ? {} : { superseded_by: row.superseded_by }),
  };
}

function evidenceOf(row: QuarantineRow): Quarantine['evidence'] {
  return refTo(row.evidence_locator, row.evidence_digest, row.evidence_bytes, 'application/x-ndjson');
}
