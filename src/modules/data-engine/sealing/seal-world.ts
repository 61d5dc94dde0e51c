import { Type } from '@sinclair/typebox';
import { canonicalJson } from '../../../rails/canonical-json.js';
import type { EventType, SchemaVersion } from '../../../rails/envelope.schema.js';
import { ProbityError } from '../../../rails/errors/probity-error.js';
import { asGateReceipt, type GateReceipt } from '../../../rails/gate.js';
import type { Ref } from '../../../rails/ref.js';
import { validatorOf } from '../../../rails/validator.js';
import { TransactionSchema } from '../../../rails/events/transaction.schema.js';
import type { Objects } from '../../../substrate/objects/objects.port.js';
import {
  ENGINE_FORMAT,
  type Invocation,
  LabelRowSchema,
  OUTPUT_GATE,
  type OutputIndex,
  outputScope,
  type SealedOutput,
  type WorldPins,
  worldPinsOf,
  type WorldSeal,
  WorldSealSchema,
} from '../data-engine.port.js';
import { MemberNames, rejectLine, trafficLine, truthLine } from './lines.core.js';
import { JSON_TYPE, type OutputSpec, OutputWriter, ROW_BYTES } from './output-writer.js';
import type { ScratchFile } from './scratch.js';
import { WorldStore } from './world-store.js';
import type { RejectedRow, RowSink, UnsealedRow, UnsealedTruth, WorldSource } from '../world-source.js';

export interface Sealing {
  readonly objects: Objects;
  readonly invocation: Invocation;
  readonly source: WorldSource;
  readonly signal: AbortSignal;
  /** For people who wait; `shareDone` where it is known. */
  readonly onProgress: (stage: string, rowsDone: number, shareDone?: number) => void;
  /** Where temporary files go; the system's folder unless a test says otherwise. */
  readonly openScratch?: () => Promise<ScratchFile>;
}

export interface SealedWorld {
  readonly seal: Ref;
  readonly content: WorldSeal;
}

const TRAFFIC: OutputSpec = {
  output_id: 'transactions',
  role: 'business_traffic',
  event_type: 'transaction' as EventType,
  schema_version: 'v1' as SchemaVersion,
  numbered: true,
  timed: true,
};
const LABELS: OutputSpec = { output_id: 'labels', role: 'truth_products', numbered: false, timed: true };
const REJECTS: OutputSpec = { output_id: 'rejects', role: 'audit_evidence', numbered: false, timed: false };
const OWN = new Set([TRAFFIC.output_id, LABELS.output_id, REJECTS.output_id]);

const payloads = validatorOf(TransactionSchema, 'the payload');
/** What a source says in a label; key and time are the row's. */
const labels = validatorOf(Type.Omit(LabelRowSchema, ['key', 'ts_utc']), 'the label');
const seals = validatorOf(WorldSealSchema, 'the seal');

/** What is wrong with a payload of traffic, or null. */
export function payloadFault(row: UnsealedRow): string | null {
  const verdict = payloads.check(row.payload);
  return verdict.ok
    ? null
    : `${verdict.fault.at === '' ? 'the payload' : verdict.fault.at.slice(1)} ${verdict.fault.says}`;
}

/**
 * Makes a world of a source: rows in order, parts, indexes, receipts, and the seal last. Every object is put if absent, so an
 * attempt that was killed is simply made again, and two processes that make the same world meet each other's bytes. No byte
 * depends on who asks, on where or when it is made, or on how the rows came in batches.
 *
 * @throws ProbityError ENGINE_NOT_DETERMINISTIC, ENGINE_SCRATCH_UNAVAILABLE, errors of the object store and of the source. No seal stands then.
 */
export async function sealWorld(sealing: Sealing): Promise<SealedWorld> {
  const { objects, invocation, source, signal, onProgress } = sealing;
  const pins = worldPinsOf(invocation);
  const store = new WorldStore(objects, pins, signal);
  const rows = new WorldRows(sealing);
  try {
    const { rowsRead, rejectedShareMax } = await source.produce(rows);
    signal.throwIfAborted();
    const counts = rows.counts(rowsRead);
    const reasons = reasonsOf(counts, rejectedShareMax);

    const text = Buffer.from(canonicalJson(invocation.parameters));
    const parameters = await store.put('parameters.json', text, JSON_TYPE);
    const made = [];
    for (const writer of rows.writers()) {
      onProgress('sealing', 0);
      made.push(await writer.seal(store, pins, (done) => onProgress('sealing', done, done / writer.rows)));
    }

    // Receipts only when every row stands: what is not there cannot have passed.
    const origin = invocation.kind === 'import' ? [parameters, invocation.source] : [parameters];
    const rejects = made.filter(({ content }) => content.output_id === REJECTS.output_id).map(({ index }) => index);
    const outputs: SealedOutput[] = [];
    for (const { index, content } of made) {
      const receipt = receiptOf(pins, content, index, [...origin, ...rejects], reasons);
      const { output_id, role, event_type, schema_version } = content;
      outputs.push({
        output_id,
        role,
        ...(event_type === undefined ? {} : { event_type }),
        ...(schema_version === undefined ? {} : { schema_version }),
        rows: content.rows,
        index,
        receipt: await store.put(`${output_id}/receipt.json`, Buffer.from(canonicalJson(receipt)), JSON_TYPE),
      });
    }

    const content = seals.demand({
      status: reasons.length === 0 ? 'SEALED_OK' : 'SEALED_FAILED',
      kind: invocation.kind,
      pins,
      format: ENGINE_FORMAT,
      parameters,
      ...(invocation.kind === 'import' ? { source: invocation.source } : {}),
      outputs,
      counts,
      ...spanOf(made.map(({ content: index }) => index)),
      reason_codes: reasons,
    });
    return { seal: await store.put('seal.json', Buffer.from(canonicalJson(content)), JSON_TYPE), content };
  } finally {
    await rows.close();
  }
}

/** Why a world came out badly; empty when it did not. */
function reasonsOf({ rows_read, rows_sealed, rows_rejected }: WorldSeal['counts'], shareMax: number): string[] {
  const reasons: string[] = [];
  if (rows_sealed === 0) reasons.push('NO_ROWS');
  if (rows_rejected > shareMax * rows_read) reasons.push('REJECTS_ABOVE_LIMIT');
  return reasons;
}

/** The verdict on one output, about the digest of its index, which names every part. */
function receiptOf(
  pins: WorldPins,
  { output_id }: OutputIndex,
  index: Ref,
  evidence: readonly Ref[],
  reasons: readonly string[],
): GateReceipt {
  return asGateReceipt({
    gate_id: OUTPUT_GATE,
    status: reasons.length === 0 ? 'PASS' : 'FAIL',
    scope: outputScope(pins, output_id),
    artifact_digest: index.digest.hex,
    evidence,
    reason_codes: reasons,
  });
}

/** First and last time of the world's traffic. */
function spanOf(indexes: readonly OutputIndex[]): Pick<WorldSeal, 'first_ts_utc' | 'last_ts_utc'> {
  const parts = indexes.find(({ output_id }) => output_id === TRAFFIC.output_id)?.parts ?? [];
  const [first, last] = [parts[0]?.first_ts_utc, parts.at(-1)?.last_ts_utc];
  return first === undefined || last === undefined ? {} : { first_ts_utc: first, last_ts_utc: last };
}

/** The sink of a source: checks rows, counts them, and hands their lines to the writers of their outputs. */
class WorldRows implements RowSink {
  readonly #outputs = new Map<string, OutputWriter>();
  readonly #traffic: OutputWriter;
  readonly #byReason = new Map<string, number>();
  readonly #names = new MemberNames();
  readonly progress: RowSink['progress'];
  readonly signal: AbortSignal;

  constructor(private readonly sealing: Sealing) {
    this.progress = sealing.onProgress;
    this.signal = sealing.signal;
    // A world without a row of traffic has the output all the same: what is empty is told from what is missing.
    this.#traffic = this.#output(TRAFFIC);
  }

  async traffic(rows: readonly UnsealedRow[]): Promise<void> {
    this.signal.throwIfAborted();
    const refused: RejectedRow[] = [];
    const known: UnsealedTruth[] = [];
    for (const row of rows) {
      const fault = payloadFault(row);
      if (fault !== null) {
        refused.push({ row: row.row ?? this.#traffic.rows + 1, reason: 'SCHEMA_FAIL', detail: fault });
        continue;
      }
      const { head, tail } = trafficLine(row, TRAFFIC.output_id, this.#names);
      const full = this.#traffic.add(row.ts_utc, head, tail);
      if (full !== undefined) await full;
      if (row.label !== undefined) known.push(row.label);
    }
    if (known.length > 0) await this.labels(known);
    if (refused.length > 0) await this.rejects(refused);
  }

  async labels(rows: readonly UnsealedTruth[]): Promise<void> {
    await this.#truth(LABELS, rows);
  }

  async other(
    outputId: string,
    role: 'truth_products' | 'behavioural_context',
    rows: readonly UnsealedTruth[],
  ): Promise<void> {
    if (OWN.has(outputId)) throw new ProbityError('INTERNAL', `${outputId} is an output of its own kind`);
    const spec = { output_id: outputId, role, numbered: false, timed: true };
    if ((this.#outputs.get(outputId)?.spec.role ?? role) !== role) {
      throw new ProbityError('INTERNAL', `${outputId} has two roles`);
    }
    await this.#truth(spec, rows);
  }

  async rejects(rows: readonly RejectedRow[]): Promise<void> {
    this.signal.throwIfAborted();
    for (const { reason } of rows) this.#byReason.set(reason, (this.#byReason.get(reason) ?? 0) + 1);
    for (const row of rows) {
      const full = this.#output(REJECTS).add(String(row.row).padStart(ROW_BYTES, '0'), rejectLine(row));
      if (full !== undefined) await full;
    }
  }

  counts(rowsRead: number): WorldSeal['counts'] {
    return {
      rows_read: rowsRead,
      rows_sealed: this.#traffic.rows,
      rows_rejected: [...this.#byReason.values()].reduce((sum, count) => sum + count, 0),
      rejected_by_reason: Object.fromEntries(this.#byReason),
    };
  }

  /** In the order of their names. */
  writers(): readonly OutputWriter[] {
    return [...this.#outputs.values()].sort((a, b) => (a.spec.output_id < b.spec.output_id ? -1 : 1));
  }

  async close(): Promise<void> {
    for (const writer of this.#outputs.values()) await writer.close();
  }

  async #truth(spec: OutputSpec, rows: readonly UnsealedTruth[]): Promise<void> {
    this.signal.throwIfAborted();
    const output = this.#output(spec);
    for (const truth of rows) {
      // A label that is none is a defect of the source, not of a row.
      if (spec === LABELS) labels.demand(truth.fields);
      const full = output.add(truth.ts_utc, truthLine(truth, this.#names));
      if (full !== undefined) await full;
    }
  }

  #output(spec: OutputSpec): OutputWriter {
    let writer = this.#outputs.get(spec.output_id);
    if (writer === undefined) {
      writer = new OutputWriter(spec, this.sealing.openScratch);
      this.#outputs.set(spec.output_id, writer);
    }
    return writer;
  }
}
