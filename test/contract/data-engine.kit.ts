import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT_CONTEXT } from '@opentelemetry/api';
import { parse as parseYaml } from 'yaml';
import { EngineMetrics } from '../../src/modules/data-engine/data-engine.metrics.js';
import {
  type ImportInvocation,
  type Invocation,
  type OutputIndex,
  type SealStatus,
  worldPinsOf,
} from '../../src/modules/data-engine/data-engine.port.js';
import { DataEngineService } from '../../src/modules/data-engine/data-engine.service.js';
import { importSource } from '../../src/modules/data-engine/import/import.source.js';
import { PreviewJobs } from '../../src/modules/data-engine/preview-jobs.js';
import { SealJobs } from '../../src/modules/data-engine/seal-jobs.js';
import { type SealedWorld, sealWorld } from '../../src/modules/data-engine/sealing/seal-world.js';
import { SourceStore } from '../../src/modules/data-engine/source-store.js';
import { WorldReader } from '../../src/modules/data-engine/world-reader.js';
import type { WorldSource } from '../../src/modules/data-engine/world-source.js';
import type { JsonObject } from '../../src/rails/canonical-json.js';
import type { ScenarioId } from '../../src/rails/pins.js';
import type { Ref } from '../../src/rails/ref.js';
import { SystemClock } from '../../src/substrate/clock/system.clock.js';
import type { Objects } from '../../src/substrate/objects/objects.port.js';
import type { CallContext } from '../../src/substrate/rpc/rpc.port.js';
import { outgoing } from '../../src/substrate/rpc/outgoing.js';
import { eventually } from '../support/eventually.js';
import { recordedTelemetry, type RecordedTelemetry } from '../support/telemetry.js';

/** A store keeps what it has: each world of a test is of a scenario that no other run has. */
export const freshScenario = (): ScenarioId => `t-${randomBytes(8).toString('hex')}` as ScenarioId;

export async function upload(objects: Objects, bytes: Uint8Array | string): Promise<Ref> {
  const body = typeof bytes === 'string' ? Buffer.from(bytes) : bytes;
  const taken = await new SourceStore(objects).take(piecesOf(body), 'application/octet-stream');
  return taken.ref;
}

/** In pieces of odd sizes, as they come from a network. */
export async function* piecesOf(bytes: Uint8Array, size = 7_919): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.byteLength; at += size) {
    await Promise.resolve();
    yield bytes.subarray(at, at + size);
  }
}

/** The case of docs/import.md: its file and its mapping, as they stand there. */
export function documentedCase(): {
  readonly csv: string;
  readonly mapping: JsonObject;
  readonly mappingLines: number;
} {
  const page = readFileSync(join(process.cwd(), 'docs', 'import.md'), 'utf8');
  const block = (language: string): string => {
    const found = new RegExp('```' + language + '\n([^`]*)```').exec(page)?.[1];
    if (found === undefined) throw new Error(`docs/import.md has no ${language} block`);
    return found;
  };
  const yaml = block('yaml');
  return { csv: block('csv'), mapping: parseYaml(yaml) as JsonObject, mappingLines: yaml.trim().split('\n').length };
}

/** A mapping of small files of this suite: `id,at,amount,who,fraud`. */
export const PLAIN: JsonObject = {
  format: 'csv',
  key: 'id',
  time: { column: 'at', format: 'iso' },
  amount: { column: 'amount', currency: 'EUR' },
  fields: { customer_id: 'who' },
  label: { column: 'fraud', fraud_values: ['1'], delay: 'PT1H' },
};
export const HEADER = 'id,at,amount,who,fraud';

/** Lines of a file of so many rows; by default in the order of time. */
export function plainLines(rows: number, secondOf: (row: number) => number = (row) => row): readonly string[] {
  return Array.from({ length: rows }, (_, row) => {
    const at = new Date(Date.UTC(2024, 0, 1) + secondOf(row) * 1_000).toISOString();
    return `t${row},${at},${row % 1_000}.${String(row % 100).padStart(2, '0')},c${row % 97},${row % 10 === 0 ? 1 : 0}`;
  });
}

export async function importOf(
  objects: Objects,
  file: Uint8Array | string,
  parameters: JsonObject = PLAIN,
  scenario: ScenarioId = freshScenario(),
): Promise<ImportInvocation> {
  return { kind: 'import', scenario_id: scenario, source: await upload(objects, file), parameters };
}

export interface SealOptions {
  readonly source?: WorldSource;
  readonly signal?: AbortSignal;
}

/** Makes the world in this process, without the jobs around it. */
export async function seal(objects: Objects, invocation: Invocation, options: SealOptions = {}): Promise<SealedWorld> {
  if (invocation.kind !== 'import' && options.source === undefined) throw new Error('say of what it is made');
  return await sealWorld({
    objects,
    invocation,
    source: options.source ?? importSource(objects, invocation as ImportInvocation),
    signal: options.signal ?? new AbortController().signal,
    onProgress: () => undefined,
  });
}

export async function jsonOf<Value = JsonObject>(objects: Objects, ref: Ref): Promise<Value> {
  return JSON.parse((await objects.read(ref)).toString('utf8')) as Value;
}

/** Every line of an output, through its index and its parts. */
export async function linesOf(objects: Objects, world: SealedWorld, outputId: string): Promise<readonly string[]> {
  const output = world.content.outputs.find(({ output_id }) => output_id === outputId);
  if (output === undefined) return [];
  const index = await jsonOf<OutputIndex>(objects, output.index);
  const texts = [];
  for (const { ref } of index.parts) texts.push((await objects.read(ref)).toString('utf8'));
  return texts.join('').split('\n').slice(0, -1);
}

export async function rowsOf(objects: Objects, world: SealedWorld, outputId: string): Promise<readonly JsonObject[]> {
  return (await linesOf(objects, world, outputId)).map((line) => JSON.parse(line) as JsonObject);
}

/** Keys of all objects of a world. */
export async function keysOf(objects: Objects, invocation: Invocation): Promise<readonly string[]> {
  const { manifest_fingerprint } = worldPinsOf(invocation);
  const { objects: found } = await objects.list(`engine/worlds/${manifest_fingerprint}/`);
  return found.map(({ key }) => key);
}

export interface Engine extends AsyncDisposable {
  readonly service: DataEngineService;
  readonly reader: WorldReader;
  readonly telemetry: RecordedTelemetry;
  /** Asks until it is no longer RUNNING. */
  sealed(invocation: Invocation): Promise<SealStatus>;
  /** Ends its jobs as a stopping program does. */
  stop(): Promise<void>;
}

/** The unit as a process has it. */
export function engineOn(objects: Objects): Engine {
  const clock = new SystemClock();
  const telemetry = recordedTelemetry('data-engine');
  const jobs = new SealJobs(objects, clock, telemetry.telemetry, new EngineMetrics(telemetry.telemetry));
  const previews = new PreviewJobs(objects);
  const reader = new WorldReader(objects);
  const service = new DataEngineService(jobs, previews, reader, new SourceStore(objects), objects);
  const stop = async (): Promise<void> => {
    await Promise.all([jobs.onModuleDestroy(), previews.onModuleDestroy()]);
  };
  return {
    service,
    reader,
    telemetry,
    sealed: (invocation) =>
      eventually(
        () => service.seal({ invocation }, CALL),
        ({ state }) => state !== 'RUNNING',
        60_000,
      ),
    stop,
    [Symbol.asyncDispose]: stop,
  };
}

export const CALL: CallContext = outgoing(new SystemClock(), 60_000, { trace: ROOT_CONTEXT });
