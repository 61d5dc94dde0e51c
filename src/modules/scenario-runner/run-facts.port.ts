import { canonicalJson } from '../../rails/canonical-json.js';
import { isProbityError, ProbityError } from '../../rails/errors/probity-error.js';
import { asGateReceipt, demandPass, type GateDemand, type Readable } from '../../rails/gate.js';
import { differingPins } from '../../rails/pins.js';
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
  type RunFactsView,
  RunFactsViewSchema,
  type RunReady,
  RunReadySchema,
} from './scenario-runner.port.js';

/**
 * How everybody reads what a run stands on: from the run's own keys, by ref alone (law R4), and an output only behind its PASS (law R3).
 * Nobody scans the store.
 */

/** Rows have a time, and so have their parts. */
export type TimedPart = Part & Required<Pick<Part, 'first_ts_utc' | 'last_ts_utc'>>;

/** A run that is ready, and its view, which agree. */
export interface RunFacts {
  readonly ready: RunReady;
  readonly view: RunFactsView;
}

/** An output behind a PASS. */
export interface ReadableOutput {
  readonly index: OutputIndex;
  readonly parts: readonly TimedPart[];
}

const readies = validatorOf(RunReadySchema, 'ready.json');
const views = validatorOf(RunFactsViewSchema, 'the facts view');
const indexes = validatorOf(OutputIndexSchema, 'the index');

/** No view and no index comes near it: an index of ten thousand parts takes 4 MB. */
const JSON_BYTES_MAX = 64 * 1024 * 1024;

/**
 * What the run stands on, or null while it is not READY.
 * @throws ProbityError WSP_VIEW_MISMATCH, OBJECTS_DIGEST_MISMATCH, OBJECTS_NOT_FOUND, OBJECTS_UNAVAILABLE
 */
export async function readRunFacts(objects: Objects, runId: string): Promise<RunFacts | null> {
  const at = await objects.head(readyKey(runId));
  if (at === null) return null;
  const ready = await readJson(objects, at, readies);
  const view = await readJson(objects, ready.facts_view, views);
  const { pins } = view;
  if (pins.run_id !== runId || differingPins(pins, ready.pins).length > 0)
    throw viewMismatch(`READY and the facts view of run ${runId} differ in their pins`);
  if (ready.message_id !== readyMessageId(runId, ready.facts_view.digest.hex))
    throw viewMismatch(`READY of run ${runId} has the id of another message`);
  return { ready, view };
}

/**
 * Opens an output: no PASS, no read. The receipt is read by its ref and must stand in the view as well.
 * @throws ProbityError GATE_NOT_PASSED, WSP_VIEW_MISMATCH, WSP_PART_INVALID, OBJECTS_DIGEST_MISMATCH, OBJECTS_NOT_FOUND
 */
export async function openSealedOutput(
  objects: Objects,
  view: RunFactsView,
  output: SealedOutput,
): Promise<ReadableOutput> {
  const { run_id: _run, ...world } = view.pins;
  const readable = await passed(objects, view, output, {
    gate_id: OUTPUT_GATE,
    scope: outputScope(world, output.output_id),
  });
  const index = await readJson(objects, readable, indexes);
  return { index, parts: checkedParts(index, output, world) };
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
    throw viewMismatch(`the receipt ${output.receipt.locator} does not stand in the facts view`);
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
    throw viewMismatch(`${locator} is the index of another output`);
  if (canonicalJson(index.pins) !== canonicalJson(world))
    throw viewMismatch(`${locator} is the index of another world`);
  if (index.event_type !== output.event_type || index.schema_version !== output.schema_version)
    throw viewMismatch(`${locator} has another type than the view`);
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
    throw viewMismatch(`${locator} is not JSON`, cause);
  }
}

export function viewMismatch(detail: string, cause?: unknown): ProbityError {
  return new ProbityError('WSP_VIEW_MISMATCH', detail, { cause });
}
