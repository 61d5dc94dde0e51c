import { randomUUID } from 'node:crypto';
import { afterEach, describe, expect, it } from '@jest/globals';
import { ProbityError } from '../../src/rails/errors/probity-error.js';
import { eventIdOf } from '../../src/modules/data-engine/data-engine.port.js';
import type { StreamStatus } from '../../src/modules/world-stream-producer/world-stream-producer.port.js';
import type { Objects } from '../../src/substrate/objects/objects.port.js';
import type { TestDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import {
  type KitRun,
  type MadeRun,
  Producer,
  type ProducerOptions,
  putRun,
  rowsOf,
  ScriptedGate,
} from './world-stream-producer.kit.js';

export interface Place {
  readonly database: TestDatabase;
  readonly objects: Objects;
}

/** Ids of the events that the rows of these outputs become, in the order in which they must be sent. */
export function sealedIds(run: MadeRun, outputs: KitRun['outputs']): readonly string[] {
  const { run_id: _run, ...world } = run.pins;
  return outputs
    .flatMap(({ output_id, rows }) => rows.map(({ key, ts_utc }, row) => ({ output_id, row, key, ts_utc })))
    .sort((a, b) => order(a.ts_utc, b.ts_utc) || order(a.output_id, b.output_id) || a.row - b.row)
    .map(({ output_id, key }) => eventIdOf(output_id, key, world));
}

function order(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** What must hold of a pass that is complete, whatever happened on the way. */
export function expectWhole(status: StreamStatus, rows: number): void {
  expect(status).toMatchObject({ state: 'COMPLETED', rows_total: rows, sent: rows, in_flight: 0 });
  expect(status.admitted + status.duplicate + status.quarantined).toBe(rows);
}

/** The producer's promises, over any database and object store. */
export function producerSuite(place: () => Place): void {
  const producers: Producer[] = [];

  afterEach(async () => {
    await Promise.all(producers.splice(0).map((producer) => producer.stop()));
  });

  function open(gate: ScriptedGate, more: Partial<Omit<ProducerOptions, 'gate'>> = {}): Producer {
    const producer = new Producer({ ...place(), gate, ...more });
    producers.push(producer);
    return producer;
  }

  async function make(run: Omit<KitRun, 'key'>): Promise<MadeRun> {
    return await putRun(place().objects, { key: randomUUID(), ...run });
  }

  const transactions = (rows: number) => [{ output_id: 'transactions', rows: rowsOf(rows) }];

  describe('a sealed run', () => {
    it('is sent whole, once, in order, in batches of the policy, over all parts', async () => {
      const outputs = transactions(1_234);
      const run = await make({ outputs, partRows: 100 });
      const gate = new ScriptedGate();
      gate.script = { before: () => turn() };
      const producer = open(gate);
      expect(await producer.start(run)).toMatchObject({ pass: 1, rows_total: 1_234, pins: run.pins });
      const status = await producer.until(run, 'COMPLETED');
      expectWhole(status, 1_234);
      expect(status).toMatchObject({ admitted: 1_234, duplicate: 0, quarantined: 0, quarantined_examples: [] });
      expect(status.last).toMatchObject({ output_id: 'transactions', row: 1_233, key: 't-1233' });
      expect(status.sim_now_utc).toBe(status.last?.ts_utc);
      expect([...gate.admitted.keys()]).toEqual(sealedIds(run, outputs));
      expect(gate.offered.length).toBe(1_234);
      expect(gate.inFlightMax).toBe(2);
      expect(gate.calls).toBeLessThanOrEqual(26 + 13);
      const { rows } = await place()
        .database.forSchema('wsp')
        .query('select pass, admitted, policy_rev from passes where run_id = $1', [run.run_id]);
      expect(rows).toMatchObject([{ pass: 1, admitted: 1_234, policy_rev: { policy_id: 'wsp.stream', revision: 1 } }]);
    });

    it('merges its traffic by time, output and row, and sends nothing else that it has', async () => {
      const outputs = [
        { output_id: 'refunds', rows: rowsOf(300, { prefix: 'r', stepMs: 1_700 }) },
        { output_id: 'cards', rows: rowsOf(500, { prefix: 'c' }) },
      ];
      const others = [
        { output_id: 'labels', role: 'truth_products' as const, rows: rowsOf(40, { prefix: 'l' }) },
        { output_id: 'undeclared', rows: rowsOf(40, { prefix: 'u' }), declared: false },
      ];
      const run = await make({ outputs: [...outputs, ...others], partRows: 70 });
      const gate = new ScriptedGate();
      const producer = open(gate);
      await producer.start(run);
      expectWhole(await producer.until(run, 'COMPLETED'), 800);
      expect([...gate.admitted.keys()]).toEqual(sealedIds(run, outputs));
    });

    it('streamed again is all duplicates, in a pass of its own; without being asked it stays as it is', async () => {
      const run = await make({ outputs: transactions(120) });
      const gate = new ScriptedGate();
      const producer = open(gate);
      await producer.start(run);
      await producer.until(run, 'COMPLETED');
      expect(await producer.start(run)).toMatchObject({ pass: 1, state: 'COMPLETED' });
      const again = await producer.start(run, { again: true });
      expect(again).toMatchObject({ pass: 2, sent: 0 });
      const status = await producer.until(run, 'COMPLETED');
      expectWhole(status, 120);
      expect(status).toMatchObject({ pass: 2, duplicate: 120, admitted: 0 });
      expect(gate.admitted.size).toBe(120);
    });

    it('begins one further pass when two ask for it at once', async () => {
      const run = await make({ outputs: transactions(60) });
      const gate = new ScriptedGate();
      const [one, other] = [open(gate), open(gate)];
      await one.start(run);
      await one.until(run, 'COMPLETED');
      const held = gateThatHolds(gate);
      await Promise.all([one.start(run, { again: true }), other.start(run, { again: true })]);
      held.release();
      expectWhole(await one.until(run, 'COMPLETED'), 60);
      expect(await one.status(run)).toMatchObject({ pass: 2 });
      expect(gate.offered.length).toBe(120);
    });

    it('keeps its counts for ever: the fact of a pass refuses to be changed', async () => {
      const run = await make({ outputs: transactions(3) });
      const producer = open(new ScriptedGate());
      await producer.start(run);
      await producer.until(run, 'COMPLETED');
      const wsp = place().database.forSchema('wsp');
      await expect(wsp.query('update passes set admitted = 2 where run_id = $1', [run.run_id])).rejects.toThrow();
      await expect(wsp.query('delete from ready_messages')).rejects.toThrow();
    });
  });

  describe('nobody starts what may not be read', () => {
    it('a run that nobody requested, one that is not ready, one without sealed traffic', async () => {
      const producer = open(new ScriptedGate());
      const stranger = { run_id: 'ab'.repeat(16) } as MadeRun;
      await expect(producer.start(stranger)).rejects.toMatchObject({ code: 'SR_RUN_NOT_FOUND' });
      await expect(producer.status(stranger)).rejects.toMatchObject({ code: 'WSP_STREAM_NOT_FOUND' });
      await expect(producer.pause(stranger)).rejects.toMatchObject({ code: 'WSP_STREAM_NOT_FOUND' });
      const requested = await make({ outputs: transactions(3), state: 'REQUESTED' });
      await expect(producer.start(requested)).rejects.toMatchObject({ code: 'WSP_RUN_NOT_READY', retryable: true });
      const labels = await make({ outputs: [{ output_id: 'labels', role: 'truth_products', rows: rowsOf(3) }] });
      await expect(producer.start(labels)).rejects.toMatchObject({ code: 'WSP_NOTHING_TO_STREAM' });
    });

    const foreign = '1'.repeat(64);
    const views: readonly (readonly [string, NonNullable<KitRun['tamper']>, string])[] = [
      [
        'other pins in READY than in the view',
        { ready: (ready) => ({ ...ready, pins: { ...ready.pins, parameter_hash: foreign as never } }) },
        'WSP_VIEW_MISMATCH',
      ],
      [
        'the id of another message',
        { ready: (ready) => ({ ...ready, message_id: foreign as never }) },
        'WSP_VIEW_MISMATCH',
      ],
      [
        'a truth product that is declared as traffic',
        {
          view: (view) => ({
            ...view,
            outputs: view.outputs.map((output) => ({ ...output, role: 'truth_products' as const })),
          }),
        },
        'WSP_VIEW_MISMATCH',
      ],
      ['traffic that it does not have', { view: (view) => ({ ...view, outputs: [] }) }, 'WSP_VIEW_MISMATCH'],
      [
        'one flipped byte in the view',
        { stored: (key, bytes) => (key.endsWith('facts_view.json') ? flipped(bytes) : bytes) },
        'OBJECTS_DIGEST_MISMATCH',
      ],
    ];
    it.each(views)('a run with %s', async (_name, tamper, code) => {
      const run = await make({ outputs: transactions(3), tamper });
      const gate = new ScriptedGate();
      await expect(open(gate).start(run)).rejects.toMatchObject({ code });
      expect(gate.calls).toBe(0);
    });

    const gates: readonly (readonly [string, Partial<KitRun>, string, RegExp])[] = [
      [
        'whose receipt says FAIL',
        { outputs: [{ ...transactions(3)[0], status: 'FAIL' }] as KitRun['outputs'] },
        'GATE_NOT_PASSED',
        /index\.json/,
      ],
      [
        'whose receipt is about another output',
        { tamper: { receipt: (receipt) => ({ ...receipt, scope: { ...receipt.scope, output_id: 'others' } }) } },
        'GATE_NOT_PASSED',
        /index\.json/,
      ],
      [
        'whose receipt is about other bytes',
        { tamper: { receipt: (receipt) => ({ ...receipt, artifact_digest: '2'.repeat(64) as never }) } },
        'GATE_NOT_PASSED',
        /index\.json/,
      ],
      [
        'without its receipt',
        { tamper: { stored: (key, bytes) => (key.endsWith('receipt.json') ? null : bytes) } },
        'GATE_NOT_PASSED',
        /index\.json/,
      ],
      [
        'whose receipt does not stand in the view',
        { tamper: { view: (view) => ({ ...view, gate_receipts: [] }) } },
        'WSP_VIEW_MISMATCH',
        /receipt\.json/,
      ],
      [
        'with one flipped byte in the receipt',
        { tamper: { stored: (key, bytes) => (key.endsWith('receipt.json') ? flipped(bytes) : bytes) } },
        'OBJECTS_DIGEST_MISMATCH',
        /receipt\.json/,
      ],
      [
        'with one flipped byte in the index',
        { tamper: { stored: (key, bytes) => (key.endsWith('index.json') ? flipped(bytes) : bytes) } },
        'OBJECTS_DIGEST_MISMATCH',
        /index\.json/,
      ],
      [
        'whose index belongs to another world',
        { tamper: { index: (index) => ({ ...index, pins: { ...index.pins, parameter_hash: foreign as never } }) } },
        'WSP_VIEW_MISMATCH',
        /another world/,
      ],
      [
        'whose index leaves rows out',
        { tamper: { index: (index) => ({ ...index, parts: index.parts.slice(1) }) } },
        'WSP_PART_INVALID',
        /does not follow/,
      ],
    ];
    it.each(gates)('an output %s: nothing of it is sent', async (_name, more, code, names) => {
      const run = await make({ outputs: transactions(30), partRows: 10, ...more });
      const gate = new ScriptedGate();
      const producer = open(gate);
      await producer.start(run);
      const status = await producer.until(run, 'FAILED');
      expect(status.reason).toMatchObject({ code, detail: expect.stringMatching(names) as unknown });
      expect(gate.calls).toBe(0);
    });
  });

  describe('a part that is not what was sealed', () => {
    const spoil = (name: string, how: (bytes: Buffer) => Buffer | null) => ({
      stored: (key: string, bytes: Buffer) => (key.endsWith(name) ? how(bytes) : bytes),
    });

    it.each([
      ['has one flipped byte', flipped, 'OBJECTS_DIGEST_MISMATCH'],
      ['is cut short', (bytes: Buffer) => bytes.subarray(0, -1), 'OBJECTS_DIGEST_MISMATCH'],
      ['is missing', () => null, 'OBJECTS_NOT_FOUND'],
    ])('%s: nothing of it and nothing after it is sent, and it is named', async (_name, how, code) => {
      const outputs = transactions(500);
      const run = await make({ outputs, partRows: 100, tamper: spoil('part-000003.ndjson', how) });
      const gate = new ScriptedGate();
      const producer = open(gate);
      await producer.start(run);
      const status = await producer.until(run, 'FAILED');
      expect(status.reason).toMatchObject({ code, detail: expect.stringContaining('part-000003.ndjson') as unknown });
      expect(gate.offered).toEqual(sealedIds(run, outputs).slice(0, 300));
      expect(status).toMatchObject({ sent: 300, admitted: 300, in_flight: 0 });
      expect(await producer.telemetry.metricsText()).toMatch(/wsp_verification_failures[^\n]*DIGEST|NOT_FOUND/);
      // It stays so when it is asked for again, and sends nothing twice.
      await producer.start(run);
      await producer.until(run, 'FAILED');
      expect(gate.offered.length).toBe(300);
    });

    it('is sent where the store hands out what it does not verify: the twin of the test above', async () => {
      const outputs = transactions(500);
      const run = await make({ outputs, partRows: 100 });
      const objects = thatReads(place().objects, 'part-000003.ndjson', flipped);
      const gate = new ScriptedGate();
      const producer = open(gate, { objects });
      await producer.start(run);
      await producer.until(run, 'COMPLETED', 'FAILED');
      expect(gate.offered.length).toBeGreaterThan(300);
    });

    it('of another form than its index says ends the stream, and is named', async () => {
      const run = await make({ outputs: transactions(300), partRows: 100 });
      const objects = thatReads(place().objects, 'part-000001.ndjson', (bytes) =>
        Buffer.from(bytes.toString('utf8').replace('"payload":', '"run_id":"x","payload":')),
      );
      const gate = new ScriptedGate();
      const producer = open(gate, { objects });
      await producer.start(run);
      const status = await producer.until(run, 'FAILED');
      expect(status.reason).toMatchObject({
        code: 'WSP_PART_INVALID',
        detail: expect.stringContaining('part-000001.ndjson') as unknown,
      });
      expect(gate.offered.length).toBe(100);
    });
  });

  describe('a gate that does not take everything at once', () => {
    it('is asked again for what it refused retryably: nothing is lost, nothing is counted twice', async () => {
      const outputs = transactions(700);
      const run = await make({ outputs });
      const gate = new ScriptedGate();
      const codes = ['IG_RATE_LIMITED', 'IG_LEDGER_UNHEALTHY', 'RPC_OUTCOME_UNKNOWN', 'RPC_DEADLINE_EXCEEDED'] as const;
      gate.script = {
        before: (call) => refuseIf(call % 3 === 0, codes[call % 4] ?? 'IG_PAUSED'),
        // The answer is lost after the events were admitted: they come back as duplicates.
        after: (call) => refuseIf(call % 7 === 0, 'RPC_OUTCOME_UNKNOWN'),
      };
      const producer = open(gate);
      await producer.start(run);
      const status = await producer.until(run, 'COMPLETED');
      expectWhole(status, 700);
      expect(status.duplicate).toBeGreaterThan(0);
      expect(gate.admitted.size).toBe(700);
      expect(new Set(gate.admitted.keys())).toEqual(new Set(sealedIds(run, outputs)));
    });

    it('is THROTTLED, then PAUSED with the reason, and goes on by itself; memory holds the same few batches', async () => {
      const outputs = transactions(2_000);
      const run = await make({ outputs, partRows: 100 });
      const gate = new ScriptedGate();
      let down = true;
      gate.script = { before: () => refuseIf(down, 'IG_PAUSED') };
      const producer = open(gate, { timings: { pausedAfterMs: 150, backOff: { firstMs: 5, maxMs: 20 } } });
      await producer.start(run);
      const throttled = await producer.until(run, 'THROTTLED');
      expect(throttled.reason).toMatchObject({ code: 'IG_PAUSED' });
      const paused = await producer.until(run, 'PAUSED');
      expect(paused).toMatchObject({ reason: { code: 'IG_PAUSED' }, in_flight: 100, sent: 0 });
      // However often it asks meanwhile, it is the head alone that is asked for again.
      const calls = gate.calls;
      await eventually(() => gate.calls > calls + 3);
      expect(new Set(gate.offered).size).toBe(100);
      expect(gate.offered.slice(100)).toEqual(
        Array.from({ length: gate.offered.length - 100 }, (_, i) => gate.offered[i % 50]),
      );
      down = false;
      expectWhole(await producer.until(run, 'COMPLETED'), 2_000);
      expect([...gate.admitted.keys()].sort()).toEqual([...sealedIds(run, outputs)].sort());
    });

    it('that lets the producer in no longer ends the stream, without a row behind the refusal being counted', async () => {
      const run = await make({ outputs: transactions(300) });
      const gate = new ScriptedGate();
      gate.script = { before: (call) => refuseIf(call === 3, 'AUTHZ_DENIED') };
      const producer = open(gate, { policy: { batches_in_flight_max: 1 } });
      await producer.start(run);
      const status = await producer.until(run, 'FAILED');
      expect(status).toMatchObject({ sent: 100, reason: { code: 'AUTHZ_DENIED' } });
      await producer.start(run);
      expectWhole(await producer.until(run, 'COMPLETED'), 300);
    });

    it.each(['POLICY_DENY', 'PRODUCER_MISMATCH'] as const)(
      'that answers %s ends it; allowed, it loses no row',
      async (quarantine) => {
        const run = await make({ outputs: transactions(200) });
        const gate = new ScriptedGate();
        gate.script = { judge: (_event, call) => (call >= 3 ? { quarantine, retryable: false } : 'ADMIT') };
        const producer = open(gate);
        await producer.start(run);
        const status = await producer.until(run, 'FAILED');
        expect(status).toMatchObject({ sent: 100, quarantined: 0, reason: { code: `IG_${quarantine}` } });
        gate.script = {};
        await producer.start(run);
        const whole = await producer.until(run, 'COMPLETED');
        expectWhole(whole, 200);
        expect(gate.admitted.size).toBe(200);
      },
    );

    it('that quarantines some: they are counted and named, and the others go on', async () => {
      const run = await make({ outputs: transactions(400) });
      const gate = new ScriptedGate();
      const bad = (event: { payload: { [key: string]: unknown } }) => Number(event.payload['amount_minor']) % 10 === 0;
      gate.script = {
        judge: (event) => (bad(event) ? { quarantine: 'SCHEMA_FAIL', retryable: false } : 'ADMIT'),
      };
      const producer = open(gate);
      await producer.start(run);
      const status = await producer.until(run, 'COMPLETED');
      expectWhole(status, 400);
      expect(status).toMatchObject({ admitted: 360, quarantined: 40 });
      expect(status.quarantined_examples).toHaveLength(20);
      expect(status.quarantined_examples[0]).toEqual({
        event_id: sealedIds(run, transactions(400))[0],
        reason_codes: ['SCHEMA_FAIL'],
      });
    });

    it('that quarantines retryably is asked again so often, and no more', async () => {
      const run = await make({ outputs: transactions(100) });
      const gate = new ScriptedGate();
      const seen = new Map<string, number>();
      gate.script = {
        judge: ({ event_id, payload }) => {
          const times = (seen.get(event_id) ?? 0) + 1;
          seen.set(event_id, times);
          const row = Number(payload['amount_minor']);
          // Row 7 is ready at the third time; row 8 never is.
          return row === 8 || (row === 7 && times < 3) ? { quarantine: 'RUN_NOT_READY', retryable: true } : 'ADMIT';
        },
      };
      const producer = open(gate, { timings: { quarantineRetriesMax: 4 } });
      await producer.start(run);
      const status = await producer.until(run, 'COMPLETED');
      expectWhole(status, 100);
      expect(status).toMatchObject({ admitted: 99, quarantined: 1 });
      expect([...seen.values()].filter((times) => times > 1).sort()).toEqual([3, 5]);
    });

    it('that quarantines too large a share stops it; who asks again wants to see the rest', async () => {
      const run = await make({ outputs: transactions(1_000) });
      const gate = new ScriptedGate();
      gate.script = { judge: () => ({ quarantine: 'SCHEMA_FAIL', retryable: false }) };
      const producer = open(gate, {
        policy: { quarantine_share_max: 0.01, quarantine_rows_min: 100, batches_in_flight_max: 1 },
      });
      await producer.start(run);
      const paused = await producer.until(run, 'PAUSED');
      expect(paused).toMatchObject({ sent: 100, quarantined: 100, reason: { code: 'QUARANTINE_SHARE_TOO_LARGE' } });
      gate.script = {};
      await producer.start(run);
      expectWhole(await producer.until(run, 'COMPLETED'), 1_000);
      expect(await producer.status(run)).toMatchObject({ admitted: 900, quarantined: 100 });
    });

    it('that answers fewer than it was asked is not believed', async () => {
      const run = await make({ outputs: transactions(120) });
      const gate = new ScriptedGate();
      const submit = gate.submit.bind(gate);
      let short = 3;
      gate.submit = async (request, context) => {
        const { results } = await submit(request, context);
        return { results: (short -= 1) >= 0 ? results.slice(1) : results };
      };
      const producer = open(gate);
      await producer.start(run);
      expectWhole(await producer.until(run, 'COMPLETED'), 120);
      expect(gate.admitted.size).toBe(120);
    });
  });

  describe('one run, one stream', () => {
    it('a second process answers with the status of the first, and sends nothing', async () => {
      const run = await make({ outputs: transactions(400) });
      const [first, second] = [new ScriptedGate(), new ScriptedGate()];
      const held = gateThatHolds(first);
      const [one, other] = [open(first), open(second)];
      await one.start(run);
      await eventually(() => first.inFlight === 2);
      await eventually(async () => (await other.start(run)).state === 'STREAMING');
      held.release();
      await one.until(run, 'COMPLETED');
      expect(second.calls).toBe(0);
      expectWhole(await other.until(run, 'COMPLETED'), 400);
    });

    it('whose holder said nothing for the time of a lease goes on elsewhere; what the old one still says counts for nothing', async () => {
      const outputs = transactions(400);
      const run = await make({ outputs });
      const gate = new ScriptedGate();
      const held = gateThatHolds(gate);
      const old = open(gate, { timings: { leaseMs: 60_000 } });
      await old.start(run);
      await eventually(() => gate.inFlight === 2);
      // As if the time of its lease had run out while the process stood still.
      const wsp = place().database.forSchema('wsp');
      await wsp.query(`update streams set lease_until = now() - interval '1 second' where run_id = $1`, [run.run_id]);
      const second = new ScriptedGate();
      second.admitted.set('x', 'x');
      const heir = open(second);
      await heir.start(run);
      expectWhole(await heir.until(run, 'COMPLETED'), 400);
      const before = await heir.status(run);
      held.release();
      await old.stop();
      expect(await heir.status(run)).toEqual(before);
      // The old one had sent what was on its way, and not one row more.
      expect(gate.offered.length).toBe(100);
      const { rows } = await wsp.query('select pass from passes where run_id = $1', [run.run_id]);
      expect(rows).toHaveLength(1);
    });

    it('stopped and started goes on where it stood; a process that starts takes up what nobody drives', async () => {
      const outputs = transactions(600);
      const run = await make({ outputs });
      const gate = new ScriptedGate();
      const first = open(gate, { policy: { batches_in_flight_max: 1 } });
      let stopped: Promise<void> | undefined;
      gate.script = { before: (call) => void (call === 5 ? (stopped ??= first.stop()) : undefined) };
      await first.start(run);
      await eventually(() => stopped !== undefined);
      await stopped;
      expect(await first.status(run)).toMatchObject({ state: 'STREAMING', in_flight: 0 });
      const next = open(gate);
      next.service.onApplicationBootstrap();
      const status = await next.until(run, 'COMPLETED');
      expectWhole(status, 600);
      expect(new Set(gate.admitted.keys())).toEqual(new Set(sealedIds(run, outputs)));
    });

    it('paused sends nothing more, keeps its counts, and goes on when it is asked to', async () => {
      const run = await make({ outputs: transactions(1_000) });
      const gate = new ScriptedGate();
      const held = gateThatHolds(gate, 4);
      const producer = open(gate);
      await producer.start(run);
      await eventually(() => gate.inFlight === 2);
      const pausing = producer.pause(run);
      await eventually(async () => (await producer.store.find(run.run_id))?.wanted === false);
      await turn();
      held.release();
      const paused = await pausing;
      expect(paused).toMatchObject({ state: 'PAUSED', in_flight: 0, reason: { code: 'PAUSE_ASKED_FOR' } });
      const { calls } = gate;
      expect(paused.sent).toBe(gate.admitted.size);
      // Nobody takes up what nobody wants.
      producer.service.onApplicationBootstrap();
      await producer.service.drive(run.run_id);
      expect(gate.calls).toBe(calls);
      await producer.start(run);
      const whole = await producer.until(run, 'COMPLETED');
      expectWhole(whole, 1_000);
      expect(whole.duplicate).toBe(0);
    });

    it('can be paused from another process than the one that streams it', async () => {
      const run = await make({ outputs: transactions(2_000) });
      const gate = new ScriptedGate();
      const held = gateThatHolds(gate, 3);
      const [one, other] = [open(gate), open(gate)];
      await one.start(run);
      await eventually(() => gate.inFlight === 2);
      await other.pause(run);
      held.release();
      await one.until(run, 'PAUSED');
      await other.start(run);
      expectWhole(await other.until(run, 'COMPLETED'), 2_000);
    });
  });
}

export function flipped(bytes: Buffer): Buffer {
  const copy = Buffer.from(bytes);
  // Within a number of a row, so that the row stays one.
  const at = Math.max(copy.indexOf('"amount_minor":') + '"amount_minor":'.length, 0);
  copy[at] = (copy[at] ?? 0) ^ 1;
  return copy;
}

function refuseIf(condition: boolean, code: ProbityError['code']): Promise<void> {
  return condition ? Promise.reject(new ProbityError(code, 'as the script says')) : Promise.resolve();
}

/** One turn of the event loop, as an answer over a network takes at the least. */
function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** The same store, which hands out other bytes of one object than it has, without noticing. */
export function thatReads(objects: Objects, name: string, change: (bytes: Buffer) => Buffer): Objects {
  const read: Objects['read'] = async (ref, options) => {
    const bytes = await objects.read(ref, options);
    return ref.locator.endsWith(name) ? change(bytes) : bytes;
  };
  return new Proxy(objects, {
    get(target, property) {
      if (property === 'read') return read;
      const value: unknown = Reflect.get(target, property, target);
      return typeof value === 'function' ? (value.bind(target) as unknown) : value;
    },
  });
}

/** Holds calls, from the nth on, until they are let go. */
export function gateThatHolds(gate: ScriptedGate, from = 1): { readonly release: () => void } {
  let release = (): void => undefined;
  const released = new Promise<void>((resolve) => (release = resolve));
  gate.script = { ...gate.script, before: (call) => (call >= from ? released : undefined) };
  return { release };
}
