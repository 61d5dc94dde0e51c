import { type Static, Type } from '@sinclair/typebox';
import type { JsonObject } from '../../rails/canonical-json.js';
import { OffsetSchema, PartitionSchema } from '../../rails/eb-ref.js';
import { EventIdSchema, EventTypeSchema } from '../../rails/envelope.schema.js';
import { GraphContextSchema } from '../../rails/graph/context.schema.js';
import { RunPinsSchema } from '../../rails/pins.js';
import { closed, type Sealed } from '../../rails/schema.js';
import { UtcMicrosSchema } from '../../rails/time.js';
import type { CallContext } from '../../substrate/rpc/rpc.port.js';
import { defineContract } from '../../substrate/rpc/rpc-contract.js';

export const GRAPH_CONTEXTS_MAX = 1_000;

export const GraphTriggerSchema = closed({
  event_id: EventIdSchema,
  event_type: EventTypeSchema,
  ts_utc: UtcMicrosSchema,
  partition: PartitionSchema,
  offset: OffsetSchema,
  payload: Type.Unsafe<JsonObject>({ type: 'object' }),
});

export const GraphContextsRequest = closed({
  pins: RunPinsSchema,
  triggers: Type.Array(GraphTriggerSchema, { minItems: 1, maxItems: GRAPH_CONTEXTS_MAX }),
  /** How long to wait at the most until everything before the triggers on their own partitions has been applied. */
  wait_ms: Type.Integer({ minimum: 0, maximum: 30_000 }),
});

export const GraphContextResultSchema = Type.Union([
  closed({ status: Type.Literal('SERVED'), context: GraphContextSchema }),
  closed({ status: Type.Literal('LAGGING'), detail: Type.String({ maxLength: 300 }) }),
  closed({ status: Type.Literal('UNAVAILABLE'), detail: Type.String({ maxLength: 300 }) }),
]);
export type GraphContextResult = Sealed<typeof GraphContextResultSchema>;

/** One result per trigger, in their order; all that are served stand on one graph version. */
export const GraphContextsResponse = closed({ results: Type.Array(GraphContextResultSchema) });

/** The queries about single identifiers are HTTP alone; units ask for contexts. */
export abstract class EntityGraphPort {
  abstract contexts(
    request: Static<typeof GraphContextsRequest>,
    context: CallContext,
  ): Promise<Static<typeof GraphContextsResponse>>;
}

export const ENTITY_GRAPH_CONTRACT = defineContract('ieg', {
  contexts: {
    request: GraphContextsRequest,
    response: GraphContextsResponse,
    idempotent: true,
    permission: 'rpc.call:ieg',
    summary: 'What the graph says of these events, at one version',
  },
});
