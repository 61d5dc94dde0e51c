import { type Static, Type } from '@sinclair/typebox';
import { PostureSchema } from '../../rails/events/posture.schema.js';
import { closed } from '../../rails/schema.js';
import type { CallContext } from '../../substrate/rpc/rpc.port.js';
import { defineContract } from '../../substrate/rpc/rpc-contract.js';

/** The one scope until there are others. */
export const GLOBAL_SCOPE = 'GLOBAL';

export const PostureRequest = closed({ scope_key: Type.String({ maxLength: 200 }) });
/** null: none was ever decided, which is FAIL_CLOSED to whoever asks. */
export const PostureResponse = closed({ posture: Type.Union([PostureSchema, Type.Null()]) });

export abstract class DegradeLadderPort {
  /** The posture as it was last decided. Whether it is fresh enough is for the reader to judge, by wall clock. */
  abstract posture(
    request: Static<typeof PostureRequest>,
    context: CallContext,
  ): Promise<Static<typeof PostureResponse>>;
}

export const DEGRADE_LADDER_CONTRACT = defineContract('dl', {
  posture: {
    request: PostureRequest,
    response: PostureResponse,
    idempotent: true,
    permission: 'rpc.call:dl',
    summary: 'How much decisions may lean on now',
  },
});
