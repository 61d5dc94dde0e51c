import { type Digest } from '../../../rails/digest.js';
import { type Part } from '../../../substrate/database/one-statement.js';
import { digestBytes, numberArray, textArray } from './arrays.js';
import { type LedgerWork, type NewAdmission, type NewDuplicate, type NewQuarantine } from './ledger.js';

/** What a batch writes into the ledger, as parts of one statement. A part without rows is left out. */

/** Where the parts of an append begin, from which the admissions are counted: known before, where the bus is another server. */
export function placesPart(firstOffsets: readonly number[]): Part {
  return { as: 'appended', text: 'select $1::int8[] as first_offsets', values: [numberArray(firstOffsets)] };
}

/** An admission with the number of its part of the append, from 0 on, and its place within that. */
export interface Placed {
  readonly admission: NewAdmission;
  readonly part: number;
  readonly index: number;
}

/**
 * Admissions where `appended` says that they stand; an identity that is taken refuses the statement.
 *
 * By id: two gates that admit overlapping batches then wait for each other's rows in one order and never in a circle.
 */
export function admissionsPart(placed: readonly Placed[]): Part {
  const sorted = [...placed].sort((a, b) =>
    a.admission.candidate.admissionId < b.admission.candidate.admissionId ? -1 : 1,
  );
  const columns = {
    digests: [] as Digest[],
    parts: [] as number[],
    indexes: [] as number[],
    intakes: [] as number[],
    times: [] as string[],
    runs: [] as number[],
    kinds: [] as number[],
    partitions: [] as number[],
    eventIds: [] as string[],
    keys: [] as string[],
  };
  for (const { admission, part, index } of sorted) {
    const { candidate, intakeId, run, kind, partition } = admission;
    columns.digests.push(candidate.admissionId, candidate.contentDigest, candidate.payloadHash);
    columns.parts.push(part + 1);
    columns.indexes.push(index);
    columns.intakes.push(intakeId);
    columns.times.push(candidate.envelope.ts_utc);
    columns.runs.push(run);
    columns.kinds.push(kind);
    columns.partitions.push(partition);
    columns.eventIds.push(candidate.envelope.event_id);
    columns.keys.push(candidate.partitionKey);
  }
  return {
    as: 'admitted',
    text: `
      insert into admissions (receipt_id, content_digest, payload_hash, record_offset, intake, ts_utc, run, kind, partition,
        event_id, partition_key)
      select substring($1::bytea from r.n::int * 96 - 95 for 32), substring($1 from r.n::int * 96 - 63 for 32),
        substring($1 from r.n::int * 96 - 31 for 32), appended.first_offsets[r.part] + r.index, r.intake, r.ts_utc, r.run,
        r.kind, r.partition, r.event_id, r.partition_key
      from appended, unnest($2::int[], $3::int[], $4::int8[], $5::timestamptz[], $6::int[], $7::int[], $8::int[], $9::text[],
        $10::text[]) with ordinality as r (part, index, intake, ts_utc, run, kind, partition, event_id, partition_key, n)
      order by r.n`,
    values: [
      digestBytes(columns.digests),
      numberArray(columns.parts),
      numberArray(columns.indexes),
      numberArray(columns.intakes),
      `{${columns.times.join(',')}}`,
      numberArray(columns.runs),
      numberArray(columns.kinds),
      numberArray(columns.partitions),
      textArray(columns.eventIds),
      textArray(columns.keys),
    ],
  };
}

/** The same where an identity may stand already: whoever settled this gate's slot has admitted it where it stands. */
export function admissionsPartUnlessStanding(placed: readonly Placed[]): Part {
  const part = admissionsPart(placed);
  return { ...part, text: `${part.text} on conflict (receipt_id) do nothing` };
}

/** Everything of a batch but its admissions and what they supersede. */
export function restParts({ intakes, duplicates, quarantines }: Omit<LedgerWork, 'admissions'>): readonly Part[] {
  return [...intakesParts(intakes), ...duplicatesParts(duplicates), ...quarantinesParts(quarantines)];
}

export function intakesParts(intakes: LedgerWork['intakes']): readonly Part[] {
  if (intakes.length === 0) return [];
  const rows = intakes.map((intake) => ({
    intake: intake.intakeId,
    principal: intake.principal,
    policy_id: intake.policyRev.policy_id,
    policy_revision: intake.policyRev.revision,
    policy_digest: intake.policyRev.content_digest,
    partitioning_profile: intake.partitioningProfile,
    topic: intake.topic,
    decided_at: intake.decidedAt,
    supersedes: intake.supersedes,
    component_version: intake.componentVersion,
    env: intake.env,
  }));
  const text = `
    insert into intakes (intake, principal, policy_id, policy_revision, policy_digest, partitioning_profile, topic,
      decided_at, supersedes, component_version, env)
    select r.intake, r.principal, r.policy_id, r.policy_revision, decode(r.policy_digest, 'hex'), r.partitioning_profile,
      r.topic, r.decided_at, decode(r.supersedes, 'hex'), r.component_version, r.env
    from json_to_recordset($1::json) as r (intake bigint, principal text, policy_id text, policy_revision bigint,
      policy_digest text, partitioning_profile text, topic text, decided_at timestamptz, supersedes text,
      component_version text, env text)`;
  return [{ as: 'taken_in', text, values: [JSON.stringify(rows)] }];
}

export function supersessionsParts({
  admissions,
  duplicates,
}: Pick<LedgerWork, 'admissions' | 'duplicates'>): readonly Part[] {
  const rows: { readonly quarantine_id: Digest; readonly receipt_id: Digest; readonly intake: number }[] = [];
  for (const { supersedes, candidate, intakeId } of admissions)
    if (supersedes !== undefined)
      rows.push({ quarantine_id: supersedes, receipt_id: candidate.admissionId, intake: intakeId });
  for (const { supersedes, admissionId, intakeId } of duplicates)
    if (supersedes !== undefined) rows.push({ quarantine_id: supersedes, receipt_id: admissionId, intake: intakeId });
  if (rows.length === 0) return [];
  const text = `
    insert into supersessions (quarantine_id, receipt_id, intake)
    select decode(r.quarantine_id, 'hex'), decode(r.receipt_id, 'hex'), r.intake
    from json_to_recordset($1::json) as r (quarantine_id text, receipt_id text, intake bigint)
    on conflict do nothing`;
  return [{ as: 'superseded', text, values: [JSON.stringify(rows)] }];
}

function duplicatesParts(duplicates: readonly NewDuplicate[]): readonly Part[] {
  if (duplicates.length === 0) return [];
  const text = `
    insert into duplicates (receipt_id, admission_id, intake, run, position)
    select substring($1::bytea from r.n::int * 64 - 63 for 32), substring($1 from r.n::int * 64 - 31 for 32), r.intake,
      r.run, r.position
    from unnest($2::int8[], $3::int[], $4::int[]) with ordinality as r (intake, run, position, n)`;
  const values = [
    digestBytes(duplicates.flatMap(({ receiptId, admissionId }) => [receiptId, admissionId])),
    numberArray(duplicates.map(({ intakeId }) => intakeId)),
    numberArray(duplicates.map(({ run }) => run)),
    numberArray(duplicates.map(({ position }) => position)),
  ];
  return [{ as: 'repeated', text, values }];
}

function quarantinesParts(quarantines: readonly NewQuarantine[]): readonly Part[] {
  if (quarantines.length === 0) return [];
  const rows = quarantines.map((entry) => ({
    quarantine_id: entry.quarantineId,
    intake: entry.intakeId,
    stage: entry.stage,
    reason: entry.reason,
    retryable: entry.retryable,
    detail: entry.detail,
    raw_digest: entry.rawDigest,
    evidence_locator: entry.evidence.locator,
    evidence_digest: entry.evidence.digest.hex,
    evidence_bytes: entry.evidence.size,
    line_start: entry.lineStart,
    line_end: entry.lineEnd,
    producer: entry.producer,
    event_id: entry.eventId,
    event_type: entry.eventType,
    schema_version: entry.schemaVersion,
    ts_utc: entry.tsUtc,
    payload_hash: entry.payloadHash,
    pins: entry.pins,
    run_id: entry.pins?.run_id,
  }));
  const text = `
    insert into quarantines (quarantine_id, intake, stage, reason, retryable, detail, raw_digest, evidence_locator,
      evidence_digest, evidence_bytes, line_start, line_end, producer, event_id, event_type, schema_version, ts_utc,
      payload_hash, pins, run_id)
    select decode(r.quarantine_id, 'hex'), r.intake, r.stage, r.reason, r.retryable, r.detail, decode(r.raw_digest, 'hex'),
      r.evidence_locator, decode(r.evidence_digest, 'hex'), r.evidence_bytes, r.line_start, r.line_end, r.producer,
      r.event_id, r.event_type, r.schema_version, r.ts_utc, decode(r.payload_hash, 'hex'), r.pins, r.run_id
    from json_to_recordset($1::json) as r (quarantine_id text, intake bigint, stage text, reason text, retryable boolean,
      detail text, raw_digest text, evidence_locator text, evidence_digest text, evidence_bytes bigint,
      line_start bigint, line_end bigint, producer text, event_id text, event_type text, schema_version text,
      ts_utc timestamptz, payload_hash text, pins json, run_id text)`;
  return [{ as: 'refused', text, values: [JSON.stringify(rows)] }];
}
