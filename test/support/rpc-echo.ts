import { type Static, Type } from '@sinclair/typebox';
import { ProbityError } from '../../src/rails/errors/probity-error.js';
import { defineContract, type PortOf } from '../../src/substrate/rpc/rpc-contract.js';
import type { CallContext } from '../../src/substrate/rpc/rpc.port.js';

const Json = Type.Record(Type.String(), Type.Unknown());
const Void = Type.Object({});
const Text = Type.Object({ text: Type.String() });

const read = { idempotent: true, permission: 'rpc.call:echo' } as const;

/** A port whose methods do, one each, what ports do in practice and what goes wrong with them. */
export const ECHO = defineContract('echo', {
  echo: { ...read, request: Json, response: Json, summary: 'Gives back what it was given' },
  whoAmI: {
    ...read,
    request: Void,
    response: Type.Object({ actor_id: Type.String(), key_id: Type.String(), roles: Type.Array(Type.String()) }),
    summary: 'Who calls',
  },
  traceOf: {
    ...read,
    request: Text,
    response: Type.Object({ text: Type.String(), traceparent: Type.String() }),
    summary: 'The trace context that arrived',
  },
  hang: { ...read, request: Text, response: Void, summary: 'Answers when its signal aborts, and notes why' },
  deaf: { ...read, request: Void, response: Void, summary: 'Never answers and heeds no signal' },
  refuse: { ...read, idempotent: false, request: Text, response: Void, summary: 'Fails with a code and details' },
  crash: { ...read, idempotent: false, request: Text, response: Void, summary: 'Fails with an error of its own' },
  lie: { ...read, request: Void, response: Text, summary: 'Answers in another shape' },
  flakyRead: { ...read, request: Void, response: Type.Object({ attempts: Type.Integer() }), summary: 'Recovers' },
  flakyWrite: {
    ...read,
    idempotent: false,
    request: Void,
    response: Type.Object({ attempts: Type.Integer() }),
    summary: 'Would recover, were it asked again',
  },
  secret: { ...read, permission: 'vault.open', request: Void, response: Void, summary: 'Not for these callers' },
  timeLeft: { ...read, request: Void, response: Type.Object({ ms: Type.Number() }), summary: 'How long it may take' },
});

/** What a newer build knows and the owner does not. */
export const NEWER_ECHO = defineContract('echo', {
  ...ECHO.methods,
  shout: { ...read, request: Text, response: Text, summary: 'Not there yet' },
});

export type EchoPort = PortOf<typeof ECHO>;
export type NewerEchoPort = PortOf<typeof NEWER_ECHO>;
type Request<Method extends keyof typeof ECHO.methods> = Static<(typeof ECHO.methods)[Method]['request']>;

/** The owner's service. What it noticed is kept for the test to look at. */
export class EchoService implements EchoPort {
  readonly aborts: { readonly text: string; readonly code: unknown; readonly atMs: number }[] = [];
  readonly started: string[] = [];
  attempts = 0;
  /** Attempts that fail before one succeeds. */
  failuresLeft = 0;

  constructor(
    private readonly inject: (context: CallContext) => string,
    private readonly nowMs: () => number,
  ) {}

  echo(request: Request<'echo'>) {
    return Promise.resolve(request);
  }

  whoAmI(_request: object, { caller }: CallContext) {
    return Promise.resolve({ actor_id: caller.actor.actor_id, key_id: caller.keyId, roles: [...caller.roles] });
  }

  async traceOf({ text }: Request<'traceOf'>, context: CallContext) {
    // Gives way, so that concurrent calls interleave.
    await new Promise((resolve) => setImmediate(resolve));
    return { text, traceparent: this.inject(context) };
  }

  hang({ text }: Request<'hang'>, { signal }: CallContext): Promise<Record<string, never>> {
    this.started.push(text);
    return new Promise((_, reject) => {
      const note = () => {
        const reason: unknown = signal.reason;
        this.aborts.push({ text, code: reason instanceof ProbityError ? reason.code : reason, atMs: this.nowMs() });
        reject(new Error('stopped in the middle'));
      };
      if (signal.aborted) note();
      else signal.addEventListener('abort', note, { once: true });
    });
  }

  deaf(): Promise<Record<string, never>> {
    return new Promise(() => undefined);
  }

  refuse({ text }: Request<'refuse'>): Promise<never> {
    throw new ProbityError('DATABASE_TIMEOUT', text, {
      cause: new Error('select secret from vault'),
      data: { attempt: 3, table: 'vault', open: false, holder: null },
    });
  }

  crash({ text }: Request<'crash'>): Promise<never> {
    return Promise.reject(new Error(text));
  }

  lie(): Promise<{ text: string }> {
    return Promise.resolve({ text: 42 } as unknown as { text: string });
  }

  flakyRead() {
    return this.#flaky();
  }

  flakyWrite() {
    return this.#flaky();
  }

  secret() {
    return Promise.resolve({});
  }

  timeLeft(_request: object, { deadlineAtMs }: CallContext) {
    return Promise.resolve({ ms: deadlineAtMs - this.nowMs() });
  }

  #flaky(): Promise<{ attempts: number }> {
    this.attempts += 1;
    if (this.failuresLeft > 0) {
      this.failuresLeft -= 1;
      throw new ProbityError('BUS_UNAVAILABLE', 'not now');
    }
    return Promise.resolve({ attempts: this.attempts });
  }
}
