import { type Static, Type } from '@sinclair/typebox';
import type { JsonObject } from '../../rails/canonical-json.js';
import { RunPinsSchema } from '../../rails/pins.js';
import { closed, type Sealed } from '../../rails/schema.js';
import type { CallContext } from '../../substrate/rpc/rpc.port.js';
import { defineContract } from '../../substrate/rpc/rpc-contract.js';
import { EdgeResultSchema } from './edge.result.js';

export { edgeEventIdOf } from './event-id.core.js';

export const AdmitRequest = closed({
  /** Plain transactions; each is made an event of the live run that the caller's edge is bound to. */
  transactions: Type.Array(Type.Unsafe<JsonObject>({ type: 'object' }), { minItems: 1, maxItems: 500 }),
});

export const AdmitResponse = closed({
  /** The run that the edge is bound to. */
  pins: RunPinsSchema,
  results: Type.Array(EdgeResultSchema),
});
export type AdmitAnswer = Sealed<typeof AdmitResponse>;

/** The edge as other units use it: whoever calls is an edge of the policy `edge.producers` by its own name. */
export abstract class ProducerEdgesPort {
  /** One result per transaction, in their order. @throws EDGE_UNKNOWN, and what the gate's `submit` throws */
  abstract admit(request: Static<typeof AdmitRequest>, context: CallContext): Promise<Static<typeof AdmitResponse>>;
}

export const PRODUCER_EDGES_CONTRACT = defineContract('edge', {
  admit: {
    request: AdmitRequest,
    response: AdmitResponse,
    idempotent: true,
    permission: 'rpc.call:edge',
    summary: 'Submits plain transactions',
  },
});
