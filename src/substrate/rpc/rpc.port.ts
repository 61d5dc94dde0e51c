import type { Context } from '@opentelemetry/api';
import type { TSchema } from '@sinclair/typebox';
import type { Permission, Principal } from '../identity/identity.port.js';

/**
 * What accompanies every call of a port, in process and over HTTP alike: who calls, until when an answer is of use, and
 * which trace it belongs to. It is an argument, not ambient state, so that a call cannot lose it.
 */
export interface CallContext {
  readonly caller: Principal;
  /** On the callee's own monotonic clock (Clock.monotonicMs); over HTTP the time that is left travels. */
  readonly deadlineAtMs: number;
  /** Aborts at the deadline and when the caller gives up. */
  readonly signal: AbortSignal;
  readonly trace: Context;
}

/** One method of a port: the shapes of request and answer (one source for types, validators and OpenAPI). */
export interface RpcMethod {
  readonly request: TSchema;
  readonly response: TSchema;
  /** True when a call may be repeated by the client without asking: reads, and writes that are once by identity. */
  readonly idempotent: boolean;
  readonly permission: Permission;
  readonly summary: string;
}

/**
 * The wire form of a port. The abstract class beside it is the Nest token and the type; each of its methods named here is
 * `(request, context) => Promise<response>`.
 */
export interface RpcContract {
  /** The owner's role: part of the path, `/rpc/<role>/<method>`. */
  readonly role: string;
  readonly methods: Readonly<Record<string, RpcMethod>>;
}

/** An object that offers the contract's methods: the owner's service, or a client that stands for it. */
export type RpcPort = Readonly<Record<string, (request: never, context: CallContext) => Promise<unknown>>>;
