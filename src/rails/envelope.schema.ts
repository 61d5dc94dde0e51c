import { Type } from '@sinclair/typebox';
import { type Brand } from './brand.js';
import { type JsonObject } from './canonical-json.js';
import {
  ManifestFingerprintSchema,
  NO_WORLD,
  ParameterHashSchema,
  RunIdSchema,
  ScenarioIdSchema,
  SeedSchema,
} from './pins.js';
import { brandedText, closed, type Sealed } from './schema.js';
import { UtcMicrosSchema } from './time.js';

/** Unique among the events of one world and run (pins), given by whoever makes the event. */
export type EventId = Brand<string, 'EventId'>;
/** `transaction`, `df.decision`: chooses the payload's schema, together with the schema version. */
export type EventType = Brand<string, 'EventType'>;
export type SchemaVersion = Brand<string, 'SchemaVersion'>;
/** The name under which the source is known to admission; that it is the caller's own is for admission to check. */
export type ProducerName = Brand<string, 'ProducerName'>;
/** W3C trace context: 32 hex digits, not all zero. */
export type TraceId = Brand<string, 'TraceId'>;
/** W3C trace context: 16 hex digits, not all zero. */
export type SpanId = Brand<string, 'SpanId'>;

export const EventIdSchema = brandedText<EventId>({
  pattern: '^[A-Za-z0-9][A-Za-z0-9._:~-]{0,127}$',
  description: 'unique among the events of one world and run; given by the producer and never changed on a retry',
});
export const EventTypeSchema = brandedText<EventType>({
  pattern: '^[a-z][a-z0-9_]*([.][a-z0-9][a-z0-9_]*)*$',
  maxLength: 128,
  description: "chooses the payload's schema",
});
export const SchemaVersionSchema = brandedText<SchemaVersion>({
  // One spelling, so that "1", "1.0" and "v1" are not three names of one schema.
  pattern: '^v[1-9][0-9]{0,4}$',
  description: "version of the payload's schema: v1, v2 …",
});

export const ProducerNameSchema = brandedText<ProducerName>({
  pattern: '^[a-z][a-z0-9._-]{0,99}$',
  description: 'who made the event',
});

/**
 * The one envelope of every event on every topic (law R2). The type, the compiled validator (envelope.ts) and
 * contracts/envelope.schema.json all come from here.
 *
 * The top level is closed: what an event says stands under `payload`, so that a member added by one producer can never
 * take on a meaning for another. `ts_utc` is domain time and is never filled in: an event without it is not an event.
 */
export const EnvelopeSchema = closed(
  {
    event_id: EventIdSchema,
    event_type: EventTypeSchema,
    ts_utc: UtcMicrosSchema,
    manifest_fingerprint: ManifestFingerprintSchema,
    parameter_hash: Type.Optional(ParameterHashSchema),
    seed: Type.Optional(SeedSchema),
    scenario_id: Type.Optional(ScenarioIdSchema),
    run_id: Type.Optional(RunIdSchema),
    trace_id: Type.Optional(
      brandedText<TraceId>({
        pattern: '^[0-9a-f]{32}$',
        not: { const: '0'.repeat(32) },
        description: 'W3C trace id',
      }),
    ),
    span_id: Type.Optional(
      brandedText<SpanId>({ pattern: '^[0-9a-f]{16}$', not: { const: '0'.repeat(16) }, description: 'W3C parent id' }),
    ),
    schema_version: Type.Optional(SchemaVersionSchema),
    producer: Type.Optional(ProducerNameSchema),
    parent_event_id: Type.Optional(EventIdSchema),
    payload: Type.Optional(
      Type.Unsafe<JsonObject>({ type: 'object', description: 'the body, under the schema of type and version' }),
    ),
  },
  {
    description: 'The one envelope of every event on every topic.',
    // A fact that says it belongs to no world cannot name a run of one.
    if: {
      required: ['manifest_fingerprint'],
      properties: { manifest_fingerprint: { const: NO_WORLD.manifest_fingerprint } },
    },
    then: { properties: { parameter_hash: false, seed: false, scenario_id: false, run_id: false } },
  },
);

export type Envelope = Sealed<typeof EnvelopeSchema>;
