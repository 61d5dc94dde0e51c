import { type Static, Type } from '@sinclair/typebox';
import { BasisSchema } from '../../rails/basis.js';
import { GraphContextSchema } from '../../rails/graph/context.schema.js';
import {
  type GraphPolicy,
  graphPolicyFaults,
  GraphPolicySchema,
  IDENTIFIER_TYPES,
} from '../../rails/graph/graph.schema.js';
import { RunPinsSchema } from '../../rails/pins.js';
import { closed, safeInteger, type Sealed } from '../../rails/schema.js';
import { UtcMicrosSchema } from '../../rails/time.js';
import type { PolicyKind } from '../../substrate/policy/policy.port.js';
import { EventPlaceSchema } from '../../substrate/projection/event-place.js';
import { rebuildMethods, RebuildPort } from '../../substrate/projection/generation.schema.js';
import type { CallContext } from '../../substrate/rpc/rpc.port.js';
import { defineContract } from '../../substrate/rpc/rpc-contract.js';

/** What an identifier is and how far a walk goes (law R12): serving and re-execution read the same. Whoever uses contexts may read it. */
export const GRAPH_POLICY: PolicyKind<typeof GraphPolicySchema> = {
  policy_id: 'ieg.graph',
  takesEffect: 'at_restart',
  schema: GraphPolicySchema,
  check: (body: GraphPolicy) => graphPolicyFaults(body),
};

export const CONTEXTS_MAX = 1_000;

export const ContextsRequest = closed({
  pins: RunPinsSchema,
  triggers: Type.Array(EventPlaceSchema, { minItems: 1, maxItems: CONTEXTS_MAX }),
  /** How long to wait at the most until everything before the triggers has been applied. */
  wait_ms: Type.Integer({ minimum: 0, maximum: 30_000 }),
});

export const ContextResultSchema = Type.Union([
  closed({ status: Type.Literal('SERVED'), context: GraphContextSchema }),
  /** What stands before the trigger on its own partition was not applied within the wait. */
  closed({ status: Type.Literal('LAGGING'), detail: Type.String({ maxLength: 300 }) }),
  /** No answer would be right: the trigger comes later than the policy keeps events for. */
  closed({ status: Type.Literal('UNAVAILABLE'), detail: Type.String({ maxLength: 300 }) }),
]);
export type ContextResult = Sealed<typeof ContextResultSchema>;

/** One result per trigger, in their order; all that are served are of one graph version. */
export const ContextsResponse = closed({ results: Type.Array(ContextResultSchema) });

export const NEIGHBOURS_MAX = 500;

const IdentifierSchema = closed({
  type: Type.Union(IDENTIFIER_TYPES.map((type) => Type.Literal(type))),
  id: Type.String({ minLength: 1, maxLength: 256 }),
});
export const NeighboursRequest = closed({
  pins: RunPinsSchema,
  identifiers: Type.Array(IdentifierSchema, { minItems: 1, maxItems: 32 }),
  /** Of each; those that were seen together most often come first. */
  limit: Type.Integer({ minimum: 1, maximum: NEIGHBOURS_MAX }),
});
/** One result per identifier, in their order, by what is known by now; an identifier that no event names has none. */
export const NeighboursResponse = closed({
  results: Type.Array(
    closed({
      neighbours: Type.Array(
        closed({
          ...IdentifierSchema.properties,
          events: safeInteger(1, 'that name both'),
          last_seen: UtcMicrosSchema,
        }),
      ),
      /** Whether there are more than the limit let through. */
      more: Type.Boolean(),
    }),
  ),
  graph_version: BasisSchema,
  integrity: Type.Union([Type.Literal('CLEAN'), Type.Literal('DEGRADED')]),
});

export abstract class EntityGraphPort extends RebuildPort {
  /** @throws RPC_ codes when it cannot be reached or the deadline ends first */
  abstract contexts(
    request: Static<typeof ContextsRequest>,
    context: CallContext,
  ): Promise<Static<typeof ContextsResponse>>;
  /** For people who look around; decisions ask for contexts. @throws IEG_SCOPE_UNKNOWN, and RPC_ codes when it cannot be reached */
  abstract neighbours(
    request: Static<typeof NeighboursRequest>,
    context: CallContext,
  ): Promise<Static<typeof NeighboursResponse>>;
}

export const ENTITY_GRAPH_CONTRACT = defineContract('ieg', {
  ...rebuildMethods('rpc.call:ieg'),
  contexts: {
    request: ContextsRequest,
    response: ContextsResponse,
    idempotent: true,
    permission: 'rpc.call:ieg',
    summary: 'What hung together with these events, at one version of the graph',
  },
  neighbours: {
    request: NeighboursRequest,
    response: NeighboursResponse,
    idempotent: true,
    permission: 'rpc.call:ieg',
    summary: 'Identifiers of the same events as these, by now',
  },
});
