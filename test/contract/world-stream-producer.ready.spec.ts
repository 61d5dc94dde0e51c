import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { canonicalJson } from '../../src/rails/canonical-json.js';
import { asTopicName, asOffset } from '../../src/rails/eb-ref.js';
import { ProbityError } from '../../src/rails/errors/probity-error.js';
import { WorldStreamProducerConsumer } from '../../src/modules/world-stream-producer/world-stream-producer.consumer.js';
import type { RecordBatch } from '../../src/substrate/bus/bus.port.js';
import type { Objects } from '../../src/substrate/objects/objects.port.js';
import { openTestPostgres, type TestDatabase, type TestPostgres } from '../support/database.js';
import { expectWhole } from './world-stream-producer.contract.js';
import {
  type KitRun,
  type MadeRun,
  Producer,
  putRun,
  rowsOf,
  scratchObjects,
  ScriptedGate,
  type StreamPolicyBody,
} from './world-stream-producer.kit.js';

const CONTROL = asTopicName('fp.bus.control.v1');

describe('READY on the control topic', () => {
  let postgres: TestPostgres;
  let database: TestDatabase;
  let scratch: { readonly objects: Objects; readonly close: () => Promise<void> };
  const producers: Producer[] = [];

  beforeAll(async () => {
    postgres = await openTestPostgres();
    [database, scratch] = await Promise.all([postgres.fresh({ schemas: ['wsp'] }), scratchObjects()]);
  });

  afterEach(async () => {
    await Promise.all(producers.splice(0).map((producer) => producer.stop()));
  });

  afterAll(async () => {
    await scratch.close();
    await postgres.close();
  });

  interface Opened {
    readonly producer: Producer;
    readonly gate: ScriptedGate;
    readonly take: (...texts: readonly string[]) => Promise<void>;
  }

  function open(policy: Partial<StreamPolicyBody> = {}, objects = scratch.objects): Opened {
    const gate = new ScriptedGate();
    const producer = new Producer({ database, objects, gate, policy });
    producers.push(producer);
    const { store, policies, clock, telemetry, service } = producer;
    const consumer = new WorldStreamProducerConsumer(store, objects, policies, clock, telemetry.telemetry, service);
    return { producer, gate, take: (...texts) => consumer.take(batchOf(texts)) };
  }

  /** Each spec has a partition of its own, so that positions can be told apart. */
  let partition = 0;
  function batchOf(texts: readonly string[]): RecordBatch {
    const records = texts.map((text, index) => ({
      key: null,
      value: Buffer.from(text),
      headers: {},
      offset: asOffset(index * 2),
      appendedAtMs: 0,
    }));
    const nextOffset = asOffset(texts.length * 2);
    partition += 1;
    return { topic: CONTROL, partition, records, nextOffset, highWater: nextOffset };
  }

  function readyText(run: MadeRun, more: object = {}, payload: object = {}): string {
    return canonicalJson({
      event_id: run.ready.message_id,
      event_type: 'sr.ready',
      schema_version: 'v1',
      ts_utc: '2026-01-01T00:00:00.000000Z',
      producer: 'sr',
      ...run.pins,
      payload: { message_id: run.ready.message_id, facts_view: run.ready.facts_view, ...payload },
      ...more,
    });
  }

  const make = (more: Partial<KitRun> = {}): Promise<MadeRun> =>
    putRun(scratch.objects, {
      key: randomUUID(),
      outputs: [{ output_id: 'transactions', rows: rowsOf(120) }],
      ...more,
    });

  const outcomeOf = async (run: MadeRun): Promise<unknown> => {
    const { rows } = await database
      .forSchema('wsp')
      .query<{ outcome: string }>('select outcome, detail from ready_messages where run_id = $1', [run.run_id]);
    return rows.map(({ outcome }) => outcome);
  };

  it('starts what somebody asked for before it was ready, with the pace that was asked for', async () => {
    const { producer, take } = open();
    const run = await make({ state: 'REQUESTED' });
    const pace = { mode: 'speed_up' as const, factor: 1_000_000 };
    await expect(producer.start(run, { pace })).rejects.toMatchObject({ code: 'WSP_RUN_NOT_READY' });
    await run.becomeReady();
    await take(readyText(run));
    const status = await producer.until(run, 'COMPLETED');
    expectWhole(status, 120);
    expect(status.pace).toEqual(pace);
    expect(await outcomeOf(run)).toEqual(['STARTED']);
  });

  it('starts nothing that nobody asked for, unless the policy says so', async () => {
    const [quiet, eager] = [open(), open({ start_on_ready: true })];
    const [unasked, started] = [await make(), await make()];
    await quiet.take(readyText(unasked));
    await expect(quiet.producer.status(unasked)).rejects.toMatchObject({ code: 'WSP_STREAM_NOT_FOUND' });
    await eager.take(readyText(started));
    expectWhole(await eager.producer.until(started, 'COMPLETED'), 120);
    expect(await outcomeOf(unasked)).toEqual(['NOT_ASKED_FOR']);
  });

  it('twice, in one batch and in the next, is one stream', async () => {
    const { producer, gate, take } = open({ start_on_ready: true });
    const run = await make();
    await take(readyText(run), readyText(run), '{"event_type":"sr.other"}');
    await take(readyText(run));
    expectWhole(await producer.until(run, 'COMPLETED'), 120);
    await take(readyText(run));
    expect(gate.offered).toHaveLength(120);
    expect(await outcomeOf(run)).toEqual(['STARTED']);
  });

  it('in two processes at once is one stream', async () => {
    const [one, other] = [open({ start_on_ready: true }), open({ start_on_ready: true })];
    const run = await make();
    await Promise.all([one.take(readyText(run)), other.take(readyText(run))]);
    expectWhole(await one.producer.until(run, 'COMPLETED'), 120);
    expect(one.gate.offered.length + other.gate.offered.length).toBe(120);
  });

  it('of a run that is being streamed is a nudge', async () => {
    const { producer, gate, take } = open();
    const run = await make();
    await producer.start(run);
    await take(readyText(run));
    expectWhole(await producer.until(run, 'COMPLETED'), 120);
    expect(gate.offered).toHaveLength(120);
    expect(await outcomeOf(run)).toEqual(['NUDGED']);
  });

  const foreign = 'f'.repeat(64);
  it.each([
    ['with other pins than the view', (run: MadeRun) => readyText(run, { parameter_hash: foreign })],
    ['with another seed than the view', (run: MadeRun) => readyText(run, { seed: '1' })],
    [
      'that names another view',
      (run: MadeRun) =>
        readyText(run, {}, { facts_view: { ...run.ready.facts_view, digest: { algo: 'sha256', hex: foreign } } }),
    ],
    ['with the id of another message', (run: MadeRun) => readyText(run, {}, { message_id: foreign })],
  ])('%s is refused, recorded and reported, and starts nothing', async (_name, text) => {
    const { producer, gate, take } = open({ start_on_ready: true });
    const run = await make();
    await take(text(run));
    await expect(producer.status(run)).rejects.toMatchObject({ code: 'WSP_STREAM_NOT_FOUND' });
    expect(gate.calls).toBe(0);
    expect(await outcomeOf(run)).toEqual(['REFUSED']);
    expect(producer.telemetry.lines()).toContainEqual(
      expect.objectContaining({ event: 'ready_refused', run_id: run.run_id }),
    );
  });

  it('whose view was tampered with is refused', async () => {
    const { gate, take } = open({ start_on_ready: true });
    const run = await make({
      tamper: {
        stored: (key, bytes) =>
          key.endsWith('facts_view.json') ? Buffer.from(bytes.toString().replace('generate', 'generatE')) : bytes,
      },
    });
    await take(readyText(run));
    expect(gate.calls).toBe(0);
    expect(await outcomeOf(run)).toEqual(['REFUSED']);
  });

  it('of a run without sealed traffic starts nothing and is no fault', async () => {
    const { take } = open({ start_on_ready: true });
    const run = await make({ outputs: [{ output_id: 'labels', role: 'truth_products', rows: rowsOf(3) }] });
    await take(readyText(run));
    expect(await outcomeOf(run)).toEqual(['NOTHING_TO_STREAM']);
  });

  it('that nobody can read stops nobody: the position moves on and the log says where it stands', async () => {
    const { producer, take } = open({ start_on_ready: true });
    const run = await make();
    await take('not json', '{}', readyText(run, { schema_version: 'v9' }), readyText(run));
    expectWhole(await producer.until(run, 'COMPLETED'), 120);
    const unreadable = producer.telemetry.lines().filter(({ event }) => event === 'ready_unreadable');
    expect(unreadable.map(({ offset }) => offset)).toEqual([0, 2, 4]);
    expect(await producer.telemetry.metricsText()).toMatch(/^wsp_unreadable_total\S* 3$/m);
    const at = [{ topic: CONTROL, partition }];
    expect(await producer.store.positions(at)).toEqual([{ topic: CONTROL, partition, offset: 8 }]);
  });

  it('comes again where the object store does not answer: neither message nor position is taken', async () => {
    const run = await make();
    const { objects } = scratch;
    let down = true;
    const moody = new Proxy(objects, {
      get(target, property) {
        if (property === 'head' && down)
          return () => Promise.reject(new ProbityError('OBJECTS_UNAVAILABLE', 'as the test says'));
        const value: unknown = Reflect.get(target, property, target);
        return typeof value === 'function' ? (value.bind(target) as unknown) : value;
      },
    });
    const { producer, take } = open({ start_on_ready: true }, moody);
    await expect(take(readyText(run))).rejects.toMatchObject({ code: 'OBJECTS_UNAVAILABLE' });
    expect(await outcomeOf(run)).toEqual([]);
    expect(await producer.store.positions([{ topic: CONTROL, partition }])).toEqual([]);
    down = false;
    await take(readyText(run));
    expectWhole(await producer.until(run, 'COMPLETED'), 120);
  });
});
