import { type Static, Type } from '@sinclair/typebox';
import { RunIdSchema, RunPinsSchema } from '../../rails/pins.js';
import { closed, safeInteger } from '../../rails/schema.js';
import { UtcMicrosSchema } from '../../rails/time.js';
import type { CallContext } from '../../substrate/rpc/rpc.port.js';
import { defineContract } from '../../substrate/rpc/rpc-contract.js';

/** As fast as accepted; a factor of domain time (60 plays an hour in a minute); 1 is real time. */
export const PaceSchema = Type.Union([
  closed({ mode: Type.Literal('as_fast_as_accepted') }),
  closed({ mode: Type.Literal('speed_up'), factor: Type.Number({ exclusiveMinimum: 0, maximum: 1_000_000 }) }),
]);
export type Pace = Static<typeof PaceSchema>;

export const StreamStateSchema = Type.Union(
  (['IDLE', 'VERIFYING', 'STREAMING', 'PAUSED', 'THROTTLED', 'DRAINING', 'COMPLETED', 'FAILED'] as const).map((state) =>
    Type.Literal(state),
  ),
);
export type StreamState = Static<typeof StreamStateSchema>;

export const StreamStatusSchema = closed({
  run_id: RunIdSchema,
  pins: RunPinsSchema,
  /** 1 for the first pass over the run's traffic, one more for each time that it was streamed again from the start. */
  pass: safeInteger(1, 'number of the pass'),
  state: StreamStateSchema,
  /** Why it is PAUSED, THROTTLED or FAILED: a code, and a sentence that names the file or the answer. */
  reason: Type.Optional(closed({ code: Type.String(), detail: Type.String() })),
  pace: PaceSchema,
  rows_total: safeInteger(0, 'rows of sealed traffic'),
  sent: safeInteger(0, 'rows with a terminal receipt'),
  admitted: safeInteger(0, 'of them'),
  duplicate: safeInteger(0, 'of them'),
  quarantined: safeInteger(0, 'of them'),
  in_flight: safeInteger(0, 'rows sent and not yet answered'),
  /** The order key of the last row with a terminal receipt: everything before it has one, too. */
  last: Type.Optional(
    closed({
      ts_utc: UtcMicrosSchema,
      output_id: Type.String(),
      row: safeInteger(0, 'row of the output'),
      key: Type.String(),
    }),
  ),
  /** Nothing with a later `ts_utc` has been sent. */
  sim_now_utc: Type.Optional(UtcMicrosSchema),
  /** First ids that were quarantined, for whoever wants to know why. */
  quarantined_examples: Type.Array(closed({ event_id: Type.String(), reason_codes: Type.Array(Type.String()) }), {
    maxItems: 20,
  }),
  started_at_utc: UtcMicrosSchema,
  changed_at_utc: UtcMicrosSchema,
});
export type StreamStatus = Static<typeof StreamStatusSchema>;

export const StreamStart = closed({
  run_id: RunIdSchema,
  pace: Type.Optional(PaceSchema),
  /** Begin a new pass from the window's start where the last one has ended; what was admitted before is a DUPLICATE now. */
  again: Type.Optional(Type.Boolean()),
});
export const StreamQuery = closed({ run_id: RunIdSchema });

/** Behaves like the outside world: pushes sealed traffic through the gate in domain-time order. */
export abstract class WorldStreamProducerPort {
  /**
   * Sees to it that the run is being streamed, resumes it where it is PAUSED, and says how far it is. Idempotent.
   * @throws WSP_RUN_NOT_READY, WSP_NOTHING_TO_STREAM, WSP_VIEW_MISMATCH
   */
  abstract start(request: Static<typeof StreamStart>, context: CallContext): Promise<StreamStatus>;
  /** @throws WSP_STREAM_NOT_FOUND */
  abstract pause(request: Static<typeof StreamQuery>, context: CallContext): Promise<StreamStatus>;
  /** @throws WSP_STREAM_NOT_FOUND */
  abstract status(request: Static<typeof StreamQuery>, context: CallContext): Promise<StreamStatus>;
}

export const WORLD_STREAM_PRODUCER_CONTRACT = defineContract('wsp', {
  start: {
    request: StreamStart,
    response: StreamStatusSchema,
    // With `again` a repeated call could begin a second pass; it is counted once per call, so it is not repeated blindly.
    idempotent: false,
    permission: 'rpc.call:wsp',
    summary: 'Streams a run, or says how far it is',
  },
  pause: {
    request: StreamQuery,
    response: StreamStatusSchema,
    idempotent: true,
    permission: 'rpc.call:wsp',
    summary: 'Pauses a stream',
  },
  status: {
    request: StreamQuery,
    response: StreamStatusSchema,
    idempotent: true,
    permission: 'rpc.call:wsp',
    summary: 'How far a stream is',
  },
});
