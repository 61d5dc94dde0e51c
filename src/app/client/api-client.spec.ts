import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { ErrorCode } from '../../rails/errors/registry.js';
import { ProbityError, toProblem } from '../../rails/errors/probity-error.js';
import { ManualClock } from '../../substrate/clock/manual.clock.js';
import { type ApiCall, ApiClient } from './api-client.js';

type Handler = (request: IncomingMessage, response: ServerResponse) => void;

describe('the client of the public routes', () => {
  let server: Server;
  let handlers: Handler[];
  let asked: number;
  let clock: ManualClock;
  let interrupt: AbortController;
  let client: ApiClient;
  let waits: [string, number][];

  beforeEach(async () => {
    handlers = [];
    asked = 0;
    waits = [];
    clock = new ManualClock();
    interrupt = new AbortController();
    server = createServer((request, response) => {
      asked += 1;
      const handler = handlers.length > 1 ? handlers.shift() : handlers[0];
      handler?.(request, response);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    client = new ApiClient({
      clock,
      signal: interrupt.signal,
      patienceMs: 10_000,
      onWait: ({ code }, waitMs) => {
        waits.push([code, waitMs]);
        // Whoever waits is woken: the test's time does not pass by itself.
        setImmediate(() => void clock.advance(waitMs));
      },
    });
  });

  afterEach(async () => {
    client.close();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });

  const url = (): string => `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const send = async (call: Partial<ApiCall> = {}) =>
    await client.send(() => Promise.resolve({ url: url(), key: 'k' }), { method: 'GET', path: '/x', ...call });
  const ok: Handler = (request, response) => {
    request.resume().on('end', () => response.end('{"ok":true}'));
  };
  const refuse =
    (code: ErrorCode, headers: Record<string, string> = {}): Handler =>
    (request, response) => {
      const error = new ProbityError(code, 'because');
      request.resume().on('end', () => {
        response.writeHead(error.status, { 'content-type': 'application/problem+json', ...headers });
        response.end(JSON.stringify(toProblem(error)));
      });
    };
  const codeOf = async (work: Promise<unknown>): Promise<string> =>
    await work.then(
      () => 'no error',
      (error: unknown) => (error instanceof ProbityError ? error.code : String(error)),
    );

  it('tries again what may be tried again, later each time, and no sooner than it is asked to', async () => {
    handlers = [refuse('IG_PAUSED'), refuse('IG_PAUSED'), refuse('IG_RATE_LIMITED', { 'retry-after': '2' }), ok];
    expect((await send()).text).toBe('{"ok":true}');
    expect(waits).toEqual([
      ['IG_PAUSED', 100],
      ['IG_PAUSED', 200],
      ['IG_RATE_LIMITED', 2_000],
    ]);
  });

  it('does not try again what will be refused again', async () => {
    handlers = [refuse('SR_EQUIV_KEY_COLLISION')];
    expect(await codeOf(send())).toBe('SR_EQUIV_KEY_COLLISION');
    expect([asked, waits]).toEqual([1, []]);
  });

  it('gives up after its patience, with the last refusal', async () => {
    handlers = [refuse('ENGINE_BUSY')];
    expect(await codeOf(send())).toBe('ENGINE_BUSY');
    expect(asked).toBeGreaterThan(3);
    expect(waits.reduce((sum, [, waitMs]) => sum + waitMs, 0)).toBeGreaterThan(10_000);
  });

  it('sends once only what must not be done twice, and says so where nobody knows whether it was', async () => {
    handlers = [(request) => void request.socket.destroy()];
    expect(await codeOf(send({ method: 'POST', body: '{}', repeatable: false }))).toBe('RPC_OUTCOME_UNKNOWN');
    expect(asked).toBe(1);
    handlers = [refuse('ENGINE_BUSY')];
    expect(await codeOf(send({ method: 'POST', body: '{}', repeatable: false }))).toBe('ENGINE_BUSY');
    expect(asked).toBe(2);
  });

  it('asks for the address each time, for a process may have come back elsewhere', async () => {
    handlers = [ok];
    const addresses = ['http://127.0.0.1:1', url()];
    await client.send(() => Promise.resolve({ url: addresses.shift() ?? url(), key: 'k' }), {
      method: 'GET',
      path: '/x',
    });
    expect(waits).toEqual([['RPC_UNAVAILABLE', 100]]);
  });

  it('sends a stream from its beginning again', async () => {
    const bodies: string[] = [];
    handlers = [
      refuse('OBJECTS_UNAVAILABLE'),
      (request, response) => {
        request.setEncoding('utf8');
        let body = '';
        request.on('data', (piece: string) => (body += piece));
        request.on('end', () => {
          bodies.push(body);
          response.end('{}');
        });
      },
    ];
    await send({ method: 'POST', body: () => Readable.from([Buffer.from('one '), Buffer.from('two')]) });
    expect(bodies).toEqual(['one two']);
  });

  it('hears a refusal that comes before the body was read', async () => {
    handlers = [
      (_request, response) => {
        const error = new ProbityError('AUTHZ_DENIED', 'because');
        response.writeHead(error.status, { 'content-type': 'application/problem+json', connection: 'close' });
        response.end(JSON.stringify(toProblem(error)));
      },
    ];
    const endless = (): Readable =>
      new Readable({
        read() {
          this.push(Buffer.alloc(16_384));
        },
      });
    expect(await codeOf(send({ method: 'POST', body: endless }))).toBe('AUTHZ_DENIED');
  });

  it('ends at once when it is interrupted, in a wait and in a call', async () => {
    handlers = [() => interrupt.abort('SIGINT')];
    expect(await codeOf(send())).toBe('RPC_CANCELLED');
    expect(asked).toBe(1);
    interrupt = new AbortController();
    const patient = new ApiClient({
      clock,
      signal: interrupt.signal,
      // Time stands still: only the interruption can end this wait.
      onWait: () => setImmediate(() => interrupt.abort('SIGINT')),
    });
    handlers = [refuse('IG_PAUSED')];
    const waiting = patient.send(() => Promise.resolve({ url: url(), key: 'k' }), { method: 'GET', path: '/x' });
    expect(await codeOf(waiting)).toBe('RPC_CANCELLED');
    patient.close();
  });

  it('takes a page of a proxy for what it is', async () => {
    handlers = [
      (_request, response) => {
        response.statusCode = 502;
        response.end('<html>bad gateway</html>');
      },
      ok,
    ];
    expect((await send()).status).toBe(200);
    expect(waits.map(([code]) => code)).toEqual(['RPC_UNAVAILABLE']);
    handlers = [
      (_request, response) => {
        response.statusCode = 418;
        response.end('teapot');
      },
    ];
    expect(await codeOf(send())).toBe('RPC_RESPONSE_INVALID');
  });
});
