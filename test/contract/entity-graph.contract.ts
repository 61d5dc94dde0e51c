import { beforeEach, describe, expect, it } from '@jest/globals';
import type { ContextResult } from '../../src/modules/entity-graph/entity-graph.port.js';
import type { Offset } from '../../src/rails/eb-ref.js';
import type { GraphContext } from '../../src/rails/graph/context.schema.js';
import type { RunPins } from '../../src/rails/pins.js';
import { fromEpochMicros } from '../../src/rails/time.js';
import type { Database } from '../../src/substrate/database/database.port.js';
import { GRAPH } from './decision-fabric.kit.js';
import { openGraph } from './entity-graph.kit.js';
import { batchOf, CONTROL, labelOf, type Log, recordOf, runPins, TRAFFIC } from './feature-plane.kit.js';

const START_MICROS = Date.UTC(2018, 3, 1) * 1_000;
const pins = runPins('graph');

interface Named {
  readonly id: string;
  readonly second: number;
  readonly names: Readonly<Record<string, string>>;
}

const payments: readonly Named[] = [
  { id: 'e-1', second: 1, names: { card_id: 'c1', customer_id: 'p1', device_id: 'd1' } },
  { id: 'e-2', second: 2, names: { card_id: 'c2', customer_id: 'p2', device_id: 'd1' } },
  { id: 'e-3', second: 3, names: { card_id: 'c3', customer_id: 'p3', device_id: 'd1' } },
  { id: 'e-4', second: 4, names: { card_id: 'c1', customer_id: 'p9', device_id: 'd2' } },
  { id: 'e-5', second: 5, names: { card_id: 'c5', customer_id: 'p5', device_id: 'd1' } },
];

const envelopeOf = (of: RunPins, { id, second, names }: Named): object => ({
  ...of,
  event_id: id,
  event_type: 'transaction',
  schema_version: 'v1',
  producer: 'wsp',
  ts_utc: fromEpochMicros(START_MICROS + second * 1e6),
  payload: { transaction_id: id, amount_minor: 100, currency: 'EUR', ...names },
});

const traffic = (...texts: readonly (object | string)[]): Log => ({
  topic: TRAFFIC,
  partition: 0,
  records: texts.map((text, offset) => recordOf(text, offset)),
});
const control = (...texts: readonly object[]): Log => ({
  topic: CONTROL,
  partition: 0,
  records: texts.map((text, offset) => recordOf(text, offset)),
});

export function entityGraphSuite(open: () => Database): void {
  beforeEach(async () => {
    for (const table of ['segments', 'runs', 'positions', 'invalid']) await open().query(`delete from ${table}`);
  });

  const life = () => openGraph(open());
  type Life = Awaited<ReturnType<typeof life>>;

  it('names what stands in the same events, the closest first, and says where there is more', async () => {
    const one = await life();
    await one.engine.take(
      batchOf(traffic(...payments.map((payment) => envelopeOf(pins, payment))), 0, payments.length),
    );
    const ask = async (limit: number, of = pins) =>
      await one.service.neighbours({
        pins: of,
        limit,
        identifiers: [
          { type: 'device', id: 'd1' },
          { type: 'card', id: 'c1' },
          { type: 'card', id: 'nobody' },
        ],
      });
    const { results, integrity } = await ask(50);
    expect(integrity).toBe('CLEAN');
    const names = results.map(({ neighbours }) => neighbours.map(({ type, id, events }) => `${type} ${id} ${events}`));
    expect(names).toEqual([
      [
        'card c1 1',
        'card c2 1',
        'card c3 1',
        'card c5 1',
        'customer p1 1',
        'customer p2 1',
        'customer p3 1',
        'customer p5 1',
      ],
      ['customer p1 1', 'customer p9 1', 'device d1 1', 'device d2 1'],
      [],
    ]);
    expect((await ask(2)).results.map(({ neighbours, more }) => [neighbours.length, more])).toEqual([
      [2, true],
      [2, true],
      [0, false],
    ]);
    await expect(ask(1, runPins('never'))).rejects.toMatchObject({ code: 'IEG_SCOPE_UNKNOWN' });
  });

  async function asked({ service }: Life, one: Named, offset: number, of = pins, wait_ms = 0): Promise<ContextResult> {
    const { payload, ts_utc } = envelopeOf(of, one) as { payload: never; ts_utc: never };
    const trigger = {
      event_id: one.id as never,
      event_type: 'transaction' as never,
      ts_utc,
      partition: 0,
      offset: offset as Offset,
      payload,
    };
    const { signal } = new AbortController();
    const { results } = await service.contexts({ pins: of, triggers: [trigger], wait_ms }, { signal });
    const [result] = results as readonly ContextResult[];
    if (result === undefined) throw new Error('no answer');
    return result;
  }

  async function served(...args: Parameters<typeof asked>): Promise<GraphContext> {
    const result = await asked(...args);
    if (result.status !== 'SERVED') throw new Error(`${result.status}: ${result.detail}`);
    return result.context;
  }

  const [first, , , fourth, fifth] = payments as [Named, Named, Named, Named, Named];
  const all = traffic(...payments.map((one) => envelopeOf(pins, one)));

  it('serves what hung together with an event, at a version that has applied everything before it', async () => {
    const unit = await life();
    await unit.engine.take(batchOf(all, 0, 10));
    const context = await served(unit, fifth, 4);
    expect(context).toMatchObject({
      pins,
      values: { device_payers: 3, component_payers: 9, component_fraud_events: 0, ip_payers: null },
      integrity: 'CLEAN',
      policy_rev: GRAPH.policy_rev,
      graph_version: { topics: { [TRAFFIC]: { 0: 5 } } },
    });
    expect(await served(unit, first, 0)).toMatchObject({ values: { device_payers: 0, component_events: 0 } });
    expect((await served(unit, fifth, 4)).graph_context_hash).toBe(context.graph_context_hash);
    expect((await served(unit, fourth, 3)).graph_context_hash).not.toBe(context.graph_context_hash);
  });

  it('says LAGGING where the event is ahead of it, and waits for it no longer than asked', async () => {
    const unit = await life();
    await unit.engine.take(batchOf(all, 0, 2));
    expect(await asked(unit, fifth, 4)).toMatchObject({ status: 'LAGGING' });
    const waiting = asked(unit, fifth, 4, pins, 1_000);
    await unit.engine.take(batchOf(all, 2, 10));
    expect(await waiting).toMatchObject({ status: 'SERVED', context: { values: { device_payers: 3 } } });
    const late = asked(unit, fifth, 9, pins, 1_000);
    await unit.clock.advance(1_000);
    expect(await late).toMatchObject({ status: 'LAGGING' });
  });

  it('knows fraud from labels of the control topic', async () => {
    const unit = await life();
    await unit.engine.take(batchOf(all, 0, 10));
    await unit.engine.take(batchOf(control(labelOf(pins, 'e-1', 4), labelOf(pins, 'e-2', 6)), 0, 10));
    expect(await served(unit, fifth, 4)).toMatchObject({ values: { component_fraud_events: 1 } });
  });

  it('never lets one run see another', async () => {
    const unit = await life();
    const other = runPins('other');
    await unit.engine.take(batchOf(traffic(envelopeOf(pins, first), envelopeOf(other, fourth)), 0, 10));
    expect(await served(unit, fifth, 1, other)).toMatchObject({ values: { device_payers: 0 } });
    expect(await served(unit, fifth, 1)).toMatchObject({ values: { device_payers: 1 } });
    expect(() => unit.controller.entity('card', 'c1', runPins('nobody').run_id)).toThrow('IEG_SCOPE_UNKNOWN');
  });

  it('is after a death what it was, and applies nothing twice', async () => {
    const before = await life();
    await before.engine.take(batchOf(all, 0, 3));
    await before.engine.take(batchOf(control(labelOf(pins, 'e-1', 4)), 0, 10));
    await before.engine.checkpoint();
    // This much was never written down: it comes again from the bus.
    await before.engine.take(batchOf(all, 3, 1));
    const after = await life();
    expect(after.engine.nextOf(all)).toBe(3);
    await after.engine.take(batchOf(all, 0, 10));
    await after.engine.take(batchOf(all, 0, 10));
    const fresh = await served(after, fifth, 4);
    expect(fresh.values).toMatchObject({ device_payers: 3, component_fraud_events: 1 });
    const dumps = [...after.engine.runs].map(({ state }) => state.dump());
    await before.engine.take(batchOf(all, 4, 10)).catch(() => undefined);
    expect([...before.engine.runs].map(({ state }) => state.dump())).toEqual(dumps);
    // Whoever was taken over from writes nothing any more, and says so.
    await expect(before.engine.checkpoint()).rejects.toThrow('IEG_SUPERSEDED');
    await expect(asked(before, fifth, 4)).rejects.toThrow('IEG_SUPERSEDED');
  });

  it('passes by what it cannot use, once per place, and marks the run', async () => {
    const unit = await life();
    const nameless = envelopeOf(pins, { id: 'e-0', second: 0, names: {} });
    const poison = traffic('{"no', nameless, ...payments.map((one) => envelopeOf(pins, one)));
    await unit.engine.take(batchOf(poison, 0, 10));
    await unit.engine.checkpoint();
    const { rows } = await open().query<{ record_offset: number; reason: string }>(
      'select record_offset, reason from invalid order by record_offset',
    );
    expect(rows).toEqual([
      { record_offset: 0, reason: 'MALFORMED_ENVELOPE' },
      { record_offset: 1, reason: 'PAYLOAD_UNUSABLE' },
    ]);
    expect(await served(unit, fifth, 6)).toMatchObject({ integrity: 'DEGRADED', values: { device_payers: 3 } });
    const after = await life();
    expect(await served(after, fifth, 6)).toMatchObject({ integrity: 'DEGRADED' });
    expect(await after.telemetry.metricsText()).toMatch(/^ieg_integrity_degraded[^\n]* 1$/m);
  });

  describe('over HTTP', () => {
    let unit: Life;
    beforeEach(async () => {
      unit = await life();
      await unit.engine.take(batchOf(all, 0, 10));
    });

    it('resolves, or says that two claim it', () => {
      const { controller } = unit;
      const { run_id } = pins;
      expect(controller.resolve(run_id, 'card', 'c2')).toMatchObject({ status: 'RESOLVED', customers: ['p2'], pins });
      expect(controller.resolve(run_id, 'card', 'c1')).toMatchObject({ status: 'AMBIGUOUS', customers: ['p1', 'p9'] });
      expect(controller.resolve(run_id, 'card', 'unseen')).toMatchObject({ status: 'UNRESOLVED', customers: [] });
      expect(() => controller.resolve(run_id, 'colour', 'red')).toThrow('HTTP_REQUEST_INVALID');
      expect(() => controller.entity('card', 'unseen', run_id)).toThrow('IEG_ENTITY_NOT_FOUND');
    });

    it('gives neighbours page by page, in one order', () => {
      const { controller } = unit;
      const page = controller.neighbors('device', 'd1', pins.run_id, '5');
      expect(page.neighbors.map(({ type, id }) => `${type} ${id}`)).toEqual([
        'card c1',
        'card c2',
        'card c3',
        'card c5',
        'customer p1',
      ]);
      const rest = controller.neighbors('device', 'd1', pins.run_id, '5', page.next_cursor);
      expect(rest.neighbors.map(({ id }) => id)).toEqual(['p2', 'p3', 'p5']);
      expect(rest).not.toHaveProperty('next_cursor');
      expect(() => controller.neighbors('device', 'd1', pins.run_id, '0')).toThrow('HTTP_REQUEST_INVALID');
    });

    it('answers of no version older than the one that was asked for', () => {
      const { controller } = unit;
      expect(controller.entity('card', 'c1', pins.run_id, '0:5')).toMatchObject({ profile: { events: 2 } });
      expect(() => controller.entity('card', 'c1', pins.run_id, '0:6')).toThrow('IEG_LAGGING');
      expect(() => controller.entity('card', 'c1', pins.run_id, '0:x')).toThrow('HTTP_REQUEST_INVALID');
    });

    it('tells how far it is', () => {
      expect(unit.controller.status()).toMatchObject({
        policy_rev: GRAPH.policy_rev,
        runs: [{ pins, integrity: 'CLEAN', invalid_records: 0, events: 5 }],
        partitions: [{ topic: TRAFFIC, partition: 0, next_offset: 5, lag_offsets: 0 }],
      });
    });
  });
}
