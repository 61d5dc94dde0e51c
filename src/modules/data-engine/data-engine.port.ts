import { type Static, Type } from '@sinclair/typebox';
import { digestCanonical, type JsonObject } from '../../rails/canonical-json.js';

import { EventTypeSchema, SchemaVersionSchema } from '../../rails/envelope.schema.js';

import { defineRecipe } from '../../rails/identity-recipe.js';
import {
  ManifestFingerprintSchema,
  ParameterHashSchema,
  type RunPins,
  type ScenarioId,
  ScenarioIdSchema,
  type Seed,
  SeedSchema,
} from '../../rails/pins.js';
import { type ObjectKey, objectKey, RefSchema } from '../../rails/ref.js';
import { closed, safeInteger, type Sealed } from '../../rails/schema.js';
import { UtcMicrosSchema } from '../../rails/time.js';
import type { CallContext } from '../../substrate/rpc/rpc.port.js';
import { defineContract } from '../../substrate/rpc/rpc-contract.js';

/** What an output is for; only `business_traffic` may ever be streamed. */
export const OutputRoleSchema = Type.Union(
  (['business_traffic', 'behavioural_context', 'truth_products', 'audit_evidence', 'ops_telemetry'] as const).map(
    (role) => Type.Literal(role),
  ),
);
export type OutputRole = Static<typeof OutputRoleSchema>;

/** Parameters of a world as plain JSON: a mapping (import) or a parameter pack (generate). Their own schemas are the engine's. */
const ParametersSchema = Type.Unsafe<JsonObject>({ type: 'object' });

export const ImportInvocationSchema = closed({
  kind: Type.Literal('import'),
  scenario_id: ScenarioIdSchema,
  source: RefSchema,
  parameters: ParametersSchema,
});

export const GenerateInvocationSchema = closed({
  kind: Type.Literal('generate'),
  scenario_id: ScenarioIdSchema,
  seed: SeedSchema,
  parameters: ParametersSchema,
});

/** Everything that a world's bytes depend on, and nothing else: who asks, when and in which run is not in it. */
export const InvocationSchema = Type.Union([ImportInvocationSchema, GenerateInvocationSchema]);
export type Invocation = Sealed<typeof InvocationSchema>;
export type ImportInvocation = Sealed<typeof ImportInvocationSchema>;
export type GenerateInvocation = Sealed<typeof GenerateInvocationSchema>;

export type WorldPins = Omit<RunPins, 'run_id'>;
export const WorldPinsSchema = closed({
  manifest_fingerprint: ManifestFingerprintSchema,
  parameter_hash: ParameterHashSchema,
  seed: SeedSchema,
  scenario_id: ScenarioIdSchema,
});

/** Rises whenever the same invocation would give other bytes; part of every fingerprint. */
export const ENGINE_FORMAT = 1;

const fingerprint = defineRecipe<
  {
    format: number;
    kind: string;
    scenario_id: ScenarioId;
    seed: Seed;
    parameter_hash: string;
    source_digest: string | null;
  },
  'ManifestFingerprint'
>('engine.world', 1, {
  format: true,
  kind: true,
  scenario_id: true,
  seed: true,
  parameter_hash: true,
  source_digest: true,
});

/** A world's pins, known before it is made: they follow from the invocation alone. An import has the seed 0. */
export function worldPinsOf(invocation: Invocation): WorldPins {
  const seed = invocation.kind === 'generate' ? invocation.seed : ('0' as Seed);
  const parameter_hash = digestCanonical(invocation.parameters) as string as WorldPins['parameter_hash'];
  const { scenario_id } = invocation;
  const manifest_fingerprint = fingerprint.derive({
    format: ENGINE_FORMAT,
    kind: invocation.kind,
    scenario_id,
    seed,
    parameter_hash,
    source_digest: invocation.kind === 'import' ? invocation.source.digest.hex : null,
  });
  return { manifest_fingerprint, parameter_hash, seed, scenario_id };
}

/** Where a world's objects stand: `engine/worlds/<fingerprint>/…`. */
export function worldKey(pins: Pick<WorldPins, 'manifest_fingerprint'>, rest: string): ObjectKey {
  return objectKey(`engine/worlds/${pins.manifest_fingerprint}/${rest}`);
}

export const sealKey = (pins: Pick<WorldPins, 'manifest_fingerprint'>): ObjectKey => worldKey(pins, 'seal.json');

/** One file of an output: newline-delimited canonical JSON, at most 8 MiB, so that a reader verifies it whole before it uses a row. */
export const PartSchema = closed({
  ref: RefSchema,
  rows: safeInteger(1, 'rows of this part'),
  first_row: safeInteger(0, 'number of its first row within the output'),
  /** Absent for `rejects`, whose rows have no time: it may be the very thing that could not be read. */
  first_ts_utc: Type.Optional(UtcMicrosSchema),
  last_ts_utc: Type.Optional(UtcMicrosSchema),
});
export type Part = Sealed<typeof PartSchema>;

/**
 * The index of one output, an object of its own: its digest is the output's. Rows stand in the order of (`ts_utc`, row
 * number); `ts_utc` never falls from one row to the next. Those of `rejects` stand in the order of the source.
 */
export const OutputIndexSchema = closed({
  output_id: Type.String({ pattern: '^[a-z][a-z0-9_]{0,63}$' }),
  role: OutputRoleSchema,
  event_type: Type.Optional(EventTypeSchema),
  schema_version: Type.Optional(SchemaVersionSchema),
  pins: WorldPinsSchema,
  rows: safeInteger(0, 'rows in all'),
  parts: Type.Array(PartSchema),
});
export type OutputIndex = Sealed<typeof OutputIndexSchema>;

/** A row of traffic as it stands in a part. The event id follows from output, key and world; the producer derives it. */
export const TrafficRowSchema = closed({
  key: Type.String({ minLength: 1, maxLength: 200 }),
  ts_utc: UtcMicrosSchema,
  payload: Type.Unsafe<JsonObject>({ type: 'object' }),
});
export type TrafficRow = Sealed<typeof TrafficRowSchema>;

/** A row of the truth product `labels`: what became known of a transaction, and when. Offline only, never traffic. */
export const LabelRowSchema = closed({
  key: Type.String({ minLength: 1, maxLength: 200, description: 'key of the traffic row that it is about' }),
  transaction_id: Type.String(),
  is_fraud: Type.Boolean(),
  fraud_kind: Type.Optional(Type.String({ maxLength: 64 })),
  /** When it happened: the transaction's own time. */
  effective_at_utc: UtcMicrosSchema,
  /** When it became known: never before it happened. */
  ts_utc: UtcMicrosSchema,
});
export type LabelRow = Sealed<typeof LabelRowSchema>;

const eventIdRecipe = defineRecipe<{ output_id: string; key: string; pins: WorldPins }, 'EventId'>('engine.event', 1, {
  output_id: true,
  key: true,
  pins: true,
});

/** The id of the event that a row becomes. Without the run, so that a fact of a world keeps its id in every run. */
export function eventIdOf(outputId: string, key: string, pins: WorldPins): string {
  return eventIdRecipe.derive({ output_id: outputId, key, pins });
}

export const OUTPUT_GATE = 'engine.output';

/** What the receipt of an output is about: the tokens of its identity. */
export function outputScope(pins: WorldPins, outputId: string): Readonly<Record<string, string>> {
  return { ...pins, output_id: outputId };
}

export const SealedOutputSchema = closed({
  output_id: Type.String({ pattern: '^[a-z][a-z0-9_]{0,63}$' }),
  role: OutputRoleSchema,
  event_type: Type.Optional(EventTypeSchema),
  schema_version: Type.Optional(SchemaVersionSchema),
  rows: safeInteger(0, 'rows in all'),
  index: RefSchema,
  /** The object that holds the gate receipt. */
  receipt: RefSchema,
});
export type SealedOutput = Sealed<typeof SealedOutputSchema>;

/** The last object of a world, put if absent: it is complete and will not change. Whether it may be read, the receipts say. */
export const WorldSealSchema = closed(
  {
    status: Type.Union([Type.Literal('SEALED_OK'), Type.Literal('SEALED_FAILED')]),
    kind: Type.Union([Type.Literal('import'), Type.Literal('generate')]),
    pins: WorldPinsSchema,
    format: safeInteger(1, 'ENGINE_FORMAT'),
    /** What it was made of: the parameters' object, and the source file of an import. */
    parameters: RefSchema,
    source: Type.Optional(RefSchema),
    outputs: Type.Array(SealedOutputSchema),
    counts: closed({
      rows_read: safeInteger(0, 'rows of the source; of a generated world the rows of its traffic'),
      rows_sealed: safeInteger(0, 'rows of traffic'),
      rows_rejected: safeInteger(0, 'rows of the source that could not be mapped'),
      rejected_by_reason: Type.Record(Type.String({ pattern: '^[A-Z][A-Z0-9_]*$' }), Type.Integer({ minimum: 1 })),
    }),
    first_ts_utc: Type.Optional(UtcMicrosSchema),
    last_ts_utc: Type.Optional(UtcMicrosSchema),
    reason_codes: Type.Array(Type.String({ pattern: '^[A-Z][A-Z0-9_]*$' })),
  },
  { description: 'The seal of a world: its outputs by ref, its counts, and whether it came out well.' },
);
export type WorldSeal = Sealed<typeof WorldSealSchema>;

export const SealRequest = closed({ invocation: InvocationSchema });

export const SealStatusSchema = closed({
  state: Type.Union([
    Type.Literal('RUNNING'),
    Type.Literal('SEALED_OK'),
    Type.Literal('SEALED_FAILED'),
    Type.Literal('FAILED'),
  ]),
  pins: WorldPinsSchema,
  /** `reading`, `sorting`, `sealing` …: for people who wait. */
  stage: Type.String({ maxLength: 64 }),
  rows_done: safeInteger(0, 'rows so far'),
  /** 0 to 1 where it is known. */
  share_done: Type.Optional(Type.Number({ minimum: 0, maximum: 1 })),
  seal: Type.Optional(RefSchema),
  /** Set with FAILED: why the attempt ended without a seal. */
  error: Type.Optional(closed({ code: Type.String(), detail: Type.String(), retryable: Type.Boolean() })),
});
export type SealStatus = Static<typeof SealStatusSchema>;

export const PreviewRequest = closed({
  source: RefSchema,
  parameters: ParametersSchema,
  /** Rows to show as they would be sealed. */
  rows_max: Type.Integer({ minimum: 0, maximum: 1_000 }),
});

export const PreviewSchema = closed({
  state: Type.Union([Type.Literal('RUNNING'), Type.Literal('DONE')]),
  rows_read: safeInteger(0, 'rows so far'),
  rows_mapped: safeInteger(0, 'of them mapped'),
  rows: Type.Array(
    closed({
      row: safeInteger(1, 'row number in the source'),
      traffic: TrafficRowSchema,
      label: Type.Optional(LabelRowSchema),
    }),
  ),
  problems: Type.Array(
    closed({
      reason: Type.String(),
      count: safeInteger(1, 'rows with it'),
      /** The first rows with it, each with what is wrong in them. */
      examples: Type.Array(closed({ row: safeInteger(1, 'row number in the source'), detail: Type.String() })),
    }),
  ),
  columns: Type.Array(Type.String()),
});
export type Preview = Static<typeof PreviewSchema>;

/** The black box that makes worlds: the same identity, the same bytes. */
export abstract class DataEnginePort {
  /**
   * Starts to make the world unless it is made or being made, and says how far it is: ask again until the state is not
   * RUNNING. A process that died is simply asked again. FAILED says that the attempt ended and that another call starts
   * the next one. @throws ENGINE_MAPPING_INVALID, ENGINE_PARAMETERS_INVALID, ENGINE_SOURCE_NOT_FOUND, ENGINE_BUSY
   */
  abstract seal(request: Static<typeof SealRequest>, context: CallContext): Promise<SealStatus>;

  /** What an import would make of the whole file, without making it; asked again until DONE. */
  abstract preview(request: Static<typeof PreviewRequest>, context: CallContext): Promise<Preview>;
}

export const DATA_ENGINE_CONTRACT = defineContract('engine', {
  seal: {
    request: SealRequest,
    response: SealStatusSchema,
    idempotent: true,
    permission: 'rpc.call:engine',
    summary: 'Makes a world, or says how far it is',
  },
  preview: {
    request: PreviewRequest,
    response: PreviewSchema,
    idempotent: true,
    permission: 'rpc.call:engine',
    summary: 'What an import would make of a file',
  },
});
