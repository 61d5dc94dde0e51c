import { type Static, Type } from '@sinclair/typebox';
import { BasisSchema } from '../../rails/basis.js';
import { DigestSchema } from '../../rails/digest.js';
import { PolicyRevSchema } from '../../rails/policy-rev.js';
import { RefSchema } from '../../rails/ref.js';
import { closed, safeInteger } from '../../rails/schema.js';
import type { CallContext } from '../rpc/rpc.port.js';

/**
 * BUILDING: its log is being read. BUILT: all of it was. EQUAL, DIFFERENT: it was compared with the state that is served, at its basis. FAILED: it cannot be
 * made. LIVE: it is served. DISCARDED: what it held was let go.
 */
export const GENERATION_STATES = [
  ...(['BUILDING', 'BUILT', 'EQUAL', 'DIFFERENT', 'FAILED', 'LIVE', 'DISCARDED'] as const),
] as const;
export type GenerationState = (typeof GENERATION_STATES)[number];

/** What was read of the log, and what came of it. */
export const CountedSchema = closed({
  records: safeInteger(0, 'read'),
  events: safeInteger(0, 'kept'),
  labels: safeInteger(0, 'kept'),
  invalid: safeInteger(0, 'that nothing can use'),
});
export type Counted = Static<typeof CountedSchema>;

/** What a state holds of one run at a basis, behind the horizon; of null: records that belong to no run. */
export const HeldRunSchema = closed({
  run_id: Type.Union([Type.String(), Type.Null()]),
  pins_digest: Type.Union([DigestSchema, Type.Null()]),
  rows: safeInteger(0, 'events, each once per history that holds it; label facts; invalid records'),
  /** Over all of them, in any order. */
  digest: DigestSchema,
});
export type HeldRun = Static<typeof HeldRunSchema>;

export const ComparedSchema = closed({
  equal: Type.Boolean(),
  /** Of the new generation, in the order of their pins. */
  runs: Type.Array(HeldRunSchema),
  /** The first that differs: what is served, and what the log gives; null: nothing of this run. */
  differs: Type.Optional(
    closed({ live: Type.Union([HeldRunSchema, Type.Null()]), built: Type.Union([HeldRunSchema, Type.Null()]) }),
  ),
});
export type Compared = Static<typeof ComparedSchema>;

export const GenerationSchema = closed({
  generation: Type.Integer({ minimum: 2 }),
  op_id: Type.String({ minLength: 1, maxLength: 200 }),
  plan: RefSchema,
  /** What says what is kept of an event. */
  policy_rev: PolicyRevSchema,
  state: Type.Union(GENERATION_STATES.map((state) => Type.Literal(state))),
  counted: CountedSchema,
  compared: Type.Union([ComparedSchema, Type.Null()]),
  fault: Type.Union([closed({ code: Type.String(), says: Type.String() }), Type.Null()]),
});
export type Generation = Static<typeof GenerationSchema>;

export const LiveQuery = closed({});
export const LiveSchema = closed({
  /** 1 is the one that began with the schema. */
  generation: Type.Integer({ minimum: 1 }),
  /** How far it has got. */
  basis: BasisSchema,
  policy_rev: PolicyRevSchema,
});
export type Live = Static<typeof LiveSchema>;

export const RebuildOrder = closed({
  op_id: Type.String({ minLength: 1, maxLength: 200 }),
  /** An object that says what is read; under one op_id it is one. */
  plan: RefSchema,
  /** How far the generation is to be brought: made; compared with what is served; served itself, if both are equal. */
  to: Type.Union([Type.Literal('BUILT'), Type.Literal('COMPARED'), Type.Literal('LIVE')]),
});
export type RebuildOrder = Static<typeof RebuildOrder>;

/** What a unit offers whose state is derived from the log: another generation of it. */
export abstract class RebuildPort {
  abstract live(request: Readonly<Record<string, never>>, context: CallContext): Promise<Live>;
  /**
   * Begins or goes on, and says where it stands at once: ask again until it stands where it was to be brought, or DIFFERENT or FAILED.
   * @throws what may pass and ended the last attempt, REPLAY_BUSY
   */
  abstract rebuild(request: RebuildOrder, context: CallContext): Promise<Generation>;
}

/** The methods of that port, for a contract. */
export function rebuildMethods<const Permission extends string>(permission: Permission) {
  return {
    live: {
      request: LiveQuery,
      response: LiveSchema,
      idempotent: true,
      permission,
      summary: 'Which generation of the state is served, and how far it has got',
    },
    rebuild: {
      request: RebuildOrder,
      response: GenerationSchema,
      idempotent: true,
      permission,
      summary: 'Makes another generation of the state from the log, step by step',
    },
  } as const;
}
