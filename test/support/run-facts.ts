import { canonicalJson, digestCanonical, type JsonObject, type JsonValue } from '../../src/rails/canonical-json.js';
import { type Digest } from '../../src/rails/digest.js';
import { type EventType, type SchemaVersion } from '../../src/rails/envelope.schema.js';
import { asGateReceipt, type GateReceipt } from '../../src/rails/gate.js';
import { asPins, type RunPins, type ScenarioId, type Seed } from '../../src/rails/pins.js';
import { type PolicyRev, sealPolicy } from '../../src/rails/policy-rev.js';
import { type ObjectKey, type Ref } from '../../src/rails/ref.js';
import { asUtcMicros } from '../../src/rails/time.js';
import { type Objects } from '../../src/substrate/objects/objects.port.js';
import {
  OUTPUT_GATE,
  type OutputIndex,
  outputScope,
  type OutputRole,
  type SealedOutput,
  worldKey,
  type WorldPins,
} from '../../src/modules/data-engine/data-engine.port.js';
import {
  liveParameters,
  readyKey,
  readyMessageId,
  requestKey,
  type RunFactsView,
  runIdOf,
  runKey,
  type RunPlan,
  type RunReady,
} from '../../src/modules/scenario-runner/scenario-runner.port.js';

/** Objects of a run as the Scenario Runner leaves them, for tests of those who start from them. */

const TRANSACTION = { event_type: 'transaction' as EventType, schema_version: 'v1' as SchemaVersion } as const;

const GATES_REV: PolicyRev = sealPolicy('sr.gates', 1, { required_gates: [OUTPUT_GATE] }).policy_rev;

export interface LiveRunOptions {
  /** Equivalence key of the run; the run id follows from it. */
  readonly key: string;
  readonly scenario: string;
  readonly traffic?: readonly { readonly event_type: EventType; readonly schema_version: SchemaVersion }[];
  /** REQUESTED leaves the run known and not ready; `makeReady` completes it. */
  readonly state?: 'REQUESTED' | 'READY';
}

/** An open-ended run into which producers push. Answers its pins. */
export async function putLiveRun(objects: Objects, options: LiveRunOptions): Promise<RunPins> {
  const { key, scenario, traffic = [TRANSACTION], state = 'READY' } = options;
  const world = { kind: 'live' as const, scenario_id: scenario as ScenarioId, traffic };
  const parameters = liveParameters(world);
  const pins = runPins(key, {
    manifest_fingerprint: digestCanonical({ world: parameters, scenario }) as string as RunPins['manifest_fingerprint'],
    parameter_hash: parameters as RunPins['parameter_hash'],
    seed: '0' as Seed,
    scenario_id: scenario as ScenarioId,
  });
  await putJson(objects, requestKey(pins.run_id), { run_equivalence_key: key, world, strategy: 'AUTO' });
  if (state === 'READY') await makeReady(objects, pins, traffic);
  return pins;
}

/** Makes a live run READY that `putLiveRun` left REQUESTED. */
export async function makeReady(
  objects: Objects,
  pins: RunPins,
  traffic: RunFactsView['traffic'] = [TRANSACTION],
): Promise<RunReady> {
  return await putFacts(objects, { pins, kind: 'live', outputs: [], gate_receipts: [], traffic });
}

export interface SealedRow {
  readonly key: string;
  readonly ts_utc: string;
  readonly payload: JsonObject;
}

export interface SealedRunOptions {
  readonly key: string;
  readonly scenario: string;
  /** In the order of (`ts_utc`, row). */
  readonly rows: readonly SealedRow[];
  /** The rows again as truth products, so that there is something that must never be streamed. */
  readonly labels?: readonly JsonObject[];
  /** Rows per part; all in one unless given. */
  readonly partRows?: number;
  /** What the gate says of the traffic output. */
  readonly status?: 'PASS' | 'FAIL';
  readonly state?: 'REQUESTED' | 'READY';
}

/** A run over a sealed world with the output `transactions`, every object of which really stands. Answers its pins. */
export async function putSealedRun(objects: Objects, options: SealedRunOptions): Promise<RunPins> {
  const { key, scenario, rows, labels, partRows = Math.max(rows.length, 1), status = 'PASS' } = options;
  const invocation = { kind: 'generate', scenario_id: scenario, seed: '7', parameters: { rows: rows.length } };
  const world: WorldPins = {
    manifest_fingerprint: digestCanonical({ ...invocation, rows }) as string as WorldPins['manifest_fingerprint'],
    parameter_hash: digestCanonical(invocation.parameters) as string as WorldPins['parameter_hash'],
    seed: '7' as Seed,
    scenario_id: scenario as ScenarioId,
  };
  const pins = runPins(key, world);
  const put = { objects, world };
  const traffic = await putOutput(put, { output_id: 'transactions', role: 'business_traffic', rows, partRows, status });
  const truth =
    labels === undefined
      ? []
      : [await putOutput(put, { output_id: 'labels', role: 'truth_products', rows: labels, partRows, status: 'PASS' })];
  await putJson(objects, requestKey(pins.run_id), { run_equivalence_key: key, world: invocation, strategy: 'AUTO' });
  if (options.state !== 'REQUESTED') {
    const made = [traffic, ...truth];
    await putFacts(objects, {
      pins,
      kind: 'generate',
      outputs: made.map(({ output }) => output),
      gate_receipts: made.map(({ receipt }) => receipt),
      traffic: [{ ...TRANSACTION, output_id: 'transactions' }],
      counts: { rows_read: rows.length, rows_sealed: rows.length, rows_rejected: 0 },
    });
  }
  return pins;
}

/** A payload that keeps the schema `transaction` v1; two numbers give two of them. */
export function transactionPayload(number: number, more: JsonObject = {}): JsonObject {
  return {
    transaction_id: `t-${number}`,
    amount_minor: 100 + number,
    currency: 'EUR',
    transaction_type: 'purchase',
    channel: 'card_present',
    card_id: `card-${number % 997}`,
    customer_id: `customer-${number % 613}`,
    merchant_id: `merchant-${number % 211}`,
    terminal_id: `terminal-${number % 307}`,
    mcc: '5411',
    country: 'DE',
    ...more,
  };
}

/** An envelope of such a transaction in a run, as text. */
export function transactionEvent(
  pins: RunPins,
  number: number,
  { payload = transactionPayload(number), ...more }: JsonObject = {},
): string {
  const envelope = {
    event_id: `e-${number}`,
    event_type: 'transaction',
    schema_version: 'v1',
    ts_utc: `2026-01-01T00:${String(Math.floor(number / 60) % 60).padStart(2, '0')}:${String(number % 60).padStart(2, '0')}.000000Z`,
    ...pins,
    producer: 'payments-api',
    payload,
    ...more,
  };
  return JSON.stringify(envelope);
}

function runPins(key: string, world: WorldPins): RunPins {
  return asPins({ ...world, run_id: runIdOf(key) }) as RunPins;
}

type Facts = Pick<RunFactsView, 'pins' | 'kind' | 'outputs' | 'gate_receipts' | 'traffic' | 'counts'>;

async function putFacts(objects: Objects, facts: Facts): Promise<RunReady> {
  const { pins, kind } = facts;
  const plan: RunPlan = {
    run_id: pins.run_id,
    pins,
    kind,
    outputs: [],
    required_gates: [OUTPUT_GATE],
    attempts_max: 3,
    evidence_deadline_ms: 1_000,
    policy_rev: GATES_REV,
  };
  const planRef = await putJson(objects, runKey(pins.run_id, 'plan.json'), plan);
  const view: RunFactsView = { ...facts, plan: planRef, policy_rev: GATES_REV };
  const viewRef = await putJson(objects, runKey(pins.run_id, 'facts_view.json'), view);
  const messageId = readyMessageId(pins.run_id, viewRef.digest.hex) as Digest;
  const ready: RunReady = { pins, facts_view: viewRef, message_id: messageId };
  await putJson(objects, readyKey(pins.run_id), ready);
  return ready;
}

interface OutputOptions {
  readonly output_id: string;
  readonly role: OutputRole;
  readonly rows: readonly (SealedRow | JsonObject)[];
  readonly partRows: number;
  readonly status: 'PASS' | 'FAIL';
}

async function putOutput(
  { objects, world }: { readonly objects: Objects; readonly world: WorldPins },
  { output_id, role, rows, partRows, status }: OutputOptions,
): Promise<{ readonly output: SealedOutput; readonly receipt: GateReceipt }> {
  const isTraffic = role === 'business_traffic';
  const parts: OutputIndex['parts'][number][] = [];
  for (let first = 0; first < rows.length; first += partRows) {
    const held = rows.slice(first, first + partRows);
    const text = held.map((row) => `${canonicalJson(row)}\n`).join('');
    const place = worldKey(world, `${output_id}/part-${String(parts.length).padStart(5, '0')}.jsonl`);
    const { ref } = await objects.putIfAbsent(place, Buffer.from(text), { mediaType: 'application/x-ndjson' });
    const time = (at: number) => {
      const text = held.at(at)?.ts_utc;
      return asUtcMicros(typeof text === 'string' ? text : '');
    };
    parts.push({ ref, rows: held.length, first_row: first, first_ts_utc: time(0), last_ts_utc: time(-1) });
  }
  const typed = isTraffic ? TRANSACTION : {};
  const index: OutputIndex = { output_id, role, ...typed, pins: world, rows: rows.length, parts };
  const indexRef = await putJson(objects, worldKey(world, `${output_id}/index.json`), index);
  const receipt = asGateReceipt({
    gate_id: OUTPUT_GATE,
    status,
    scope: outputScope(world, output_id),
    artifact_digest: indexRef.digest.hex,
    evidence: [],
    reason_codes: status === 'PASS' ? [] : ['MADE_TO_FAIL'],
  });
  const receiptRef = await putJson(objects, worldKey(world, `${output_id}/receipt.json`), receipt);
  return {
    output: { output_id, role, ...typed, rows: rows.length, index: indexRef, receipt: receiptRef },
    receipt,
  };
}

async function putJson(objects: Objects, key: ObjectKey, value: object): Promise<Ref> {
  const text = canonicalJson(JSON.parse(JSON.stringify(value)) as JsonValue);
  const { ref } = await objects.putIfAbsent(key, Buffer.from(text), { mediaType: 'application/json' });
  return ref;
}
