import { once } from 'node:events';
import { readFileSync, rmSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { createGzip, gzipSync } from 'node:zlib';
import { Module } from '@nestjs/common';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { boot, type Running } from '../../src/app/boot.js';
import { openDataFolder } from '../../src/app/data-folder.js';
import { loadProfile } from '../../src/app/profile.js';
import { defineUnits, policyKindsOf } from '../../src/app/unit-table.js';
import { UNITS } from '../../src/app/units.js';
import { INGESTION_GATE_CONTROLLERS } from '../../src/modules/ingestion-gate/http/controllers.js';
import { Gate } from '../../src/modules/ingestion-gate/ingestion-gate.gate.js';
import type { Receipt } from '../../src/modules/ingestion-gate/ingestion-gate.port.js';
import { ProbityError } from '../../src/rails/errors/probity-error.js';
import { Captured } from '../support/cli.js';
import { scratchDataFolder } from '../support/data-folder.js';
import { eventually } from '../support/eventually.js';
import { Http } from '../support/http.js';
import { heldBytes } from '../support/memory.js';
import { ScratchProfile } from '../support/profiles.js';
import { MemoryGate } from './ingestion-http.gate.js';
import { DoorClient, replyTo } from './ingestion-http.kit.js';

const gate: { now: MemoryGate } = { now: new MemoryGate() };

/** The doors before a gate in memory, which is another one in each test. */
@Module({
  controllers: INGESTION_GATE_CONTROLLERS,
  providers: [{ provide: Gate, useValue: new Proxy({}, { get: (_, name) => bound(name) }) }],
})
class DoorsModule {}

function bound(name: string | symbol): unknown {
  const member: unknown = Reflect.get(gate.now, name);
  return typeof member === 'function' ? (member.bind(gate.now) as unknown) : member;
}

const DOORS = defineUnits(
  {},
  {
    ig: {
      unit: 'ingestion-gate',
      kind: 'service',
      why: 'The doors of the gate.',
      module: DoorsModule,
      calls: [],
      produces: [],
      prefixes: [],
      policies: policyKindsOf(UNITS),
      instances: 'many',
    },
  },
);

const NDJSON = { 'content-type': 'application/x-ndjson' };
const event = (id: number | string): string => JSON.stringify({ event_id: `e-${id}`, payload: { n: 1 } });
const range = (count: number): readonly number[] => Array.from({ length: count }, (_, index) => index);
const idsOf = (entries: readonly unknown[]) => entries.map((entry) => (entry as Receipt).event_id);

describe("the gate's doors over HTTP", () => {
  const folder = scratchDataFolder('doors');
  const profile = new ScratchProfile();
  const logs = new Captured();
  let running: Running;
  let operator: Http;
  let door: DoorClient;

  beforeAll(async () => {
    // Short, so that a client that falls silent is noticed soon.
    profile.edit(profile.wiring, 'request_timeout_ms: 30000', 'request_timeout_ms: 3000');
    running = await boot({
      table: DOORS,
      selected: DOORS.units,
      profile: loadProfile(profile.folder, policyKindsOf(DOORS)),
      folder: openDataFolder(folder),
      port: 0,
      logs,
    });
    const key = readFileSync(join(folder, 'keys', 'operator.key'), 'utf8').trim();
    operator = new Http(running.url, key);
    door = new DoorClient(running.url, key);
  });

  afterAll(async () => {
    await running.stop();
    profile.remove();
    rmSync(folder, { recursive: true, force: true });
  });

  beforeEach(() => {
    gate.now = new MemoryGate();
  });

  describe('one event', () => {
    it('is admitted once: 201, then 200 and no second time', async () => {
      const first = await door.post('/v1/events', event(1));
      expect(first.status).toBe(201);
      expect(first.body).toMatchObject({ decision: 'ADMIT', event_id: 'e-1', principal: 'HUMAN::operator' });
      const { receipt_id } = first.body as Receipt;
      expect(first.headers.location).toBe(`/v1/receipts/${receipt_id}`);
      expect(first.headers['idempotency-replayed']).toBeUndefined();
      const again = await door.post('/v1/events', event(1));
      expect([again.status, again.headers['idempotency-replayed']]).toEqual([200, 'true']);
      expect(again.body).toMatchObject({ decision: 'DUPLICATE', original_receipt_id: receipt_id });
      expect((await operator.get(first.headers.location ?? '')).body).toEqual(first.body);
      expect((await operator.get('/v1/receipts?event_id=e-1')).body).toEqual({ receipts: [first.body] });
    });

    it('that is refused is answered with a problem that carries the receipt', async () => {
      const reply = await door.post('/v1/events', '{"event_id":');
      expect(reply.status).toBe(422);
      expect(reply.headers['content-type']).toContain('application/problem+json');
      expect(reply.body).toMatchObject({
        code: 'IG_ENVELOPE_INVALID',
        status: 422,
        retryable: false,
        detail: 'is not an event',
        receipt: { decision: 'QUARANTINE', reason_codes: ['ENVELOPE_INVALID'] },
      });
      expect(reply.headers['retry-after']).toBeUndefined();
    });

    it('is judged by the very bytes that were sent', async () => {
      const text = ' {"event_id" : "e-1", "payload":{"n":9007199254740993,"n":1e400}}\n';
      await door.post('/v1/events', text);
      await door.post('/v1/events', gzipSync(text), { 'content-encoding': 'gzip' });
      expect(gate.now.calls.map(({ events }) => events)).toEqual([[{ text }], [{ text }]]);
    });

    it('that is no UTF-8 is refused, and nothing is put in the place of its bytes', async () => {
      const reply = await door.post('/v1/events', Buffer.from('{"event_id":"e-1","payload":"\xc3("}', 'latin1'));
      expect(reply.body).toMatchObject({ code: 'IG_ENVELOPE_INVALID', receipt: { decision: 'QUARANTINE' } });
      expect((await door.post('/v1/events', '{"event_id":"e-2","payload":"\uFFFD"}')).status).toBe(201);
    });

    it('that is too large is given to the gate as far as it is needed to refuse it', async () => {
      for (const bytes of [262_145, 3_000_000, 12_000_000]) {
        const reply = await door.post('/v1/events', `{"event_id":"${'x'.repeat(bytes)}"}`);
        expect(reply.body).toMatchObject({ code: 'IG_PAYLOAD_TOO_LARGE', status: 413 });
      }
      expect(gate.now.calls.map(({ events }) => events[0]?.text.length)).toEqual([262_145, 262_145, 262_145]);
    });

    it.each([
      ['nothing at all', '', {}, 400, 'HTTP_BODY_INVALID'],
      ['another media type', 'a,b', { 'content-type': 'text/csv' }, 415, 'HTTP_MEDIA_TYPE_UNSUPPORTED'],
      [
        'another charset',
        '{}',
        { 'content-type': 'application/json;charset=utf-16' },
        415,
        'HTTP_MEDIA_TYPE_UNSUPPORTED',
      ],
      ['another encoding', '{}', { 'content-encoding': 'br' }, 415, 'HTTP_MEDIA_TYPE_UNSUPPORTED'],
      ['gzip that is none', '{}', { 'content-encoding': 'gzip' }, 400, 'HTTP_BODY_INVALID'],
    ])('does not come as %s', async (_what, body, headers, status, code) => {
      const reply = await door.post('/v1/events', body, headers);
      expect(reply.body).toMatchObject({ status, code });
      expect(gate.now.calls).toEqual([]);
    });

    it.each([
      ['THROTTLE', 1, 429, 'IG_RATE_LIMITED', '1'],
      ['PAUSE', 2_001, 503, 'IG_PAUSED', '3'],
    ] as const)('while the door is in %s is to come again', async (state, retryAfterMs, status, code, retryAfter) => {
      Object.assign(gate.now, { state, retryAfterMs });
      for (const path of ['/v1/events', '/v1/events/batch']) {
        const reply = await door.post(path, event(1));
        expect(reply.body).toMatchObject({ status, code, retryable: true });
        expect(reply.headers['retry-after']).toBe(retryAfter);
      }
      expect(gate.now.calls).toEqual([]);
    });

    it('that the gate cannot take now is to come again', async () => {
      gate.now.failures.push(new ProbityError('IG_LEDGER_UNHEALTHY', 'it does not answer'));
      const reply = await door.post('/v1/events', event(1));
      expect(reply.body).toMatchObject({ status: 503, code: 'IG_LEDGER_UNHEALTHY', retryable: true });
      expect(reply.headers['retry-after']).toBe('1');
    });

    it('of an unknown caller does not reach the gate, and is counted', async () => {
      const stranger = await new DoorClient(running.url).post('/v1/events', event(1));
      expect(stranger.body).toMatchObject({ code: 'AUTHZ_DENIED' });
      const forger = new DoorClient(running.url, `pk_operator_${'A'.repeat(43)}`);
      expect((await forger.post('/v1/events', event(1))).body).toMatchObject({ status: 401, code: 'AUTHN_FAILED' });
      expect((await forger.post('/v1/events/batch', event(1), NDJSON)).status).toBe(401);
      expect(gate.now.calls).toEqual([]);
      const { text } = await operator.get('/metrics');
      expect(text).toMatch(/http_server_errors_total\{[^}]*"AUTHN_FAILED"[^}]*\} 1\b/);
    });
  });

  describe('many events', () => {
    it('are answered in their order, in the form in which they came or the one that is asked for', async () => {
      const events = range(2_500).map((id) => event(id));
      const wanted = range(2_500).map((id) => `e-${id}`);
      const lines = await door.post('/v1/events/batch', `${events.join('\r\n\n')}\n`, NDJSON);
      expect([lines.status, lines.headers['content-type']]).toEqual([200, 'application/x-ndjson; charset=utf-8']);
      expect(idsOf(lines.lines)).toEqual(wanted);
      const array = await door.post('/v1/events/batch', gzipSync(`[${events.join(', ')}]`), {
        'content-encoding': 'gzip',
      });
      expect(array.headers['content-type']).toBe('application/json; charset=utf-8');
      expect(idsOf(array.body as Receipt[])).toEqual(wanted);
      expect(new Set((array.body as Receipt[]).map(({ decision }) => decision))).toEqual(new Set(['DUPLICATE']));
      const asked = await door.post('/v1/events/batch', `[${event(1)}]`, { accept: 'application/x-ndjson' });
      expect(asked.lines).toHaveLength(1);
      expect(Math.max(...gate.now.calls.map(({ events: group }) => group.length))).toBeLessThanOrEqual(1_000);
      expect(gate.now.calls.length).toBeLessThan(40);
    });

    it('may be none', async () => {
      expect((await door.post('/v1/events/batch', '[ ]')).text).toBe('[]\n');
      const none = await door.post('/v1/events/batch', '\n \n', NDJSON);
      expect([none.status, none.text]).toEqual([200, '']);
    });

    it('are answered in short when that is enough', async () => {
      const reply = await door.post('/v1/events/batch?receipts=short', `${event(1)}\n{`, NDJSON);
      expect(reply.lines).toEqual([
        { decision: 'ADMIT', receipt_id: expect.any(String), event_id: 'e-1', reason_codes: [], retryable: false },
        {
          decision: 'QUARANTINE',
          receipt_id: expect.any(String),
          reason_codes: ['ENVELOPE_INVALID'],
          retryable: false,
          detail: 'is not an event',
        },
      ]);
      expect((await door.post('/v1/events/batch?receipts=tiny', event(1), NDJSON)).status).toBe(400);
    });

    it('are each refused by themselves: a broken one, one that is no UTF-8, one that is too large', async () => {
      const body = Buffer.concat([
        Buffer.from(`${event(1)}\n{"event_id"\n`),
        Buffer.from('{"event_id":"e-2","x":"\xff"}\n', 'latin1'),
        Buffer.from(`{"event_id":"${'x'.repeat(2_000_000)}"}\n${event(3)}`),
      ]);
      const reply = await door.post('/v1/events/batch', body, NDJSON);
      expect(reply.lines.map((line) => [(line as Receipt).decision, ...(line as Receipt).reason_codes])).toEqual([
        ['ADMIT'],
        ['QUARANTINE', 'ENVELOPE_INVALID'],
        ['QUARANTINE', 'ENVELOPE_INVALID'],
        ['QUARANTINE', 'PAYLOAD_TOO_LARGE'],
        ['ADMIT'],
      ]);
    });

    it('are answered while they are still being sent', async () => {
      const request = door.open('/v1/events/batch', NDJSON);
      request.write(`${event(1)}\n`);
      const [response] = (await once(request, 'response')) as [IncomingMessage];
      const [first] = (await once(response, 'data')) as [Buffer];
      expect(JSON.parse(first.toString())).toMatchObject({ event_id: 'e-1' });
      request.end(event(2));
      const [second] = (await once(response, 'data')) as [Buffer];
      expect(JSON.parse(second.toString())).toMatchObject({ event_id: 'e-2' });
    });

    it.each([
      ['one object', '{"event_id":"e-1"}', {}],
      ['nothing', '', {}],
      ['no JSON', 'hello', {}],
      ['an array with a comma too many', '[,]', {}],
      ['gzip that is none', '[]', { 'content-encoding': 'gzip' }],
    ])('are not %s: an ordinary problem, for there is no answer yet', async (_what, body, headers) => {
      const reply = await door.post('/v1/events/batch', body, headers);
      expect(reply.body).toMatchObject({ status: 400, code: 'HTTP_BODY_INVALID' });
      expect(gate.now.calls).toEqual([]);
    });

    it('that break off are answered as far as they were complete, and then with the error', async () => {
      const broken = `[${event(1)},${event(2)},{"event_id":`;
      const reply = await door.post('/v1/events/batch', broken);
      expect(reply.status).toBe(200);
      expect(reply.body).toMatchObject([
        { event_id: 'e-1' },
        { event_id: 'e-2' },
        { error: { code: 'HTTP_BODY_INVALID', status: 400 } },
      ]);
      const cut = gzipSync(
        range(9_000)
          .map((id) => event(id))
          .join('\n'),
      ).subarray(0, -2_000);
      const lines = (await door.post('/v1/events/batch', cut, { ...NDJSON, 'content-encoding': 'gzip' })).lines;
      expect(lines.at(-1)).toMatchObject({ error: { code: 'HTTP_BODY_INVALID' } });
      expect(idsOf(lines.slice(0, -1))).toEqual(range(lines.length - 1).map((id) => `e-${id}`));
    });

    it('of a silent sender are answered, and then the error says that nothing more came', async () => {
      const request = door.open('/v1/events/batch', NDJSON);
      request.write(`${event(1)}\n{"event`);
      const reply = await replyTo(request);
      expect(reply.lines).toMatchObject([{ event_id: 'e-1' }, { error: { code: 'HTTP_REQUEST_TIMEOUT' } }]);
      request.destroy();
    });

    it('that the gate cannot take in the middle end there; the same events again, and nothing is missing', async () => {
      const body = range(3_000)
        .map((id) => event(id))
        .join('\n');
      gate.now.failures.push(undefined, new ProbityError('IG_EB_UNHEALTHY', 'it does not answer'));
      const { lines } = await door.post('/v1/events/batch', body, NDJSON);
      expect(lines.at(-1)).toMatchObject({ error: { code: 'IG_EB_UNHEALTHY', retryable: true } });
      const taken = idsOf(lines.slice(0, -1));
      expect(taken).toEqual(range(taken.length).map((id) => `e-${id}`));
      expect(taken.length).toBeLessThan(3_000);
      const rest = await door.post('/v1/events/batch', body, NDJSON);
      expect(idsOf(rest.lines)).toEqual(range(3_000).map((id) => `e-${id}`));
    });

    it('are read no further than two groups at the gate and one before it', async () => {
      const release = gate.now.hold();
      const request = door.open('/v1/events/batch', NDJSON);
      const answer = replyTo(request);
      const block = `${event('x'.repeat(1_000))}\n`.repeat(1_000);
      // 20 MB. What the kernel takes of it besides is its own affair, and far less.
      for (let blocks = 0; blocks < 20; blocks += 1) request.write(block);
      request.end();
      await eventually(() => gate.now.active === 2);
      // Time enough for a door that reads on: it serves other requests meanwhile.
      for (let others = 0; others < 30; others += 1) await operator.get('/health/live');
      expect(request.socket?.bytesWritten).toBeGreaterThan(2_000_000);
      expect(request.writableFinished).toBe(false);
      release();
      expect((await answer).lines).toHaveLength(20_000);
      expect(gate.now.activeMax).toBe(2);
    });

    it('of a stream that has begun wait while the door throttles, and end with a pause', async () => {
      const request = door.open('/v1/events/batch', NDJSON);
      const answer = replyTo(request);
      request.write(`${event(1)}\n`);
      await eventually(() => gate.now.calls.length === 1);
      Object.assign(gate.now, { state: 'THROTTLE', retryAfterMs: 1 });
      request.write(`${event(2)}\n`);
      expect((await door.post('/v1/events', event(9))).status).toBe(429);
      gate.now.state = 'OPEN';
      await eventually(() => gate.now.calls.length === 2);
      // The caller's own rate: a stream waits, too.
      gate.now.failures.push(new ProbityError('IG_RATE_LIMITED', 'too fast', { data: { retry_after_ms: 5 } }));
      request.write(`${event(3)}\n`);
      await eventually(() => gate.now.calls.length === 4);
      Object.assign(gate.now, { state: 'PAUSE', retryAfterMs: 1_500 });
      request.end(event(4));
      expect((await answer).lines).toMatchObject([
        { event_id: 'e-1' },
        { event_id: 'e-2' },
        { event_id: 'e-3' },
        { error: { code: 'IG_PAUSED', data: { retry_after_ms: 1_500 } } },
      ]);
    });

    it('of a client that disappears end with its signal', async () => {
      const release = gate.now.hold();
      const request = door.open('/v1/events/batch', NDJSON);
      request.on('error', () => undefined);
      request.write(`${event(1)}\n`);
      await eventually(() => gate.now.calls.length === 1);
      request.destroy();
      await eventually(() => gate.now.calls[0]?.context.signal.aborted === true);
      release();
    });

    it('of a client that takes no answers are not read for ever', async () => {
      const request = door.open('/v1/events/batch', NDJSON);
      request.on('error', () => undefined);
      const gone = new Promise((resolve) => request.once('close', resolve));
      request.on('response', (response: IncomingMessage) => {
        response.on('error', () => undefined).pause();
      });
      const block = range(1_000)
        .map((id) => event(id))
        .join('\n');
      const feed = (): void => {
        while (!request.destroyed && request.write(`${block}\n`));
        request.once('drain', feed);
      };
      feed();
      await gone;
      expect(gate.now.calls.length).toBeGreaterThan(1);
    });

    it('take no more memory the more they are', async () => {
      gate.now.forgets = true;
      const request = door.open('/v1/events/batch?receipts=short', { ...NDJSON, 'content-encoding': 'gzip' });
      const answer = once(request, 'response');
      // One event again and again: 250 MB of them, which arrive as less than one.
      const line = `${JSON.stringify({ event_id: 'e-1', payload: 'x'.repeat(100_000) })}\n`;
      const lines = new Array<string>(2_500).fill(line);
      const before = await heldBytes();
      Readable.from(lines).pipe(createGzip()).pipe(request);
      const [response] = (await answer) as [IncomingMessage];
      let answered = 0;
      let heldMax = 0;
      for await (const piece of response as AsyncIterable<Buffer>) {
        const looked = Math.floor(answered / 250);
        for (const byte of piece) if (byte === 0x0a) answered += 1;
        if (Math.floor(answered / 250) > looked) heldMax = Math.max(heldMax, await heldBytes());
      }
      expect(answered).toBe(2_500);
      // Some groups at a time, and what the streams between them hold.
      expect(heldMax - before).toBeLessThan(25 * 1024 * 1024);
    });

    it('end where no event ends', async () => {
      const bomb = gzipSync(Buffer.alloc(60_000_000, 0x20));
      const reply = await door.post('/v1/events/batch', bomb, { ...NDJSON, 'content-encoding': 'gzip' });
      expect(reply.body).toMatchObject({ status: 413, code: 'HTTP_BODY_TOO_LARGE' });
    });
  });

  describe('what was refused', () => {
    const ABSENT = 'a'.repeat(64);

    async function refused(body = '{"event_id": "e-1", '): Promise<string> {
      const { receipt } = (await door.post('/v1/events', body)).body as { readonly receipt: Receipt };
      return receipt.receipt_id;
    }

    it('is listed by filter and page', async () => {
      const id = await refused();
      const run = '1'.repeat(32);
      const page = await operator.get(
        `/v1/quarantine?limit=2&cursor=c&run_id=${run}&reason=ENVELOPE_INVALID&producer=payments-api`,
      );
      expect(page.body).toMatchObject({ entries: [{ quarantine_id: id }], next_cursor: 'more' });
      await operator.get('/v1/quarantine');
      expect(gate.now.queries).toEqual([
        { limit: 2, cursor: 'c', run_id: run, reason: 'ENVELOPE_INVALID', producer: 'payments-api' },
        { limit: 50 },
      ]);
      for (const query of ['limit=0', 'limit=201', 'limit=x', 'run_id=7', 'reason=NONE', 'more=1']) {
        expect((await operator.get(`/v1/quarantine?${query}`)).body).toMatchObject({ code: 'HTTP_REQUEST_INVALID' });
      }
    });

    it('is shown with its evidence, to those who say why', async () => {
      const id = await refused();
      expect((await operator.get(`/v1/quarantine/${id}`)).body).toMatchObject({ quarantine_id: id });
      for (const query of ['', '?purpose=', '?purpose=%20']) {
        const answer = await operator.get(`/v1/quarantine/${id}/evidence${query}`);
        expect(answer.body).toMatchObject({ status: 422, code: 'IG_PURPOSE_REQUIRED' });
      }
      const { body } = await operator.get(`/v1/quarantine/${id}/evidence?purpose=ticket%207`);
      expect(body).toEqual({
        quarantine_id: id,
        text: '{"event_id": "e-1", ',
        size: 20,
        digest: expect.stringMatching(/^[0-9a-f]{64}$/),
      });
      expect(gate.now.reads).toEqual([{ id, reader: 'HUMAN::operator', purpose: 'ticket 7' }]);
      gate.now.raw.set(id as never, Buffer.from([0xff]));
      expect((await operator.get(`/v1/quarantine/${id}/evidence?purpose=x`)).body).toMatchObject({ base64: '/w==' });
      gate.now.raw.set(id as never, null);
      expect((await operator.get(`/v1/quarantine/${id}/evidence?purpose=x`)).body).toMatchObject({
        code: 'IG_EVIDENCE_NOT_KEPT',
      });
    });

    it('enters again by the same gate, as it was or corrected, and says what it supersedes', async () => {
      const id = await refused();
      const as_it_was = await operator.post(`/v1/quarantine/${id}/release`, { reason: 'the policy has changed' });
      expect(as_it_was.body).toMatchObject({ code: 'IG_ENVELOPE_INVALID', receipt: { supersedes_ref: id } });
      const raw = '{"event_id":"e-1", "payload":{"n":9007199254740993}}';
      const corrected = await operator.raw(`/v1/quarantine/${id}/release`, `{"reason":"typo","correction": ${raw} }`);
      expect(corrected.status).toBe(201);
      expect(corrected.body).toMatchObject({ decision: 'ADMIT', supersedes_ref: id });
      expect(gate.now.calls.slice(1).map(({ events }) => events)).toEqual([
        [{ text: '{"event_id": "e-1", ', supersedes: id }],
        [{ text: raw, supersedes: id }],
      ]);
      expect(gate.now.calls.every(({ context }) => context.principal.actor.actor_id === 'HUMAN::operator')).toBe(true);
      expect(gate.now.reads).toEqual([{ id, reader: 'HUMAN::operator', purpose: 'release: the policy has changed' }]);
      expect(logs.text).toContain('ig_quarantine_released');
    });

    it('does not enter again without its bytes, a reason, or a correction that is one', async () => {
      const id = await refused();
      gate.now.raw.set(id as never, null);
      expect((await operator.post(`/v1/quarantine/${id}/release`, { reason: 'x' })).body).toMatchObject({
        status: 409,
        code: 'IG_EVIDENCE_NOT_KEPT',
      });
      for (const body of [
        {},
        { reason: '' },
        { reason: 7 },
        { reason: 'x', correction: [] },
        { reason: 'x', force: 1 },
        [],
      ]) {
        expect((await operator.post(`/v1/quarantine/${id}/release`, body)).body).toMatchObject({
          code: 'HTTP_REQUEST_INVALID',
        });
      }
      const twice = '{"reason":"x","correction":{},"correction":{"event_id":"e-1"}}';
      expect((await operator.raw(`/v1/quarantine/${id}/release`, twice)).status).toBe(400);
      expect((await operator.raw(`/v1/quarantine/${id}/release`, '{"reason":')).body).toMatchObject({
        code: 'HTTP_BODY_INVALID',
      });
      expect(gate.now.calls).toHaveLength(1);
    });

    it('is not found where there is none', async () => {
      for (const id of [ABSENT, 'x']) {
        expect((await operator.get(`/v1/receipts/${id}`)).body).toMatchObject({ code: 'IG_RECEIPT_NOT_FOUND' });
        for (const path of [`/v1/quarantine/${id}`, `/v1/quarantine/${id}/evidence?purpose=x`]) {
          expect((await operator.get(path)).body).toMatchObject({ status: 404, code: 'IG_QUARANTINE_NOT_FOUND' });
        }
        const release = await operator.post(`/v1/quarantine/${id}/release`, { reason: 'x' });
        expect(release.body).toMatchObject({ code: 'IG_QUARANTINE_NOT_FOUND' });
      }
    });
  });

  it('say whether ledger and bus agree', async () => {
    await door.post('/v1/events', event(1));
    const run = '1'.repeat(32);
    expect((await operator.get(`/v1/runs/${run}/reconciliation`)).body).toMatchObject({ run_id: run, admitted: 1 });
    expect((await operator.get('/v1/runs/7/reconciliation')).status).toBe(400);
  });

  it('let nobody past who may only call ports', async () => {
    const service = new Http(running.url, readFileSync(join(folder, 'keys', 'service.key'), 'utf8').trim());
    const id = 'a'.repeat(64);
    for (const path of ['/v1/receipts?event_id=e', '/v1/quarantine', `/v1/quarantine/${id}/evidence?purpose=x`]) {
      expect((await service.get(path)).body).toMatchObject({ code: 'AUTHZ_DENIED' });
    }
    expect((await service.post(`/v1/quarantine/${id}/release`, { reason: 'x' })).status).toBe(403);
  });

  it('stand in the OpenAPI document', async () => {
    const { paths } = (await operator.get('/openapi.json')).body as { readonly paths: object };
    expect(Object.keys(paths)).toEqual(
      expect.arrayContaining([
        '/v1/events',
        '/v1/events/batch',
        '/v1/receipts',
        '/v1/receipts/{receipt_id}',
        '/v1/quarantine',
        '/v1/quarantine/{quarantine_id}',
        '/v1/quarantine/{quarantine_id}/evidence',
        '/v1/quarantine/{quarantine_id}/release',
        '/v1/runs/{run_id}/reconciliation',
      ]),
    );
  });
});
