import { canonicalJson } from '../../src/rails/canonical-json.js';
import { digestBytes } from '../../src/rails/digest.js';
import type { EventType, SchemaVersion } from '../../src/rails/envelope.schema.js';
import type { GateId, GateReceipt } from '../../src/rails/gate.js';
import type { ScenarioId, Seed } from '../../src/rails/pins.js';
import { objectKey, type Ref, refTo } from '../../src/rails/ref.js';
import { fromEpochMicros, toEpochMicros, type UtcMicros } from '../../src/rails/time.js';
import {
  ENGINE_FORMAT,
  type GenerateInvocation,
  type Invocation,
  type LabelRow,
  OUTPUT_GATE,
  type OutputIndex,
  type OutputRole,
  outputScope,
  type Part,
  type SealedOutput,
  sealKey,
  type TrafficRow,
  worldKey,
  type WorldPins,
  worldPinsOf,
  type WorldSeal,
} from '../../src/modules/data-engine/data-engine.port.js';
import type { Objects } from '../../src/substrate/objects/objects.port.js';

/**
 * Worlds as the engine leaves them, put into a store by a test: parts, index, receipt and seal exactly as their schemas
 * say, and in the engine's order (the seal last). `tamper` makes them wrong in one place each.
 */
export interface WorldOptions {
  readonly rows: readonly TrafficRow[];
  readonly labels?: readonly LabelRow[];
  /** What the world is made of; its pins follow from it. A generated world of the scenario `baseline`, seed 7, unless given. */
  readonly invocation?: Invocation;
  /** Instead of the pins of the invocation: a foreign world. */
  readonly pins?: WorldPins;
  readonly status?: WorldSeal['status'];
  readonly rejected?: number;
  /** Rows of one part. */
  readonly partRows?: number;
  readonly tamper?: Tampering;
}

export interface Tampering {
  /** Another receipt than the true one. */
  readonly receipt?: (receipt: GateReceipt, outputId: string) => GateReceipt;
  /** Another index than the true one; the receipt is then about the true one's digest. */
  readonly index?: (index: OutputIndex, outputId: string) => OutputIndex;
  readonly seal?: (seal: WorldSeal) => WorldSeal;
  /**
   * Other bytes in the store than those that every ref names, or none (null): by the key, which ends in `.ndjson` for
   * parts, `index.json`, `receipt.json`, `seal.json`.
   */
  readonly stored?: (key: string, bytes: Buffer) => Buffer | null;
}

export interface BuiltOutput {
  readonly sealed: SealedOutput;
  readonly index: OutputIndex;
  readonly receipt: GateReceipt;
}

export interface BuiltWorld {
  readonly invocation: Invocation;
  readonly pins: WorldPins;
  readonly seal: WorldSeal;
  readonly sealRef: Ref;
  readonly outputs: ReadonlyMap<string, BuiltOutput>;
}

export const BASELINE: GenerateInvocation = {
  kind: 'generate',
  scenario_id: 'baseline' as ScenarioId,
  seed: '7' as Seed,
  parameters: { customers: 3 },
};

const FIRST_TS = '2018-04-01T00:00:31.000000Z' as UtcMicros;

/** Rows of plain card payments, one second apart, over seven cards. */
export function trafficRows(count: number, { from = FIRST_TS, outputId = 'transactions' } = {}): readonly TrafficRow[] {
  return Array.from({ length: count }, (_, row) => ({
    key: `t-${row}`,
    ts_utc: fromEpochMicros(toEpochMicros(from) + row * 1_000_000),
    payload: {
      transaction_id: `t-${row}`,
      amount_minor: 100 + row,
      currency: 'EUR',
      card_id: `card-${row % 7}`,
      terminal_id: `terminal-${row % 5}`,
      source: { output_id: outputId, row },
    },
  }));
}

/** A label for every tenth row, known a week after it happened. */
export function labelRows(rows: readonly TrafficRow[]): readonly LabelRow[] {
  return rows
    .filter((_, row) => row % 10 === 0)
    .map((row) => ({
      key: row.key,
      transaction_id: row.key,
      is_fraud: true,
      effective_at_utc: row.ts_utc,
      ts_utc: fromEpochMicros(toEpochMicros(row.ts_utc) + 7 * 86_400_000_000),
    }));
}

interface OutputSpec {
  readonly outputId: string;
  readonly role: OutputRole;
  readonly rows: readonly { readonly ts_utc: UtcMicros }[];
  readonly traffic?: { readonly event_type: EventType; readonly schema_version: SchemaVersion };
}

export async function putWorld(objects: Objects, options: WorldOptions): Promise<BuiltWorld> {
  const { invocation = BASELINE, rows, labels, status = 'SEALED_OK', rejected = 0, tamper = {} } = options;
  const pins = options.pins ?? worldPinsOf(invocation);
  const put = putter(objects, tamper);
  const outputs = new Map<string, BuiltOutput>();
  const specs: OutputSpec[] = [
    {
      outputId: 'transactions',
      role: 'business_traffic',
      rows,
      traffic: { event_type: 'transaction' as EventType, schema_version: 'v1' as SchemaVersion },
    },
    ...(labels === undefined ? [] : [{ outputId: 'labels', role: 'truth_products' as const, rows: labels }]),
  ];
  for (const spec of specs) outputs.set(spec.outputId, await putOutput(put, spec, pins, options));

  const parameters = await put(
    worldKey(pins, 'parameters.json'),
    Buffer.from(canonicalJson(invocation.parameters)),
    'application/json',
  );
  const [first, last] = [rows[0], rows.at(-1)];
  const honest: WorldSeal = {
    status,
    kind: invocation.kind,
    pins,
    format: ENGINE_FORMAT,
    parameters,
    ...(invocation.kind === 'import' ? { source: invocation.source } : {}),
    outputs: [...outputs.values()].map(({ sealed }) => sealed),
    counts: {
      rows_read: rows.length + rejected,
      rows_sealed: rows.length,
      rows_rejected: rejected,
      rejected_by_reason: rejected === 0 ? {} : { AMOUNT_INVALID: rejected },
    },
    ...(first === undefined || last === undefined ? {} : { first_ts_utc: first.ts_utc, last_ts_utc: last.ts_utc }),
    reason_codes: status === 'SEALED_OK' ? [] : ['REJECTED_SHARE_TOO_LARGE'],
  };
  const seal = tamper.seal?.(honest) ?? honest;
  const sealRef = await put(sealKey(pins), Buffer.from(canonicalJson(seal)), 'application/json');
  return { invocation, pins, seal, sealRef, outputs };
}

type Put = (key: string, bytes: Buffer, mediaType: string) => Promise<Ref>;

/** The ref always names the honest bytes; what is stored may be others. */
function putter(objects: Objects, { stored }: Tampering): Put {
  return async (key, bytes, mediaType) => {
    const kept = stored === undefined ? bytes : stored(key, bytes);
    if (kept !== null) await objects.putIfAbsent(objectKey(key), kept, { mediaType });
    return refTo(objectKey(key), digestBytes(bytes), bytes.byteLength, mediaType);
  };
}

async function putOutput(put: Put, spec: OutputSpec, pins: WorldPins, options: WorldOptions): Promise<BuiltOutput> {
  const { outputId, role, rows, traffic } = spec;
  const { partRows = 1_000, status = 'SEALED_OK', tamper = {} } = options;
  const at = (rest: string): string => worldKey(pins, `outputs/${outputId}/${rest}`);

  const parts: Part[] = [];
  for (let firstRow = 0; firstRow < rows.length; firstRow += partRows) {
    const slice = rows.slice(firstRow, firstRow + partRows);
    const text = slice.map((row) => `${canonicalJson(row)}\n`).join('');
    const name = `parts/${String(parts.length).padStart(6, '0')}.ndjson`;
    parts.push({
      ref: await put(at(name), Buffer.from(text), 'application/x-ndjson'),
      rows: slice.length,
      first_row: firstRow,
      first_ts_utc: slice[0]?.ts_utc ?? FIRST_TS,
      last_ts_utc: slice.at(-1)?.ts_utc ?? FIRST_TS,
    });
  }

  const honestIndex: OutputIndex = { output_id: outputId, role, ...traffic, pins, rows: rows.length, parts };
  const honestBytes = Buffer.from(canonicalJson(honestIndex));
  const index = tamper.index?.(honestIndex, outputId) ?? honestIndex;
  const indexRef = await put(at('index.json'), Buffer.from(canonicalJson(index)), 'application/json');

  const honestReceipt: GateReceipt = {
    gate_id: OUTPUT_GATE as GateId,
    status: status === 'SEALED_OK' ? 'PASS' : 'FAIL',
    scope: outputScope(pins, outputId),
    artifact_digest: digestBytes(honestBytes),
    evidence: [],
    reason_codes: status === 'SEALED_OK' ? [] : ['REJECTED_SHARE_TOO_LARGE'],
  };
  const receipt = tamper.receipt?.(honestReceipt, outputId) ?? honestReceipt;
  const receiptRef = await put(at('receipt.json'), Buffer.from(canonicalJson(receipt)), 'application/json');
  const sealed: SealedOutput = {
    output_id: outputId,
    role,
    ...traffic,
    rows: rows.length,
    index: indexRef,
    receipt: receiptRef,
  };
  return { sealed, index, receipt };
}
