import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { afterEach, describe, expect, it } from '@jest/globals';
import { DocumentBuilder, SwaggerModule } from '@nestjs/swagger';
import { ROOT_CONTEXT } from '@opentelemetry/api';
import { isProbityError, type ProbityError } from '../../src/rails/errors/probity-error.js';
import { SystemClock } from '../../src/substrate/clock/system.clock.js';
import { generateApiKey } from '../../src/substrate/identity/api-key.js';
import { httpRpc, type HttpRpcOptions } from '../../src/substrate/rpc/http.rpc.js';
import type { CallContext } from '../../src/substrate/rpc/rpc.port.js';
import { eventually } from '../support/eventually.js';
import { ECHO, EchoService } from '../support/rpc-echo.js';
import { type HttpOwner, openHttpOwner } from '../support/rpc-http.js';
import { recordedTelemetry } from '../support/telemetry.js';
import { RPC_POLICY, SERVICE } from './rpc.contract.js';

/** What only the HTTP binding can get wrong: sockets, headers, and whoever else answers at the address. */
const clock = new SystemClock();
const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

const telemetry = recordedTelemetry('ledger', { clock });

async function owner(
  port = 0,
  key = generateApiKey('teller-1'),
): Promise<HttpOwner & { readonly service: EchoService }> {
  const service = new EchoService(
    () => '',
    () => clock.monotonicMs(),
  );
  const http = await openHttpOwner({ contract: ECHO, service, clock, telemetry, port, key, ...RPC_POLICY });
  closers.push(() => http.close());
  return { ...http, service };
}

function client(options: Partial<HttpRpcOptions> & Pick<HttpRpcOptions, 'addressOf'>) {
  const port = httpRpc(ECHO, {
    credential: () => undefined,
    clock,
    telemetry: recordedTelemetry().telemetry,
    ...options,
  });
  closers.push(() => port.onApplicationShutdown());
  return port;
}

const context = (deadlineMs = 5_000): CallContext => ({
  caller: SERVICE,
  deadlineAtMs: clock.monotonicMs() + deadlineMs,
  signal: new AbortController().signal,
  trace: ROOT_CONTEXT,
});

const codeOf = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => 'OK',
    (error: unknown) => (isProbityError(error) ? error.code : String(error)),
  );

type Handler = (request: IncomingMessage, response: ServerResponse) => void;

/** Something else than an owner at the address. */
async function somebody(handle: Handler): Promise<{ readonly baseUrl: string; readonly server: Server }> {
  const server = createServer(handle);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closers.push(() => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  });
  return { baseUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, server };
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

const post = (http: HttpOwner, method: string, headers: Record<string, string> = {}, body = '{}') =>
  fetch(`${http.baseUrl}/rpc/echo/${method}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${http.credential}`, ...headers },
    body,
  });

describe('rpc over HTTP: who calls', () => {
  it('refuses credentials that are not good with a challenge and one sentence', async () => {
    const http = await owner();
    const response = await post(http, 'whoAmI', { authorization: `Bearer ${http.credential}x` });
    expect(response.status).toBe(401);
    expect(response.headers.get('www-authenticate')).toBe('Bearer realm="probity"');
    expect(response.headers.get('content-type')).toBe('application/problem+json; charset=utf-8');
    expect(await response.json()).toMatchObject({
      type: 'urn:probity:error:AUTHN_FAILED',
      code: 'AUTHN_FAILED',
      status: 401,
      retryable: false,
      detail: 'the credentials were not accepted',
    });
  });

  it('lets a caller without credentials do what the policy lets ANONYMOUS do: here nothing', async () => {
    const http = await owner();
    const anonymous = client({ addressOf: () => http.baseUrl });
    expect(await codeOf(anonymous.whoAmI({}, context()))).toBe('AUTHZ_DENIED');
    const forged = client({ addressOf: () => http.baseUrl, credential: () => 'pk_teller-1_forged' });
    expect(await codeOf(forged.whoAmI({}, context()))).toBe('AUTHN_FAILED');
  });

  it('believes no other header', async () => {
    const http = await owner();
    const response = await post(http, 'whoAmI', {
      'x-forwarded-user': 'root',
      'x-probity-caller': 'HUMAN::root',
      'x-probity-actor': 'HUMAN::root',
      'proxy-authorization': 'Bearer root',
      forwarded: 'for=root',
    });
    expect(await response.json()).toMatchObject({ actor_id: 'SYSTEM::teller', roles: ['caller'] });
  });

  it('does not wait for a credential beyond the deadline', async () => {
    const http = await owner();
    const port = client({ addressOf: () => http.baseUrl, credential: () => new Promise(() => undefined) });
    expect(await codeOf(port.whoAmI({}, context(50)))).toBe('RPC_DEADLINE_EXCEEDED');
  });

  it('asks for the credential at each call, so that it can be renewed', async () => {
    const http = await owner();
    const credentials = ['pk_teller-1_old', http.credential];
    const port = client({ addressOf: () => http.baseUrl, credential: () => Promise.resolve(credentials.shift()) });
    expect(await codeOf(port.whoAmI({}, context()))).toBe('AUTHN_FAILED');
    expect(await codeOf(port.whoAmI({}, context()))).toBe('OK');
  });
});

describe('rpc over HTTP: nobody, or somebody else, answers', () => {
  it.each(['whoAmI', 'flakyWrite'] as const)('says unavailable when nobody listens (%s)', async (method) => {
    const port = await freePort();
    const startedMs = clock.monotonicMs();
    const call = client({ addressOf: () => `http://127.0.0.1:${port}` })[method]({}, context(150));
    await expect(call).rejects.toMatchObject({ code: 'RPC_UNAVAILABLE', data: { cause: 'ECONNREFUSED' } });
    expect(clock.monotonicMs() - startedMs).toBeLessThan(1_000);
  });

  it('says unavailable while nobody is known to run the role', async () => {
    expect(await codeOf(client({ addressOf: () => undefined }).flakyWrite({}, context()))).toBe('RPC_UNAVAILABLE');
  });

  it('reaches an owner that comes up within the deadline', async () => {
    const port = await freePort();
    const key = generateApiKey('teller-1');
    let attempts = 0;
    const late = client({
      addressOf: () => {
        attempts += 1;
        return `http://127.0.0.1:${port}`;
      },
      credential: () => key.token,
    });
    const answer = late.echo({ patience: true }, context());
    await eventually(() => attempts >= 3);
    await owner(port, key);
    expect(await answer).toEqual({ patience: true });
  });

  it('says unavailable when the process does not serve the role', async () => {
    const http = await owner();
    const port = client({ addressOf: () => `${http.baseUrl}/elsewhere/`, credential: () => http.credential });
    expect(await codeOf(port.flakyWrite({}, context()))).toBe('RPC_UNAVAILABLE');
  });

  it.each([
    [502, '<html>Bad gateway</html>', 'RPC_UNAVAILABLE'],
    [503, '', 'RPC_UNAVAILABLE'],
    [429, '{"message":"slow down"}', 'RPC_UNAVAILABLE'],
    [404, '{"code":"HTTP_NOT_FOUND","detail":"x"}', 'RPC_UNAVAILABLE'],
    [503, '{"code":"BUS_UNAVAILABLE","detail":"x"}', 'BUS_UNAVAILABLE'],
    [500, '{"code":"NOT_OF_THIS_BUILD","detail":"x","data":{"nested":{}}}', 'RPC_RESPONSE_INVALID'],
    [500, '{"code":"NOT_OF_THIS_BUILD","detail":"x"}', 'INTERNAL'],
    [301, '', 'RPC_RESPONSE_INVALID'],
    [200, '<html>Welcome</html>', 'RPC_RESPONSE_INVALID'],
    [200, '', 'RPC_RESPONSE_INVALID'],
    [200, '{"attempts":"many"}', 'RPC_RESPONSE_INVALID'],
  ])('makes of %d %s the error %s', async (status, body, code) => {
    const { baseUrl } = await somebody((_, response) => response.writeHead(status).end(body));
    expect(await codeOf(client({ addressOf: () => baseUrl }).flakyWrite({}, context()))).toBe(code);
  });

  it('does not read an answer without end', async () => {
    const { baseUrl } = await somebody((_, response) => {
      const more = (): unknown => !response.destroyed && response.write('x'.repeat(65_536), () => setImmediate(more));
      more();
    });
    const port = client({ addressOf: () => baseUrl, answerBytesMax: 1_000_000 });
    expect(await codeOf(port.flakyWrite({}, context()))).toBe('RPC_RESPONSE_INVALID');
  });

  it.each([
    ['before the answer', (_: IncomingMessage, response: ServerResponse) => void response.socket?.destroy()],
    [
      'in the middle of the answer',
      (_: IncomingMessage, response: ServerResponse) => {
        response.writeHead(200, { 'content-length': '100' }).write('{"attempts"', () => response.socket?.destroy());
      },
    ],
  ])('owns up to not knowing when the connection breaks %s', async (_, handle) => {
    const { baseUrl } = await somebody(handle);
    const port = client({ addressOf: () => baseUrl });
    expect(await codeOf(port.flakyWrite({}, context()))).toBe('RPC_OUTCOME_UNKNOWN');
    expect(await codeOf(port.flakyRead({}, context(1_000)))).toBe('RPC_UNAVAILABLE');
  });

  it('repeats a read whose connection broke', async () => {
    let requests = 0;
    const { baseUrl } = await somebody((_, response) => {
      requests += 1;
      if (requests < 3) response.socket?.destroy();
      else response.end('{"attempts":3}');
    });
    expect(await client({ addressOf: () => baseUrl }).flakyRead({}, context())).toEqual({ attempts: 3 });
  });
});

describe('rpc over HTTP: the wire', () => {
  it.each(['soon', '-1', '1.5', '', '1e3', '9'.repeat(13)])('refuses the deadline %s', async (deadline) => {
    const response = await post(await owner(), 'whoAmI', { 'x-probity-deadline-ms': deadline });
    expect([response.status, ((await response.json()) as ProbityError).code]).toEqual([400, 'RPC_REQUEST_INVALID']);
  });

  it('sets a deadline of its own for callers without one or with a very long one', async () => {
    const http = await owner();
    const left = async (headers: Record<string, string>) =>
      ((await (await post(http, 'timeLeft', headers)).json()) as { ms: number }).ms;
    expect(await left({})).toBeLessThanOrEqual(30_000);
    expect(await left({ 'x-probity-deadline-ms': '999999999999' })).toBeLessThanOrEqual(300_000);
  });

  it('answers at the deadline by itself, for callers that do not stop waiting', async () => {
    const response = await post(await owner(), 'deaf', { 'x-probity-deadline-ms': '50' });
    expect([response.status, ((await response.json()) as ProbityError).code]).toEqual([504, 'RPC_DEADLINE_EXCEEDED']);
  });

  it('stops the work of a caller that vanished', async () => {
    const http = await owner();
    const { port } = new URL(http.baseUrl);
    const socket = connect(Number(port), '127.0.0.1');
    const body = '{"text":"vanishing"}';
    socket.write(
      `POST /rpc/echo/hang HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${http.credential}\r\n` +
        `content-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
    );
    await eventually(() => http.service.started.length);
    socket.destroy();
    await eventually(() => http.service.aborts.length);
    expect(http.service.aborts).toMatchObject([{ text: 'vanishing', code: 'RPC_CANCELLED' }]);
  });

  it('begins a new trace when the one that came is malformed', async () => {
    const http = await owner();
    const response = await post(http, 'whoAmI', { traceparent: '00-nonsense-01', tracestate: '\u00e4' });
    expect(response.status).toBe(200);
    const span = telemetry.spans().at(-1);
    expect(span?.parentSpanContext).toBeUndefined();
  });

  it('names the trace in a problem, for the support desk', async () => {
    const traceId = '0af7651916cd43dd8448eb211c80319c';
    const response = await post(await owner(), 'secret', { traceparent: `00-${traceId}-b7ad6b7169203331-01` });
    expect(await response.json()).toMatchObject({ code: 'AUTHZ_DENIED', trace_id: traceId });
    // A caller without a trace gets the one that begins here.
    const { trace_id } = (await (await post(await owner(), 'secret')).json()) as { trace_id?: string };
    expect(telemetry.spans().at(-1)?.spanContext().traceId).toBe(trace_id);
  });

  it('keeps its connections for the next call', async () => {
    const http = await owner();
    let connections = 0;
    http.app.getHttpServer().on('connection', () => (connections += 1));
    const port = client({ addressOf: () => http.baseUrl, credential: () => http.credential });
    for (let n = 0; n < 10; n++) await port.echo({ n }, context());
    expect(connections).toBe(1);
  });

  it('ends what is under way when it is closed', async () => {
    const http = await owner();
    const port = client({ addressOf: () => http.baseUrl, credential: () => http.credential });
    const call = codeOf(port.hang({ text: 'closing' }, context(1_000)));
    await eventually(() => http.service.started.length);
    port.onApplicationShutdown();
    // Reads are tried again, for they do not know that it was us; the deadline ends that.
    expect(await call).toMatch(/^RPC_/);
  });
});

describe('rpc over HTTP: the document', () => {
  it('describes each method with its shapes, closed, and its errors', async () => {
    const { app } = await owner();
    const document = SwaggerModule.createDocument(app, new DocumentBuilder().setOpenAPIVersion('3.1.0').build());
    expect(Object.keys(document.paths).sort()).toEqual(
      Object.keys(ECHO.methods)
        .map((name) => `/rpc/echo/${name}`)
        .sort(),
    );
    expect(document.paths['/rpc/echo/traceOf']?.post).toMatchObject({
      operationId: 'echo_traceOf',
      summary: 'The trace context that arrived',
      tags: ['rpc: echo'],
      security: [{ bearer: [] }],
      requestBody: {
        required: true,
        content: {
          'application/json': {
            schema: {
              type: 'object',
              required: ['text'],
              properties: { text: { type: 'string' } },
              additionalProperties: false,
            },
          },
        },
      },
      responses: { 200: { content: { 'application/json': { schema: { additionalProperties: false } } } } },
    });
  });
});
