import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { type Context, ROOT_CONTEXT, trace, TraceFlags } from '@opentelemetry/api';
import fc from 'fast-check';
import type { ActorId } from '../../src/rails/actor.js';
import { ProbityError } from '../../src/rails/errors/probity-error.js';
import { SystemClock } from '../../src/substrate/clock/system.clock.js';
import type { AccessPolicy } from '../../src/substrate/identity/access-policy.schema.js';
import type { Principal } from '../../src/substrate/identity/identity.port.js';
import type { CallContext } from '../../src/substrate/rpc/rpc.port.js';
import { eventually } from '../support/eventually.js';
import { EchoService, type NewerEchoPort } from '../support/rpc-echo.js';
import { type RecordedTelemetry, recordedTelemetry } from '../support/telemetry.js';

/** As whom the binding under test calls, and what that caller may do. */
export const SERVICE: Principal = {
  actor: { actor_id: 'SYSTEM::teller' as ActorId, source_type: 'SYSTEM', auth_mode: 'API_KEY' },
  keyId: 'teller-1',
  roles: ['caller'],
};

export const RPC_POLICY: Pick<AccessPolicy, 'roles'> = {
  roles: { caller: ['rpc.call:echo'], admin: ['*'], nobody: [] },
};

export interface RpcBindingParts {
  readonly service: EchoService;
  readonly clock: SystemClock;
  readonly caller: RecordedTelemetry;
  readonly owner: RecordedTelemetry;
}

export interface RpcBinding {
  readonly port: NewerEchoPort;
  close(): Promise<void>;
}

/** One port, three ways to reach its owner, one meaning. */
export function rpcContract(name: string, open: (parts: RpcBindingParts) => Promise<RpcBinding>): void {
  describe(`rpc contract: ${name}`, () => {
    const clock = new SystemClock();
    const caller = recordedTelemetry('teller', { clock });
    const owner = recordedTelemetry('ledger', { clock });
    let service: EchoService;
    let binding: RpcBinding;
    let port: NewerEchoPort;

    beforeAll(async () => {
      const inject = (context: CallContext) => {
        const headers: Record<string, string> = {};
        owner.telemetry.inject(context.trace, headers);
        return headers['traceparent'] ?? '';
      };
      service = new EchoService(inject, () => clock.monotonicMs());
      binding = await open({ service, clock, caller, owner });
      ({ port } = binding);
    });
    afterAll(() => binding.close());
    beforeEach(() => {
      service.attempts = 0;
      service.failuresLeft = 0;
      service.aborts.length = 0;
      service.started.length = 0;
    });

    const context = (change: Partial<CallContext> & { readonly deadlineMs?: number } = {}): CallContext => {
      const { deadlineMs = 10_000, ...rest } = change;
      return {
        caller: SERVICE,
        deadlineAtMs: clock.monotonicMs() + deadlineMs,
        signal: new AbortController().signal,
        trace: ROOT_CONTEXT,
        ...rest,
      };
    };
    const failure = async (work: Promise<unknown>): Promise<ProbityError> => {
      const error: unknown = await work.then(
        () => new Error('the call succeeded'),
        (thrown: unknown) => thrown,
      );
      expect(error).toBeInstanceOf(ProbityError);
      return error as ProbityError;
    };

    describe('values', () => {
      it.each([
        ['nothing', {}],
        ['empty things', { text: '', list: [], object: {}, nothing: null, no: false, zero: 0 }],
        [
          'the largest and smallest numbers',
          { a: Number.MAX_SAFE_INTEGER, b: -Number.MAX_SAFE_INTEGER, c: 1.7976931348623157e308, d: 5e-324, e: 0.1 },
        ],
        ['text beyond ASCII', { text: 'Ünïcödé – 漢字 – 🏦 – \u0000 – \u2028 – \ud800', ключ: '‮' }],
        ['a batch', { list: Array.from({ length: 500 }, (_, n) => ({ n, text: 'x'.repeat(200) })) }],
      ])('gives back %s as it was', async (_, value) => {
        expect(await port.echo(value, context())).toEqual(value);
      });

      it('gives back any JSON as it was', async () => {
        const json = fc.dictionary(
          fc.string().filter((key) => key !== '__proto__'),
          fc.jsonValue({ stringUnit: 'binary' }).filter(isExactJson),
          {
            noNullPrototype: true,
          },
        );
        await fc.assert(
          fc.asyncProperty(json, async (value) => {
            expect(await port.echo(value, context())).toEqual(value);
          }),
          { numRuns: 50 },
        );
      });
    });

    describe('shapes', () => {
      it('refuses a request of another shape, and says where', async () => {
        const error = await failure(port.traceOf({ text: 5 } as never, context()));
        expect(error).toMatchObject({ code: 'RPC_REQUEST_INVALID', retryable: false, data: { at: '/text' } });
        expect(error.detail).toContain('echo.traceOf at /text');
      });

      it('refuses a member that nobody declared', async () => {
        const error = await failure(port.traceOf({ text: 'a', more: 1 } as never, context()));
        expect(error).toMatchObject({ code: 'RPC_REQUEST_INVALID' });
        expect(error.detail).toContain('more');
      });

      it('refuses a request that has no JSON form', async () => {
        const circle: Record<string, unknown> = {};
        circle['self'] = circle;
        for (const request of [undefined, 5n]) {
          expect(await failure(port.whoAmI(request as never, context()))).toMatchObject({
            code: 'RPC_REQUEST_INVALID',
          });
        }
      });

      it('never hands out an answer of another shape', async () => {
        const error = await failure(port.lie({}, context({ deadlineMs: 2_000 })));
        expect(error).toMatchObject({ code: 'RPC_RESPONSE_INVALID', retryable: false, data: { at: '/text' } });
      });

      it('says so when the owner lacks the method', async () => {
        expect(await failure(port.shout({ text: 'hey' }, context()))).toMatchObject({
          code: 'RPC_METHOD_UNKNOWN',
          retryable: false,
        });
      });
    });

    describe('deadlines', () => {
      it('tells the caller promptly, and the owner stops', async () => {
        const startedMs = clock.monotonicMs();
        const error = await failure(port.hang({ text: 'deadline' }, context({ deadlineMs: 100 })));
        const tookMs = clock.monotonicMs() - startedMs;
        expect(error).toMatchObject({ code: 'RPC_DEADLINE_EXCEEDED', retryable: true });
        expect(tookMs).toBeGreaterThanOrEqual(99);
        expect(tookMs).toBeLessThan(1_000);
        await eventually(() => service.aborts.length);
        expect(service.aborts).toHaveLength(1);
      });

      it('tells the caller promptly when the owner heeds nothing', async () => {
        const startedMs = clock.monotonicMs();
        const error = await failure(port.deaf({}, context({ deadlineMs: 60 })));
        expect(error.code).toBe('RPC_DEADLINE_EXCEEDED');
        expect(clock.monotonicMs() - startedMs).toBeLessThan(1_000);
      });

      it('does not begin work whose deadline has passed', async () => {
        const error = await failure(port.hang({ text: 'late' }, context({ deadlineMs: -1 })));
        expect(error.code).toBe('RPC_DEADLINE_EXCEEDED');
        expect(service.started).toEqual([]);
      });

      it('lets the owner see how long it may take', async () => {
        const { ms } = await port.timeLeft({}, context({ deadlineMs: 5_000 }));
        expect(ms).toBeLessThanOrEqual(5_000);
        expect(ms).toBeGreaterThan(3_000);
      });

      it('stops the owner when the caller gives up', async () => {
        const controller = new AbortController();
        const call = failure(port.hang({ text: 'given up' }, context({ signal: controller.signal })));
        await eventually(() => service.started.length);
        controller.abort();
        expect((await call).code).toBe('RPC_CANCELLED');
        await eventually(() => service.aborts.length);
        expect(service.aborts).toMatchObject([{ text: 'given up', code: 'RPC_CANCELLED' }]);
      });
    });

    describe('errors', () => {
      it('carries code, detail and data, and leaves the cause behind', async () => {
        const error = await failure(port.refuse({ text: 'the lock is held' }, context()));
        expect(error).toMatchObject({
          code: 'DATABASE_TIMEOUT',
          detail: 'the lock is held',
          retryable: true,
          status: 503,
          data: { attempt: 3, table: 'vault', open: false, holder: null },
        });
        expect(error.cause).toBeUndefined();
      });

      it('turns an error that it does not know into INTERNAL without its message', async () => {
        const insides = 'duplicate key (account)=(4711) in /srv/insides.ts';
        const error = await failure(port.crash({ text: insides }, context()));
        expect(error).toMatchObject({ code: 'INTERNAL', retryable: false, data: {} });
        expect(JSON.stringify([error.message, error.stack, error.cause])).not.toContain('4711');
        // The owner's own log has it, and the trace to find it by.
        const line = owner.lines().find(({ event }) => event === 'rpc_internal_error');
        expect(JSON.stringify(line)).toContain('4711');
        expect(line).toMatchObject({ rpc: 'echo.crash', trace_id: expect.stringMatching(/^[0-9a-f]{32}$/) });
      });
    });

    describe('identity', () => {
      it('lets the owner see as whom this process was authenticated', async () => {
        expect(await port.whoAmI({}, context())).toEqual({
          actor_id: 'SYSTEM::teller',
          key_id: 'teller-1',
          roles: ['caller'],
        });
      });

      it('does not forward another caller, not even a mightier one', async () => {
        const actor = { actor_id: 'HUMAN::root' as ActorId, source_type: 'HUMAN', auth_mode: 'OIDC' } as const;
        const forged: Principal = { actor, keyId: 'root', roles: ['admin'] };
        expect(await port.whoAmI({}, context({ caller: forged }))).toMatchObject({ actor_id: 'SYSTEM::teller' });
        expect(await failure(port.secret({}, context({ caller: forged })))).toMatchObject({ code: 'AUTHZ_DENIED' });
      });

      it('refuses a method for which the caller has no role, and names the permission', async () => {
        const error = await failure(port.secret({}, context()));
        expect(error).toMatchObject({ code: 'AUTHZ_DENIED', retryable: false, data: { permission: 'vault.open' } });
      });
    });

    describe('trace', () => {
      const traceFrom = (traceId: string): Context =>
        trace.setSpanContext(ROOT_CONTEXT, { traceId, spanId: 'b7ad6b7169203331', traceFlags: TraceFlags.SAMPLED });

      it('goes on in the owner, below the span of the call', async () => {
        const traceId = '0af7651916cd43dd8448eb211c80319c';
        const { traceparent } = await port.traceOf({ text: 'x' }, context({ trace: traceFrom(traceId) }));
        expect(traceparent.split('-')[1]).toBe(traceId);

        const spanOf = (telemetry: RecordedTelemetry) =>
          eventually(() => telemetry.spans().find((span) => span.spanContext().traceId === traceId));
        const called = await spanOf(caller);
        const served = await spanOf(owner);
        expect(called?.parentSpanContext?.spanId).toBe('b7ad6b7169203331');
        expect(served?.parentSpanContext?.spanId).toBe(called?.spanContext().spanId);
        expect(traceparent.split('-')[2]).toBe(served?.spanContext().spanId);
        expect([called?.name, served?.name]).toEqual(['echo.traceOf', 'echo.traceOf']);
      });

      it('does not mix the contexts of calls at the same time', async () => {
        const calls = Array.from({ length: 50 }, (_, n) => {
          const traceId = n.toString(16).padStart(32, 'a');
          return port
            .traceOf({ text: `call ${n}` }, context({ trace: traceFrom(traceId) }))
            .then((answer) => ({ ...answer, n, traceId }));
        });
        for (const { text, traceparent, n, traceId } of await Promise.all(calls)) {
          expect([text, traceparent.split('-')[1]]).toEqual([`call ${n}`, traceId]);
        }
      });
    });

    describe('repetition', () => {
      it('repeats what may be repeated until the owner recovers', async () => {
        service.failuresLeft = 3;
        expect(await port.flakyRead({}, context())).toEqual({ attempts: 4 });
      });

      it('never repeats what may not', async () => {
        service.failuresLeft = 1;
        expect(await failure(port.flakyWrite({}, context()))).toMatchObject({ code: 'BUS_UNAVAILABLE' });
        expect(service.attempts).toBe(1);
      });

      it('gives the last error when the deadline leaves no time for another try', async () => {
        service.failuresLeft = Infinity;
        const startedMs = clock.monotonicMs();
        const error = await failure(port.flakyRead({}, context({ deadlineMs: 300 })));
        expect(error.code).toBe('BUS_UNAVAILABLE');
        expect(clock.monotonicMs() - startedMs).toBeLessThan(1_000);
        expect(service.attempts).toBeGreaterThan(1);
      });
    });

    it('counts calls, errors by code and durations on both sides', async () => {
      const [ours, theirs] = [await caller.metricsText(), await owner.metricsText()];
      const labels = (component: string) =>
        `{component_name="${component}",rpc_service="echo",rpc_method="refuse",error_type="DATABASE_TIMEOUT"} 1`;
      expect(ours).toContain(`rpc_client_errors_total${labels('teller')}`);
      expect(theirs).toContain(`rpc_server_errors_total${labels('ledger')}`);
      expect(theirs).toMatch(/rpc_server_duration_seconds_bucket\{.*rpc_method="echo".*le="0.01"\} [1-9]/);
    });
  });
}

/** JSON has no −0: it comes back as 0, and so it is not among the values that a port promises to keep. */
function isExactJson(value: unknown): boolean {
  const text = JSON.stringify(value);
  return !text.includes('__proto__') && Object.is(JSON.stringify(JSON.parse(text)), text) && !hasNegativeZero(value);
}

function hasNegativeZero(value: unknown): boolean {
  if (typeof value === 'object' && value !== null) return Object.values(value).some(hasNegativeZero);
  return Object.is(value, -0);
}
