import { once } from 'node:events';
import { Agent, type ClientRequest, type IncomingMessage, request as send } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { fastify, type FastifyInstance } from 'fastify';
import { isProbityError, type ProbityError } from '../../rails/errors/probity-error.js';
import { bodyOf, collect, installBodies, STREAMED_ROUTE } from './bodies.js';

const BYTES_MAX = 100_000;
/** Short, so that a silent client is noticed soon; nothing here hopes to be quicker than it. */
const REQUEST_TIMEOUT_MS = 60;

interface Got {
  readonly status: number;
  readonly body: unknown;
}

describe('bodies', () => {
  let server: FastifyInstance;
  let port: number;
  let agent: Agent;
  /** Errors with which streamed routes ended. */
  let ends: ProbityError[];
  /** A route that waits here before it reads. */
  let mayRead: Promise<void>;
  let letRead: () => void;

  beforeEach(async () => {
    ends = [];
    mayRead = new Promise((resolve) => (letRead = resolve));
    agent = new Agent({ keepAlive: true, maxSockets: 1 });
    server = fastify({ requestTimeout: REQUEST_TIMEOUT_MS, http: { connectionsCheckingInterval: 10 } });
    installBodies(server, BYTES_MAX);
    server.setErrorHandler((error, _request, reply) => {
      const known = isProbityError(error) ? error : undefined;
      if (known !== undefined) ends.push(known);
      const code = known?.code ?? (error as { readonly code?: string }).code;
      return reply.status(known?.status ?? 400).send({ code });
    });
    server.post('/json', (request) => ({ body: request.body ?? null }));
    server.post('/bytes', { config: STREAMED_ROUTE }, async (request) => {
      const bytes = await collect(bodyOf(request), BYTES_MAX);
      return { bytes: bytes.byteLength, text: bytes.toString('latin1').slice(0, 40) };
    });
    server.post('/late', { config: STREAMED_ROUTE }, async (request) => {
      await mayRead;
      return { bytes: (await collect(bodyOf(request), BYTES_MAX)).byteLength };
    });
    server.post('/length', { config: STREAMED_ROUTE }, async (request) => {
      let bytes = 0;
      for await (const piece of bodyOf(request)) bytes += piece.byteLength;
      return { bytes };
    });
    server.post('/first', { config: STREAMED_ROUTE }, async (request) => {
      for await (const piece of bodyOf(request)) return { first: piece.byteLength > 0 };
      return { first: false };
    });
    await server.listen({ port: 0, host: '127.0.0.1' });
    ({ port } = server.server.address() as AddressInfo);
  });

  afterEach(async () => {
    agent.destroy();
    await server.close();
  });

  function open(path: string, headers: Readonly<Record<string, string>>): ClientRequest {
    return send({ port, path, method: 'POST', agent, headers });
  }

  async function answerOf(request: ClientRequest): Promise<Got> {
    const [response] = (await once(request, 'response')) as [IncomingMessage];
    const pieces: Buffer[] = [];
    for await (const piece of response as AsyncIterable<Buffer>) pieces.push(piece);
    return { status: response.statusCode ?? 0, body: JSON.parse(Buffer.concat(pieces).toString()) as unknown };
  }

  async function post(
    path: string,
    body: Buffer | string,
    headers: Readonly<Record<string, string>> = { 'content-type': 'application/json' },
  ): Promise<Got> {
    const request = open(path, headers);
    request.end(body);
    return await answerOf(request);
  }

  describe('of ordinary routes', () => {
    it.each([
      ['application/json'],
      ['application/json; charset=utf-8'],
      ['Application/JSON;charset="UTF-8"'],
      ['application/cloudevents+json'],
    ])('are parsed when they are %s', async (type) => {
      expect(await post('/json', '{"a":[1]}', { 'content-type': type })).toEqual({
        status: 200,
        body: { body: { a: [1] } },
      });
    });

    it.each([['text/csv'], ['application/jsonp'], ['application/json; charset=iso-8859-1'], ['application/x-ndjson']])(
      'are refused when they are %s',
      async (type) => {
        expect(await post('/json', '{}', { 'content-type': type })).toEqual({
          status: 415,
          body: { code: 'HTTP_MEDIA_TYPE_UNSUPPORTED' },
        });
      },
    );

    it.each<[string, Buffer | string, number, string]>([
      ['empty', '', 400, 'FST_ERR_CTP_EMPTY_JSON_BODY'],
      ['broken', '{"a":', 400, 'FST_ERR_CTP_INVALID_JSON_BODY'],
      ['no UTF-8', Buffer.from([0x22, 0xc3, 0x28, 0x22]), 400, 'HTTP_BODY_INVALID'],
      ['longer than they may be', Buffer.alloc(3 * BYTES_MAX, 0x20), 413, 'HTTP_BODY_TOO_LARGE'],
    ])('that are %s are refused', async (_what, body, status, code) => {
      expect(await post('/json', body)).toEqual({ status, body: { code } });
    });

    it('are unpacked when they were sent with gzip, and only with gzip', async () => {
      const headers = { 'content-type': 'application/json', 'content-encoding': 'gzip' };
      expect((await post('/json', gzipSync('{"a":1}'), headers)).body).toEqual({ body: { a: 1 } });
      expect(await post('/json', '{"a":1}', headers)).toEqual({ status: 400, body: { code: 'HTTP_BODY_INVALID' } });
      expect(await post('/json', '{"a":1}', { ...headers, 'content-encoding': 'br' })).toEqual({
        status: 415,
        body: { code: 'HTTP_MEDIA_TYPE_UNSUPPORTED' },
      });
    });

    it('are not unpacked past the limit, however small they arrive', async () => {
      const bomb = gzipSync(Buffer.alloc(200 * 1024 * 1024));
      const headers = { 'content-type': 'application/json', 'content-encoding': 'gzip' };
      const before = process.memoryUsage().rss;
      expect(await post('/json', bomb, headers)).toEqual({ status: 413, body: { code: 'HTTP_BODY_TOO_LARGE' } });
      // 200 MiB lie in it; a tenth of that is room enough for whatever else happens meanwhile.
      expect(process.memoryUsage().rss - before).toBeLessThan(20 * 1024 * 1024);
    });
  });

  describe('of streamed routes', () => {
    it.each([['application/json'], ['text/csv'], ['application/octet-stream']])(
      'come as the bytes that were sent, as %s too',
      async (type) => {
        expect((await post('/bytes', '{"a": 1 }', { 'content-type': type })).body).toEqual({
          bytes: 9,
          text: '{"a": 1 }',
        });
      },
    );

    it('may be empty, with and without a media type', async () => {
      expect((await post('/bytes', '')).body).toEqual({ bytes: 0, text: '' });
      expect((await post('/bytes', '', {})).body).toEqual({ bytes: 0, text: '' });
    });

    it('are unpacked while they arrive', async () => {
      const headers = { 'content-type': 'application/x-ndjson', 'content-encoding': 'gzip' };
      expect((await post('/bytes', gzipSync('hello'), headers)).body).toEqual({ bytes: 5, text: 'hello' });
      const long = Buffer.alloc(30 * 1024 * 1024);
      expect((await post('/length', gzipSync(long), headers)).body).toEqual({ bytes: long.byteLength });
      expect((await post('/bytes', gzipSync(long), headers)).body).toEqual({ code: 'HTTP_BODY_TOO_LARGE' });
      expect((await post('/bytes', gzipSync('hello').subarray(0, -4), headers)).body).toEqual({
        code: 'HTTP_BODY_INVALID',
      });
      expect((await post('/bytes', 'x', { ...headers, 'content-encoding': 'zstd' })).status).toBe(415);
    });

    it('that are too large are answered all the same', async () => {
      expect(await post('/bytes', Buffer.alloc(3 * BYTES_MAX))).toEqual({
        status: 413,
        body: { code: 'HTTP_BODY_TOO_LARGE' },
      });
    });

    it('end with an error when the client disappears', async () => {
      const request = open('/bytes', { 'content-type': 'text/csv', 'content-length': '100' });
      request.on('error', () => undefined);
      request.write('half');
      await once(server.server, 'request');
      request.destroy();
      await expect(ended(1)).resolves.toEqual(['HTTP_BODY_INVALID']);
    });

    it('end when the client falls silent, or gives next to nothing', async () => {
      const silent = open('/bytes', { 'content-type': 'text/csv', 'content-length': '100' });
      silent.write('half');
      expect(await answerOf(silent)).toEqual({ status: 408, body: { code: 'HTTP_REQUEST_TIMEOUT' } });
      silent.destroy();

      const dripping = open('/bytes', { 'content-type': 'text/csv', 'transfer-encoding': 'chunked' });
      dripping.on('error', () => undefined);
      const drip = setInterval(() => dripping.write('x'), REQUEST_TIMEOUT_MS / 20);
      expect(await answerOf(dripping)).toEqual({ status: 408, body: { code: 'HTTP_REQUEST_TIMEOUT' } });
      clearInterval(drip);
      dripping.destroy();
    });

    it('are not cut off for the time in which they are not read', async () => {
      const patient = open('/late', { 'content-type': 'text/csv', 'content-length': '2000' });
      patient.write(Buffer.alloc(1_000));
      // Node says that the whole time is used up; what it would do then is what must not happen.
      await once(server.server, 'clientError');
      letRead();
      patient.end(Buffer.alloc(1_000));
      expect(await answerOf(patient)).toEqual({ status: 200, body: { bytes: 2_000 } });
    });

    it('leave the connection to the next request when they were answered early', async () => {
      expect(await post('/first', Buffer.alloc(3_000_000))).toEqual({ status: 200, body: { first: true } });
      const next = open('/bytes', { 'content-type': 'text/csv' });
      next.end('next');
      expect((await answerOf(next)).body).toEqual({ bytes: 4, text: 'next' });
    });
  });

  it('of ordinary routes are still cut off by the server when they do not end', async () => {
    const request = open('/json', { 'content-type': 'application/json', 'content-length': '100' });
    request.write('{');
    const outcome = await Promise.race([
      once(request, 'response').then(([response]) => (response as IncomingMessage).statusCode),
      once(request, 'error').then(() => 'cut off'),
    ]);
    expect([408, 'cut off']).toContain(outcome);
    request.destroy();
  });

  async function ended(count: number): Promise<readonly string[]> {
    while (ends.length < count) await new Promise((resolve) => setImmediate(resolve));
    return ends.map(({ code }) => code);
  }
});
