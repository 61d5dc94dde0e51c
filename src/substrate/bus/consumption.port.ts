import { Type } from '@sinclair/typebox';
import { OffsetSchema, PartitionSchema, TopicNameSchema } from '../../rails/eb-ref.js';
import { closed, type Sealed } from '../../rails/schema.js';
import { defineContract, type PortOf, type TypedContract } from '../rpc/rpc-contract.js';
import type { RpcMethod } from '../rpc/rpc.port.js';

/** How far one unit has got on one partition. */
const ReachedPlaceSchema = closed({
  topic: TopicNameSchema,
  partition: PartitionSchema,
  /** The first offset that may be work for it; null: nothing is noted of the partition, and it would begin at the end. */
  next_offset: Type.Union([OffsetSchema, Type.Null()]),
  /** What it has noted: its next start reads from there, and stands still where that is gone. null: nothing; it begins at the oldest record, or at the end. */
  restart_offset: Type.Union([OffsetSchema, Type.Null()]),
});

const HeldPlaceSchema = closed({
  topic: TopicNameSchema,
  partition: PartitionSchema,
  offset: OffsetSchema,
  why: Type.String({ minLength: 1, maxLength: 200 }),
});

export const ConsumptionAnswerSchema = closed({
  positions: Type.Array(ReachedPlaceSchema),
  holds: Type.Array(HeldPlaceSchema),
});
export type ConsumptionAnswer = Sealed<typeof ConsumptionAnswerSchema>;

const METHODS = {
  positions: {
    request: closed({}),
    response: ConsumptionAnswerSchema,
    idempotent: true,
    permission: 'rpc.call:consumption',
    summary: 'How far this unit has got on the log, and what its work under way still reads of it',
  },
} as const satisfies Readonly<Record<string, RpcMethod>>;

/** Served by every role that reads the log, beside its own port: `POST /rpc/<role>-consumption/positions`. */
export function consumptionContract(role: string): TypedContract<typeof METHODS> {
  return defineContract(`${role}-consumption`, METHODS);
}
export type ConsumptionPort = PortOf<TypedContract<typeof METHODS>>;

/** One role that reads the log, asked just now. */
export interface Reader {
  readonly role: string;
  /** Empty for a role that consumes nothing and reads the log for its work alone. */
  readonly topics: readonly string[];
  /** null: it could not be reached, or refused. What it needs is then unknown, never nothing. */
  readonly answer: ConsumptionAnswer | null;
  /** Why there is no answer; the code first. */
  readonly fault?: string;
}

/** What everybody who reads the log still needs of it, wherever they run. */
export abstract class Consumption {
  /** Asks all of them at once, each within a bound. One answer per role, in the order of their names. */
  abstract readers(signal: AbortSignal): Promise<readonly Reader[]>;
}
