import { existsSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { scratchDataFolder } from '../support/data-folder.js';
import { boot, type Running } from '../../src/app/boot.js';
import { openDataFolder } from '../../src/app/data-folder.js';
import { loadProfile } from '../../src/app/profile.js';
import { policyKindsOf } from '../../src/app/unit-table.js';
import { TEST_UNITS } from '../program/table.js';
import { Captured } from '../support/cli.js';
import { type Collector, openCollector } from '../support/collector.js';
import { eventually } from '../support/eventually.js';
import { Http } from '../support/http.js';
import { ScratchProfile } from '../support/profiles.js';

/** Spans as an OTLP/HTTP collector receives them. */
interface ReceivedTraces {
  readonly resourceSpans: readonly {
    readonly scopeSpans: readonly { readonly spans: readonly { readonly traceId: string; readonly name: string }[] }[];
  }[];
}

/** The names of the spans of one trace, as a collector received them. */
function spanNames(collector: Collector, traceId: string): readonly string[] {
  const documents = collector.received
    .filter(({ path }) => path === '/v1/traces')
    .map(({ body }) => JSON.parse(body) as ReceivedTraces);
  const spans = documents.flatMap(({ resourceSpans }) =>
    resourceSpans.flatMap((r) => r.scopeSpans.flatMap((scope) => scope.spans)),
  );
  return spans.filter((span) => span.traceId === traceId).map(({ name }) => name);
}

describe.each([
  ['direct calls', false],
  ['calls through the wire', true],
])('all roles in one process, %s', (_name, throughWire) => {
  const folder = scratchDataFolder('e2e');
  const profile = new ScratchProfile();
  const logs = new Captured();
  let collector: Collector;
  let running: Running;
  let operator: Http;

  async function start(data: string): Promise<Running> {
    return await boot({
      table: TEST_UNITS,
      selected: TEST_UNITS.units,
      profile: loadProfile(profile.folder, policyKindsOf(TEST_UNITS)),
      folder: openDataFolder(data),
      port: 0,
      logs,
    });
  }

  beforeAll(async () => {
    collector = await openCollector();
    profile.edit(profile.wiring, 'sampling_ratio: 1', `sampling_ratio: 1\n  otlp_endpoint: ${collector.endpoint}`);
    if (throughWire) profile.edit(profile.wiring, 'through_wire: false', 'through_wire: true');
    running = await start(folder);
    operator = new Http(running.url, readFileSync(join(folder, 'keys', 'operator.key'), 'utf8').trim());
  });

  afterAll(async () => {
    expect(await running.stop()).toBe('in order');
    await collector.close();
    profile.remove();
    rmSync(folder, { recursive: true, force: true });
  });

  it('is ready, and says of each dependency why', async () => {
    const { status, body } = await new Http(running.url).get('/health/ready');
    expect(status).toBe(200);
    const { dependencies, roles } = body as { dependencies: readonly { name: string; ok: boolean }[]; roles: string[] };
    expect(dependencies.map(({ name, ok }) => [name, ok])).toEqual([
      ['process', true],
      ['database', true],
      ['bus', true],
      ['objects', true],
      ['policies', true],
    ]);
    expect(roles).toEqual(['ledger', 'teller']);
  });

  it('carries work through HTTP, database, bus, consumer, port and objects, each deposit once', async () => {
    const deposits = [
      { deposit_id: 'd1', account: 'anna', minor_units: 1_50 },
      { deposit_id: 'd2', account: 'anna', minor_units: 2_50 },
      { deposit_id: 'd3', account: 'bert', minor_units: 9_99 },
    ];
    const first = await operator.post('/test/v1/deposits', { deposits });
    expect([first.status, first.body]).toEqual([200, { taken: 3, slip: 'teller/slips/d1' }]);
    const again = await operator.post('/test/v1/deposits', { deposits });
    expect(again.body).toEqual({ taken: 0, slip: 'teller/slips/d1' });
    const anna = await eventually(
      async () => (await operator.get('/test/v1/balances/anna')).body as { deposits: number },
      ({ deposits: counted }) => counted === 2,
    );
    expect(anna).toMatchObject({ account: 'anna', minor_units: 4_00, deposits: 2 });
  });

  it('keeps one trace from the request over the bus to the consumer and over the port to its owner', async () => {
    const traceId = '0af7651916cd43dd8448eb211c80319c';
    const headers = { traceparent: `00-${traceId}-b7ad6b7169203331-01` };
    await operator.post(
      '/test/v1/deposits',
      { deposits: [{ deposit_id: `t-${throughWire}`, account: 'carl', minor_units: 1 }] },
      headers,
    );
    await operator.get('/test/v1/balances/carl', headers);
    const wanted = ['POST /test/v1/deposits', 'ledger.apply', 'GET /test/v1/balances/:account', 'ledger.balance'];
    const names = await eventually(
      () => spanNames(collector, traceId),
      (seen) => wanted.every((name) => seen.includes(name)),
    );
    expect(names).toEqual(expect.arrayContaining(wanted));
  });

  it('lets nobody in without credentials, with wrong ones, or without permission', async () => {
    const stranger = await new Http(running.url).post('/test/v1/deposits', { deposits: [] });
    expect(stranger.body).toMatchObject({ status: 403, code: 'AUTHZ_DENIED', retryable: false });
    const forger = await new Http(running.url, `pk_operator_${'A'.repeat(43)}`).get('/test/v1/balances/anna');
    expect(forger.body).toMatchObject({ status: 401, code: 'AUTHN_FAILED' });
    const service = new Http(running.url, readFileSync(join(folder, 'keys', 'service.key'), 'utf8').trim());
    expect((await service.get('/test/v1/balances/anna')).body).toMatchObject({ code: 'AUTHZ_DENIED' });
    expect((await service.post('/rpc/ledger/balance', { account: 'anna' })).status).toBe(200);
  });

  it('answers bad input with a problem document that names code and place', async () => {
    const wrong = await operator.post('/test/v1/deposits', {
      deposits: [{ deposit_id: 'x', account: 'anna', minor_units: -1, extra: 1 }],
    });
    expect(wrong.headers.get('content-type')).toContain('application/problem+json');
    expect(wrong.body).toMatchObject({
      status: 400,
      code: 'HTTP_REQUEST_INVALID',
      type: 'urn:probity:error:HTTP_REQUEST_INVALID',
    });
    expect(JSON.stringify(wrong.body)).toContain('deposits.0.minor_units must not be less than 1');
    expect(JSON.stringify(wrong.body)).toContain('property extra should not exist');
    expect((await operator.raw('/test/v1/deposits', '{"deposits": [')).body).toMatchObject({
      status: 400,
      code: 'HTTP_BODY_INVALID',
    });
    expect((await operator.raw('/test/v1/deposits', 'x', 'text/csv')).body).toMatchObject({
      status: 415,
      code: 'HTTP_MEDIA_TYPE_UNSUPPORTED',
    });
    expect((await operator.raw('/test/v1/deposits', `"${'x'.repeat(11_000_000)}"`)).body).toMatchObject({
      status: 413,
      code: 'HTTP_BODY_TOO_LARGE',
    });
    expect((await operator.get('/nothing/here')).body).toMatchObject({ status: 404, code: 'HTTP_NOT_FOUND' });
    expect((await operator.post('/rpc/ledger/balance', { account: 7 })).body).toMatchObject({
      status: 400,
      code: 'RPC_REQUEST_INVALID',
    });
  });

  it('describes itself: every route of this process stands in its OpenAPI document', async () => {
    const { body } = await operator.get('/openapi.json');
    const { openapi, paths } = body as { openapi: string; paths: Record<string, object> };
    expect(openapi).toBe('3.1.0');
    expect(Object.keys(paths)).toEqual(
      expect.arrayContaining([
        '/health/live',
        '/health/ready',
        '/metrics',
        '/test/v1/deposits',
        '/test/v1/balances/{account}',
        '/rpc/ledger/balance',
      ]),
    );
  });

  it('makes its keys for its owner alone', () => {
    const key = join(folder, 'keys', 'operator.key');
    expect(existsSync(key)).toBe(true);
    expect(statSync(key).mode & 0o777).toBe(0o600);
    expect(statSync(join(folder, 'keys')).mode & 0o777).toBe(0o700);
  });

  it('writes no secret into its log', () => {
    const keys = ['operator', 'service'].map((name) =>
      readFileSync(join(folder, 'keys', `${name}.key`), 'utf8').trim(),
    );
    for (const key of keys) expect(logs.text).not.toContain(key);
    expect(logs.text).toContain('process_ready');
  });

  it('shares no metric with a second application in the same process', async () => {
    const other = scratchDataFolder('e2e');
    const second = await start(other);
    try {
      await new Http(second.url).get('/health/live');
      const [mine, theirs] = await Promise.all(
        [running.url, second.url].map(async (url) => (await new Http(url).get('/metrics')).text),
      );
      expect(theirs).toMatch(/http_server_calls_total\{[^}]*\/health\/live"[^}]*\} 1\b/);
      expect(theirs).not.toContain('/test/v1/deposits');
      expect(mine).toContain('/test/v1/deposits');
    } finally {
      await second.stop();
      rmSync(other, { recursive: true, force: true });
    }
  });
});
