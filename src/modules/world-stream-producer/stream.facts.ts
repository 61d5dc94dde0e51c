import { canonicalJson } from '../../rails/canonical-json.js';
import { type EventType, type SchemaVersion } from '../../rails/envelope.schema.js';
import { isProbityError, ProbityError } from '../../rails/errors/probity-error.js';
import { asGateReceipt, demandPass, type GateDemand, type Readable } from '../../rails/gate.js';
import { differingPins, type RunPins } from '../../rails/pins.js';
import { type Ref } from '../../rails/ref.js';
import { type Validator, validatorOf } from '../../rails/validator.js';
import type { Objects } from '../../substrate/objects/objects.port.js';
import {
  OUTPUT_GATE,
  type OutputIndex,
  OutputIndexSchema,
  outputScope,
  type Part,
  type SealedOutput,
  type WorldPins,
} from '../data-engine/data-engine.port.js';
import {
  readyKey,
  readyMessageId,
  requestKey,
  type RunFactsView,
  RunFactsViewSchema,
  type RunReady,
  RunReadySchema,
} from '../scenario-runner/scenario-runner.port.js';

/** An output that the run declares as traffic, with its index behind a PASS. */
export interface TrafficOutput {
  readonly output_id: string;
  readonly event_type: EventType;
  readonly schema_version: SchemaVersion;
  readonly rows: number;
  readonly parts: readonly TimedPart[];
}

/** Rows of traffic have a time, and so have their parts. */
export type TimedPart = Part & Required<Pick<Part, 'first_ts_utc' | 'last_ts_utc'>>;

/** A run that is ready, and of which the view says that there is something to stream. */
export interface StreamFacts {
  readonly pins: RunPins;
  readonly ready: RunReady;
  readonly view: RunFactsView;
  /** Sealed outputs that the view declares as traffic; not opened yet. */
  readonly declared: readonly SealedOutput[];
  readonly rows_total: number;
}

const readies = validatorOf(RunReadySchema, 'ready.json');
const views = validatorOf(RunFactsViewSchema, 'the facts view');
const indexes = validatorOf(OutputIndexSchema, 'the index');

/** No view and no index comes near it: an index of ten thousand parts takes 4 MB. */
const JSON_BYTES_MAX = 64 * 1024 * 1024;

/** Whether the run was ever requested: what makes it known stands under a key of its own. */
export async function isKnown(objects: Objects, runId: string): Promise<boolean> {
  return (await objects.head(requestKey(runId))) !== null;
}

/**
 * What the run stands on, or null while it is not READY. Starts from the run's own keys and goes on by ref alone (law R4).
 *
 * @throws ProbityError WSP_VIEW_MISMATCH, WSP_NOTHING_TO_STREAM, OBJECTS_DIGEST_MISMATCH, OBJECTS_NOT_FOUND, OBJECTS_UNAVAILABLE
 */
export async function readFacts(objects: Objects, runId: string): Promise<StreamFacts | null> {
  const at = await objects.head(readyKey(runId));
  if (at === null) return null;
  const ready = await readJson(objects, at, readies);
  const view = await readJson(objects, ready.facts_view, views);
  const { pins } = view;
  if (pins.run_id !== runId || differingPins(pins, ready.pins).length > 0)
    throw mismatch(`READY and the facts view of run ${runId} differ in their pins`);
  if (ready.message_id !== readyMessageId(runId, ready.facts_view.digest.hex))
    throw mismatch(`READY of run ${runId} has the id of another message`);
  const declared = declaredOutputs(view);
  if (declared.length === 0)
    throw new ProbityError('WSP_NOTHING_TO_STREAM', `run ${runId} (${view.kind}) declares no sealed output as traffic`);
  return { pins, ready, view, declared, rows_total: declared.reduce((rows, output) => rows + output.rows, 0) };
}

/** What may be streamed is what the view declares, in the order of the outputs' ids; everything else is never opened. */
function declaredOutputs(view: RunFactsView): readonly SealedOutput[] {
  const declared = view.traffic.flatMap(({ output_id, event_type, schema_version }) => {
    if (output_id === undefined) return [];
    const output = view.outputs.find((each) => each.output_id === output_id);
    if (output === undefined) throw mismatch(`the view declares ${output_id} as traffic and does not have it`);
    if (output.role !== 'business_traffic')
      throw mismatch(`the view declares ${output_id} as traffic, whose role is ${output.role}`);
    if (output.event_type !== event_type || output.schema_version !== schema_version)
      throw mismatch(`the view declares ${output_id} as another type than it was sealed as`);
    return [output];
  });
  return declared.sort((a, b) => (a.output_id < b.output_id ? -1 : 1));
}

/**
 * Opens an output: no PASS, no read (law R3). The receipt is read by its ref and must stand in the view as well.
 *
 * @throws ProbityError GATE_NOT_PASSED, WSP_VIEW_MISMATCH, WSP_PART_INVALID, OBJECTS_DIGEST_MISMATCH, OBJECTS_NOT_FOUND
 */
export async function openOutput(objects: Objects, facts: StreamFacts, output: SealedOutput): Promise<TrafficOutput> {
  const { run_id: _run, ...world } = facts.pins;
  const readable = await passed(objects, facts.view, output, {
    gate_id: OUTPUT_GATE,
    scope: outputScope(world, output.output_id),
  });
  const index = await readJson(objects, readable, indexes);
  const parts = checkedParts(index, output, world);
  const { event_type, schema_version } = output;
  if (event_type === undefined || schema_version === undefined)
    throw mismatch(`output ${output.output_id} is traffic without a type and version`);
  return { output_id: output.output_id, event_type, schema_version, rows: index.rows, parts };
}

async function passed(
  objects: Objects,
  view: RunFactsView,
  output: SealedOutput,
  demand: GateDemand,
): Promise<Readable<Ref>> {
  const receipt = await readReceipt(objects, output.receipt);
  const readable = demandPass(receipt, output.index, demand);
  const text = canonicalJson(receipt);
  if (!view.gate_receipts.some((each) => canonicalJson(each) === text))
    throw mismatch(`the receipt ${output.receipt.locator} does not stand in the facts view`);
  return readable;
}

async function readReceipt(objects: Objects, ref: Ref) {
  try {
    return asGateReceipt(parsed(await objects.read(ref, { bytesMax: JSON_BYTES_MAX }), ref));
  } catch (error) {
    // The gate's own refusal names the artifact that stays shut; a missing receipt is one of its reasons.
    if (isProbityError(error, 'OBJECTS_NOT_FOUND')) return null;
    throw error;
  }
}

function checkedParts(index: OutputIndex, output: SealedOutput, world: WorldPins): readonly TimedPart[] {
  const { locator } = output.index;
  if (index.output_id !== output.output_id || index.role !== output.role)
    throw mismatch(`${locator} is the index of another output`);
  if (canonicalJson(index.pins) !== canonicalJson(world)) throw mismatch(`${locator} is the index of another world`);
  if (index.event_type !== output.event_type || index.schema_version !== output.schema_version)
    throw mismatch(`${locator} has another type than the view`);
  let [rows, ts] = [0, ''];
  const parts = index.parts.map((part) => {
    const { ref, first_row, first_ts_utc, last_ts_utc } = part;
    if (first_ts_utc === undefined || last_ts_utc === undefined)
      throw new ProbityError('WSP_PART_INVALID', `${locator} gives ${ref.locator} no times`);
    if (first_row !== rows || first_ts_utc < ts || last_ts_utc < first_ts_utc)
      throw new ProbityError('WSP_PART_INVALID', `${locator} puts ${ref.locator} where it does not follow`);
    [rows, ts] = [rows + part.rows, last_ts_utc];
    return { ...part, first_ts_utc, last_ts_utc };
  });
  if (rows !== index.rows || rows !== output.rows)
    throw new ProbityError('WSP_PART_INVALID', `${locator} does not hold the ${output.rows} rows that the view says`);
  return parts;
}

async function readJson<Value>(objects: Objects, ref: Ref, validator: Validator<Value>): Promise<Value> {
  return validator.demand(parsed(await objects.read(ref, { bytesMax: JSON_BYTES_MAX }), ref));
}

function parsed(bytes: Buffer, { locator }: Ref): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch (cause) {
    throw mismatch(`${locator} is not JSON`, cause);
  }
}

function mismatch(detail: string, cause?: unknown): ProbityError {
  return new ProbityError('WSP_VIEW_MISMATCH', detail, { cause });
}
