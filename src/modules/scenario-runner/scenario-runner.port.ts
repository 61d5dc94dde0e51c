import { type Static, Type } from '@sinclair/typebox';
import { digestCanonical } from '../../rails/canonical-json.js';
import { DigestSchema } from '../../rails/digest.js';
import { EventTypeSchema, SchemaVersionSchema } from '../../rails/envelope.schema.js';
import { GateReceiptSchema } from '../../rails/gate.js';
import { defineRecipe } from '../../rails/identity-recipe.js';
import { type RunId, RunIdSchema, RunPinsSchema, ScenarioIdSchema } from '../../rails/pins.js';
import { PolicyRevSchema } from '../../rails/policy-rev.js';
import { type ObjectKey, objectKey, RefSchema } from '../../rails/ref.js';
import { closed, safeInteger, type Sealed } from '../../rails/schema.js';
import { UtcMicrosSchema } from '../../rails/time.js';
import type { CallContext } from '../../substrate/rpc/rpc.port.js';
import { defineContract } from '../../substrate/rpc/rpc-contract.js';
import { InvocationSchema, SealedOutputSchema, SealStatusSchema } from '../data-engine/data-engine.port.js';

export const EquivalenceKeySchema = Type.String({
  pattern: '^[A-Za-z0-9][A-Za-z0-9._:/-]{0,199}$',
  description: 'the same key always means the same run; another intent under it is refused',
});

export const TrafficTargetSchema = closed({
  event_type: EventTypeSchema,
  schema_version: SchemaVersionSchema,
  /** The sealed output that it is streamed from; a live run has none. */
  output_id: Type.Optional(Type.String({ pattern: '^[a-z][a-z0-9_]{0,63}$' })),
});

/** An open-ended run into which producers push: it declares what they may send instead of sealed outputs. */
export const LiveWorldSchema = closed({
  kind: Type.Literal('live'),
  scenario_id: ScenarioIdSchema,
  traffic: Type.Array(closed({ event_type: EventTypeSchema, schema_version: SchemaVersionSchema }), { minItems: 1 }),
});

export const RunRequestSchema = closed({
  run_equivalence_key: EquivalenceKeySchema,
  world: Type.Union([...InvocationSchema.anyOf, LiveWorldSchema]),
  /** AUTO takes a sealed world where there is one and makes it otherwise; FORCE_REUSE never makes one. */
  strategy: Type.Union([Type.Literal('AUTO'), Type.Literal('FORCE_INVOKE'), Type.Literal('FORCE_REUSE')]),
  /** Outputs that must be there; all that the world has unless given. */
  output_ids: Type.Optional(Type.Array(Type.String({ pattern: '^[a-z][a-z0-9_]{0,63}$' }), { uniqueItems: true })),
  supersedes: Type.Optional(closed({ run_id: RunIdSchema, reason: Type.String({ minLength: 1, maxLength: 500 }) })),
});
export type RunRequest = Sealed<typeof RunRequestSchema>;

export const RunStateSchema = Type.Union(
  (['OPEN', 'PLANNED', 'EXECUTING', 'VERIFYING', 'WAITING_EVIDENCE', 'READY', 'FAILED', 'QUARANTINED'] as const).map(
    (state) => Type.Literal(state),
  ),
);
export type RunState = Static<typeof RunStateSchema>;

export const RunReasonSchema = Type.Union(
  (
    [
      'EQUIV_KEY_COLLISION',
      'SCENARIO_BINDING_INVALID',
      'ENGINE_LAUNCH_FAILED',
      'ENGINE_TIMEOUT',
      'ENGINE_EXEC_FAIL',
      'GATE_FAIL',
      'EVIDENCE_MISSING_DEADLINE',
      'UNBINDABLE_OUTPUT',
      'EVIDENCE_CONFLICT',
      'PLAN_DRIFT',
      'FACTS_VIEW_DRIFT',
      'LEASE_LOST',
    ] as const
  ).map((reason) => Type.Literal(reason)),
);
export type RunReason = Static<typeof RunReasonSchema>;

const runIdRecipe = defineRecipe<{ run_equivalence_key: string }, 'RunId'>('sr.run', 1, { run_equivalence_key: true });

/** The run of an equivalence key: everybody who knows the key knows the run. */
export function runIdOf(equivalenceKey: string): RunId {
  return runIdRecipe.derive({ run_equivalence_key: equivalenceKey }).slice(0, 32) as RunId;
}

const readyIdRecipe = defineRecipe<{ run_id: string; facts_view_digest: string }, 'MessageId'>('sr.ready', 1, {
  run_id: true,
  facts_view_digest: true,
});

export function readyMessageId(runId: string, factsViewDigest: string): string {
  return readyIdRecipe.derive({ run_id: runId, facts_view_digest: factsViewDigest });
}

/** `sr/runs/<run_id>/…`. `request.json` makes a run known, `ready.json` makes it ready. */
export function runKey(runId: string, rest: string): ObjectKey {
  return objectKey(`sr/runs/${runId}/${rest}`);
}
export const requestKey = (runId: string): ObjectKey => runKey(runId, 'request.json');
export const readyKey = (runId: string): ObjectKey => runKey(runId, 'ready.json');

/** What is fixed before anything is made; its digest is the plan's hash. */
export const RunPlanSchema = closed({
  run_id: RunIdSchema,
  pins: RunPinsSchema,
  kind: Type.Union([Type.Literal('import'), Type.Literal('generate'), Type.Literal('live')]),
  outputs: Type.Array(Type.String(), { description: 'empty: all that the world has' }),
  required_gates: Type.Array(Type.String()),
  attempts_max: safeInteger(1, 'attempts at making the world'),
  evidence_deadline_ms: safeInteger(1, 'how long evidence may be missing after an attempt'),
  policy_rev: PolicyRevSchema,
});
export type RunPlan = Sealed<typeof RunPlanSchema>;

/** The join surface of a run: everything downstream starts from here, and nobody scans the store. */
export const RunFactsViewSchema = closed(
  {
    pins: RunPinsSchema,
    kind: Type.Union([Type.Literal('import'), Type.Literal('generate'), Type.Literal('live')]),
    /** Sealed outputs of the run, each with its index and its gate receipt by ref; none for a live run. */
    outputs: Type.Array(SealedOutputSchema),
    gate_receipts: Type.Array(GateReceiptSchema),
    /** What may enter as traffic of this run, and nothing else. */
    traffic: Type.Array(TrafficTargetSchema),
    window: Type.Optional(closed({ first_ts_utc: UtcMicrosSchema, last_ts_utc: UtcMicrosSchema })),
    counts: Type.Optional(
      closed({
        rows_read: safeInteger(0, 'rows of the source'),
        rows_sealed: safeInteger(0, 'rows of traffic'),
        rows_rejected: safeInteger(0, 'rows that could not be mapped'),
      }),
    ),
    seal: Type.Optional(RefSchema),
    plan: RefSchema,
    policy_rev: PolicyRevSchema,
    supersedes: Type.Optional(closed({ run_id: RunIdSchema, reason: Type.String() })),
  },
  {
    description:
      'What a run stands on: its pins, its sealed outputs with their receipts, and what is declared as traffic.',
  },
);
export type RunFactsView = Sealed<typeof RunFactsViewSchema>;

/** `ready.json`: nothing leaves READY, so that whoever has read it once need not read it again. */
export const RunReadySchema = closed({ pins: RunPinsSchema, facts_view: RefSchema, message_id: DigestSchema });
export type RunReady = Sealed<typeof RunReadySchema>;

export const RunStatusSchema = closed({
  run_id: RunIdSchema,
  run_equivalence_key: EquivalenceKeySchema,
  pins: RunPinsSchema,
  kind: Type.Union([Type.Literal('import'), Type.Literal('generate'), Type.Literal('live')]),
  state: RunStateSchema,
  reasons: Type.Array(RunReasonSchema),
  detail: Type.Optional(Type.String({ maxLength: 2_000 })),
  attempts: safeInteger(0, 'attempts at making the world'),
  requested_at_utc: UtcMicrosSchema,
  changed_at_utc: UtcMicrosSchema,
  plan: Type.Optional(RefSchema),
  facts_view: Type.Optional(RefSchema),
  message_id: Type.Optional(DigestSchema),
  /** How far the engine is, while the state is EXECUTING. */
  engine: Type.Optional(SealStatusSchema),
  supersedes: Type.Optional(RunIdSchema),
  superseded_by: Type.Optional(RunIdSchema),
});
export type RunStatus = Static<typeof RunStatusSchema>;

export const RunQuery = closed({ run_id: RunIdSchema });
export const RunsQuery = closed({
  limit: Type.Integer({ minimum: 1, maximum: 200 }),
  /** Of the page before, to go on after it. */
  cursor: Type.Optional(Type.String({ maxLength: 200 })),
  state: Type.Optional(RunStateSchema),
});
export const RunsPage = closed({ runs: Type.Array(RunStatusSchema), next_cursor: Type.Optional(Type.String()) });

/** Decides that a pinned world may be used. */
export abstract class ScenarioRunnerPort {
  /**
   * Accepts a run, once per equivalence key, and begins to advance it; the same request again gives the run's status.
   * @throws SR_EQUIV_KEY_COLLISION, SR_SCENARIO_BINDING_INVALID
   */
  abstract request(request: Static<typeof RunRequestSchema>, context: CallContext): Promise<RunStatus>;
  /** @throws SR_RUN_NOT_FOUND */
  abstract run(request: Static<typeof RunQuery>, context: CallContext): Promise<RunStatus>;
  /** Youngest first. */
  abstract runs(request: Static<typeof RunsQuery>, context: CallContext): Promise<Static<typeof RunsPage>>;
}

export const SCENARIO_RUNNER_CONTRACT = defineContract('sr', {
  request: {
    request: RunRequestSchema,
    response: RunStatusSchema,
    idempotent: true,
    permission: 'rpc.call:sr',
    summary: 'Requests a run, once per equivalence key',
  },
  run: {
    request: RunQuery,
    response: RunStatusSchema,
    idempotent: true,
    permission: 'rpc.call:sr',
    summary: 'Status of a run',
  },
  runs: {
    request: RunsQuery,
    response: RunsPage,
    idempotent: true,
    permission: 'rpc.call:sr',
    summary: 'The runs, youngest first',
  },
});

/** The fingerprint of a live run's world: the digest of what it declares. */
export function liveParameters(world: Sealed<typeof LiveWorldSchema>): string {
  return digestCanonical({ kind: 'live', traffic: world.traffic });
}
