import { type Context, SpanKind } from '@opentelemetry/api';
import type { ProbityError } from '../../rails/errors/probity-error.js';
import type { Clock } from '../clock/clock.port.js';
import { deadline, endOf, endsWith } from '../clock/deadline.js';
import { GoldenSignals } from '../telemetry/golden-signals.js';
import type { Telemetry } from '../telemetry/telemetry.port.js';
import type { PortOf } from './rpc-contract.js';
import { portable } from './rpc-errors.js';
import type { CallContext, RpcContract, RpcMethod, RpcPort } from './rpc.port.js';

/** What of a call's context travels. The caller does not: the transport knows as whom this process calls. */
export interface OutgoingCall {
  readonly deadlineAtMs: number;
  readonly signal: AbortSignal;
  readonly trace: Context;
}

/** One way from caller to owner: one attempt, one answer that has the declared shape, or one ProbityError. */
export interface RpcTransport {
  call(method: string, request: unknown, call: OutgoingCall): Promise<unknown>;
}

export interface RpcCallerParts {
  readonly clock: Clock;
  readonly telemetry: Telemetry;
  /** From 0 up to 1, for the jitter of retries. Random waits need no secret randomness. */
  readonly random?: () => number;
}

/**
 * Pauses between attempts: a random part of 25 ms, 50 ms, 100 ms … up to 1 s. The whole of each pause is random ("full
 * jitter"), so that callers which failed together do not come back together.
 */
const PAUSE_FIRST_MS = 25;
const PAUSE_MAX_MS = 1_000;

/**
 * The caller's side of a port over any transport: deadline, span, and repetition of what may be repeated.
 *
 * A call is repeated only when its method is idempotent and its error is of a retryable code, and only while a pause fits
 * before the deadline; then the last error is the answer. A method that is not idempotent is tried once, whatever comes.
 *
 * The context's caller is not forwarded: the owner sees as whom this process was authenticated, in process as over HTTP. A
 * unit that acts for an end user says so in the request, where the owner's contract has a place for it, or not at all.
 */
export function rpcClient<Contract extends RpcContract>(
  contract: Contract,
  transport: RpcTransport,
  parts: RpcCallerParts,
): PortOf<Contract> {
  const caller = new RpcCaller(contract.role, transport, parts);
  const methods: RpcPort = Object.fromEntries(
    Object.entries(contract.methods).map(([name, method]) => [
      name,
      (request: never, context: CallContext) => caller.call(name, method, request, context),
    ]),
  );
  // One function per method of the contract, and each answer has been checked against its schema by the transport.
  return methods as unknown as PortOf<Contract>;
}

class RpcCaller {
  readonly #signals: GoldenSignals;

  constructor(
    private readonly role: string,
    private readonly transport: RpcTransport,
    private readonly parts: RpcCallerParts,
  ) {
    const { telemetry, clock } = parts;
    const of = 'calls of the ports of other units';
    this.#signals = new GoldenSignals({ meter: telemetry.meter, clock, name: 'rpc.client', of });
  }

  async call(name: string, method: RpcMethod, request: unknown, context: CallContext): Promise<unknown> {
    const { clock, telemetry } = this.parts;
    const attributes = { 'rpc.service': this.role, 'rpc.method': name };
    const options = { kind: SpanKind.CLIENT, parent: context.trace, attributes };
    const { signal, dispose } = deadline(clock, context.deadlineAtMs, context.signal);
    try {
      return await this.#signals.observe(attributes, () =>
        telemetry.span(`${this.role}.${name}`, options, (trace) =>
          this.#attempts(name, method, request, { deadlineAtMs: context.deadlineAtMs, signal, trace }),
        ),
      );
    } finally {
      dispose();
    }
  }

  async #attempts(name: string, method: RpcMethod, request: unknown, call: OutgoingCall): Promise<unknown> {
    let last: ProbityError | undefined;
    for (let attempt = 0; ; attempt++) {
      try {
        if (call.signal.aborted) throw endOf(call.signal);
        return await endsWith(call.signal, this.transport.call(name, request, call));
      } catch (thrown) {
        // The transport notices an abort in its own words; ours say whether it was the deadline or the caller.
        const error = call.signal.aborted ? endOf(call.signal) : portable(thrown);
        const pauseMs = this.#pauseMs(attempt);
        const leftMs = call.deadlineAtMs - this.parts.clock.monotonicMs();
        // What went wrong before time ran out says more than that time ran out.
        if (error.code === 'RPC_DEADLINE_EXCEEDED') throw last ?? error;
        if (!method.idempotent || !error.retryable || pauseMs >= leftMs) throw error;
        last = error;
        await this.parts.clock.sleep(pauseMs, call.signal);
      }
    }
  }

  #pauseMs(attempt: number): number {
    const { random = Math.random } = this.parts;
    return random() * Math.min(PAUSE_MAX_MS, PAUSE_FIRST_MS * 2 ** attempt);
  }
}
