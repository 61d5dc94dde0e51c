import { Type } from '@sinclair/typebox';
import { ActorSchema } from '../../rails/actor.js';
import { type JsonObject } from '../../rails/canonical-json.js';
import { DigestSchema } from '../../rails/digest.js';
import { RunPinsSchema } from '../../rails/pins.js';
import { RefSchema } from '../../rails/ref.js';
import { closed, safeInteger, type Sealed } from '../../rails/schema.js';
import { UtcMicrosSchema } from '../../rails/time.js';
import { validatorOf } from '../../rails/validator.js';
import {
  RunFactsViewSchema,
  RunPlanSchema,
  RunReadySchema,
  RunReasonSchema,
  RunRequestSchema,
} from './scenario-runner.port.js';

/** `request.json`: what was asked for, by whom and when. The first request under a key stands. */
export const RunIntentSchema = closed({
  pins: RunPinsSchema,
  kind: Type.Union([Type.Literal('import'), Type.Literal('generate'), Type.Literal('live')]),
  request: RunRequestSchema,
  /** Digest of the request alone: the same intent at another time or by another person is the same intent. */
  intent_fingerprint: DigestSchema,
  requested_at_utc: UtcMicrosSchema,
  requested_by: ActorSchema,
});
export type RunIntent = Sealed<typeof RunIntentSchema>;

/** `failed.json`: how a run ended that did not become READY. */
export const RunFailureSchema = closed({
  pins: RunPinsSchema,
  state: Type.Union([Type.Literal('FAILED'), Type.Literal('QUARANTINED')]),
  reasons: Type.Array(RunReasonSchema, { minItems: 1 }),
  detail: Type.String({ maxLength: 2_000 }),
  plan: Type.Optional(RefSchema),
});
export type RunFailure = Sealed<typeof RunFailureSchema>;

export const RUN_EVENTS = [
  'RUN_ACCEPTED',
  'DUPLICATE_REQUEST_OBSERVED',
  'EQUIV_KEY_COLLISION_REFUSED',
  'LEASE_ACQUIRED',
  'LEASE_BUSY',
  'LEASE_LOST',
  'POLICY_RESOLVED',
  'PLAN_COMMITTED',
  'WORLD_REUSED',
  'ENGINE_ATTEMPT_START',
  'ENGINE_ATTEMPT_FINISH',
  'EVIDENCE_COMPLETE',
  'EVIDENCE_WAITING',
  'EVIDENCE_FAIL',
  'EVIDENCE_CONFLICT',
  'FACTS_VIEW_COMMITTED',
  'READY_COMMITTED',
  'RUN_FAILED',
  'RUN_QUARANTINED',
  'READY_PUBLISHED',
  'READY_PUBLISH_FAILED',
  'SUPERSEDES',
  'SUPERSEDED_BY',
] as const;
export type RunEventName = (typeof RUN_EVENTS)[number];

export const RunEventSchema = closed({
  seq: safeInteger(1, 'place in the record of the run'),
  at_utc: UtcMicrosSchema,
  event: Type.Union(RUN_EVENTS.map((name) => Type.Literal(name))),
  data: Type.Unsafe<JsonObject>({ type: 'object' }),
});
export type RunEvent = Sealed<typeof RunEventSchema>;

/** `record.json`: what happened up to the run's end. What comes later (duplicates, supersession) stands in the database alone. */
export const RunRecordSchema = closed({ pins: RunPinsSchema, events: Type.Array(RunEventSchema) });
export type RunRecord = Sealed<typeof RunRecordSchema>;

export const intents = validatorOf(RunIntentSchema, 'the request of a run');
export const plans = validatorOf(RunPlanSchema, 'the plan of a run');
export const factsViews = validatorOf(RunFactsViewSchema, 'the facts view of a run');
export const readies = validatorOf(RunReadySchema, 'the ready.json of a run');
export const failures = validatorOf(RunFailureSchema, 'the failed.json of a run');
