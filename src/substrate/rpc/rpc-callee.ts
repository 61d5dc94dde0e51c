import { type Context, SpanKind } from '@opentelemetry/api';
import { isProbityError } from '../../rails/errors/probity-error.js';
import type { Clock } from '../clock/clock.port.js';
import { endOf, endsWith } from '../clock/deadline.js';
import type { Access, Principal } from '../identity/identity.port.js';
import { GoldenSignals } from '../telemetry/golden-signals.js';
import type { Telemetry } from '../telemetry/telemetry.port.js';
import { RpcCodec } from './rpc-codec.js';
import { portable } from './rpc-errors.js';
import type { CallContext, RpcContract } from './rpc.port.js';

/** What the owner's side of every binding needs of its application. */
export interface RpcCalleeParts {
  readonly access: Access;
  readonly clock: Clock;
  readonly telemetry: Telemetry;
}

/** A call as it arrives. The caller is who was authenticated, whatever the request says. */
export interface IncomingCall {
  readonly caller: Principal;
  readonly deadlineAtMs: number;
  /** A signal of `deadline`: it ends at the deadline, and when the caller gives up or goes away. */
  readonly signal: AbortSignal;
  readonly trace: Context;
  /** Told the context of the span in which the call is served: its trace is the one to name in an error. */
  readonly onSpan?: (trace: Context) => void;
}

/**
 * The owner's side of a port, the same behind every binding: permission, shape of the request, deadline, the work in a
 * span, shape of the answer, errors made fit to cross.
 */
export class RpcCallee {
  readonly #codec: RpcCodec;
  readonly #signals: GoldenSignals;

  /** @throws TypeError when the service lacks a method of the contract: a defect, found at the start of the program */
  constructor(
    contract: RpcContract,
    private readonly service: object,
    private readonly parts: RpcCalleeParts,
  ) {
    for (const name of Object.keys(contract.methods)) this.#methodOf(name, contract.role);
    this.#codec = new RpcCodec(contract);
    const { telemetry, clock } = parts;
    this.#signals = new GoldenSignals({ meter: telemetry.meter, clock, name: 'rpc.server', of: 'calls of our ports' });
  }

  /** @throws ProbityError, and nothing else */
  async call(name: string, request: unknown, incoming: IncomingCall): Promise<unknown> {
    const { role } = this.#codec;
    const { caller, deadlineAtMs, signal } = incoming;
    try {
      // Checked before anything is counted: names that callers make up must not become metric series.
      const { permission } = this.#codec.method(name);
      const attributes = { 'rpc.service': role, 'rpc.method': name };
      const options = { kind: SpanKind.SERVER, parent: incoming.trace, attributes };
      return await this.#signals.observe(attributes, () =>
        this.parts.telemetry.span(`${role}.${name}`, options, async (trace) => {
          incoming.onSpan?.(trace);
          try {
            this.parts.access.demand(caller, permission);
            this.#codec.demandRequest(name, request);
            const answer = await this.#work(name, request, { caller, deadlineAtMs, signal, trace });
            this.#codec.demandResponse(name, answer);
            return answer;
          } catch (error) {
            this.#report(name, error, trace);
            throw portable(error);
          }
        }),
      );
    } catch (error) {
      throw portable(error);
    }
  }

  async #work(name: string, request: unknown, context: CallContext): Promise<unknown> {
    const { signal } = context;
    try {
      if (signal.aborted) throw endOf(signal);
      const method = this.#methodOf(name, this.#codec.role);
      return await endsWith(signal, Promise.resolve(Reflect.apply(method, this.service, [request, context])));
    } catch (error) {
      // Work that heeds its signal may fail of it a moment earlier than we notice; what it threw then is a consequence.
      throw signal.aborted ? endOf(signal) : error;
    }
  }

  #methodOf(name: string, role: string): (...args: readonly unknown[]) => unknown {
    const method: unknown = Reflect.get(this.service, name);
    if (typeof method !== 'function') throw new TypeError(`rpc: the service of ${role} has no method ${name}`);
    // A function, as was just checked; what it takes and gives is checked by the codec.
    return method as (...args: readonly unknown[]) => unknown;
  }

  /** Errors that we do not know show their insides here, in the owner's log, and nowhere else. */
  #report(name: string, error: unknown, trace: Context): void {
    if (isProbityError(error) && error.code !== 'INTERNAL') return;
    this.parts.telemetry.logger.error('rpc_internal_error', { rpc: `${this.#codec.role}.${name}`, trace, error });
  }
}
