import { type EventType, type SchemaVersion } from '../../rails/envelope.schema.js';
import { ProbityError } from '../../rails/errors/probity-error.js';
import { type RunPins } from '../../rails/pins.js';
import type { Objects } from '../../substrate/objects/objects.port.js';
import { type SealedOutput } from '../data-engine/data-engine.port.js';
import { openSealedOutput, readRunFacts, type TimedPart, viewMismatch } from '../scenario-runner/run-facts.port.js';
import { requestKey, type RunFactsView, type RunReady } from '../scenario-runner/scenario-runner.port.js';

/** An output that the run declares as traffic, with its index behind a PASS. */
export interface TrafficOutput {
  readonly output_id: string;
  readonly event_type: EventType;
  readonly schema_version: SchemaVersion;
  readonly rows: number;
  readonly parts: readonly TimedPart[];
}

/** A run that is ready, and of which the view says that there is something to stream. */
export interface StreamFacts {
  readonly pins: RunPins;
  readonly ready: RunReady;
  readonly view: RunFactsView;
  /** Sealed outputs that the view declares as traffic; not opened yet. */
  readonly declared: readonly SealedOutput[];
  readonly rows_total: number;
}

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
  const facts = await readRunFacts(objects, runId);
  if (facts === null) return null;
  const { ready, view } = facts;
  const { pins } = view;
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
    if (output === undefined) throw viewMismatch(`the view declares ${output_id} as traffic and does not have it`);
    if (output.role !== 'business_traffic')
      throw viewMismatch(`the view declares ${output_id} as traffic, whose role is ${output.role}`);
    if (output.event_type !== event_type || output.schema_version !== schema_version)
      throw viewMismatch(`the view declares ${output_id} as another type than it was sealed as`);
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
  const { index, parts } = await openSealedOutput(objects, facts.view, output);
  const { event_type, schema_version } = output;
  if (event_type === undefined || schema_version === undefined)
    throw viewMismatch(`output ${output.output_id} is traffic without a type and version`);
  return { output_id: output.output_id, event_type, schema_version, rows: index.rows, parts };
}
