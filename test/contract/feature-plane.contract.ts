import { beforeEach, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import type { SnapshotResult } from '../../src/modules/feature-plane/feature-plane.port.js';
import type { EventId, EventType } from '../../src/rails/envelope.schema.js';
import type { FeatureDefinitions } from '../../src/rails/features/definition.schema.js';
import type { RunPins } from '../../src/rails/pins.js';
import { fromEpochMicros } from '../../src/rails/time.js';
import type { Database } from '../../src/substrate/database/database.port.js';
import {
  batchOf,
  CONTROL,
  drain,
  envelopeOf,
  HANDBOOK,
  labelOf,
  type Log,
  openPlane,
  type Payment,
  type Plane,
  recordOf,
  runPins,
  shippedDefinitions,
  TRAFFIC,
} from './feature-plane.kit.js';

const DAY = 86_400;
const START_MICROS = Date.UTC(2018, 3, 1) * 1_000;
const NEVER = new AbortController().signal;

/** Sixty payments over forty days of five customers at four terminals, on three partitions by customer; every ninth is fraud, known 7 days later. */
const payments: readonly Payment[] = Array.from({ length: 60 }, (_, n) => ({
  id: `t-${String(n).padStart(3, '0')}`,
  second: Math.floor((n * 40 * DAY) / 60) + ((n * 7919) % 3_600),
  customer: `c-${n % 5}`,
  terminal: `x-${(n * 7) % 4}`,
  amount: 100 + ((n * 37) % 900),
}));
const partitionOf = ({ customer }: Payment): number => Number(customer.slice(2)) % 3;

function logsOf(pins: RunPins): readonly Log[] {
  const traffic = [0, 1, 2].map((partition): Log => {
    const own = payments.filter((payment) => partitionOf(payment) === partition);
    // Offsets with gaps, as Kafka's are.
    return {
      topic: TRAFFIC,
      partition,
      records: own.map((payment, n) => recordOf(envelopeOf(pins, payment), n * 2 + 1)),
    };
  });
  const frauds = payments.filter((_, n) => n % 9 === 0);
  const labels = frauds.map((payment, n) => recordOf(labelOf(pins, payment.id, payment.second + 7 * DAY), n));
  return [...traffic, { topic: CONTROL, partition: 0, records: labels }];
}

function triggerOf(logs: readonly Log[], payment: Payment) {
  const partition = partitionOf(payment);
  const record = logs[partition]?.records.find(({ value }) => Buffer.from(value).includes(`"${payment.id}"`));
  if (record === undefined) throw new Error('no such record');
  const { payload } = JSON.parse(Buffer.from(record.value).toString()) as { payload: object };
  return {
    event_id: payment.id as EventId,
    event_type: 'transaction' as EventType,
    ts_utc: fromEpochMicros(START_MICROS + payment.second * 1e6),
    partition,
    offset: record.offset,
    payload: payload as never,
  };
}

async function snapshotsOf(
  { service }: Plane,
  pins: RunPins,
  logs: readonly Log[],
  which = payments,
  waitMs = 0,
): Promise<readonly SnapshotResult[]> {
  const triggers = which.map((payment) => triggerOf(logs, payment));
  const { results } = await service.snapshots(
    { pins, triggers, groups: [...HANDBOOK], wait_ms: waitMs },
    { signal: NEVER },
  );
  return results;
}

const hashes = (results: readonly SnapshotResult[]): readonly string[] =>
  results.map((result) => (result.status === 'SERVED' ? result.snapshot.feature_snapshot_hash : result.status));

function valuesOf(result: SnapshotResult | undefined): Readonly<Record<string, string | null>> {
  if (result?.status !== 'SERVED') throw new Error(`not served: ${result?.status}`);
  return Object.assign({}, ...result.snapshot.groups.map(({ values }) => values)) as Record<string, string | null>;
}

/** A generator of choices that a seed decides. */
function chooser(seed: number): (count: number) => number {
  let state = seed;
  return (count) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return (state >>> 8) % count;
  };
}

/** One suite for every database that the feature plane may stand on. */
export function featurePlaneSuite(open: () => Database): void {
  const pins = runPins('suite');
  const logs = logsOf(pins);
  let reference: readonly string[];

  beforeEach(async () => {
    await open().query('truncate segments, runs, positions, invalid');
    const plane = await openPlane(open());
    await drain(plane, logs, () => 0, 1_000);
    reference = hashes(await snapshotsOf(plane, pins, logs));
    await open().query('update owner set kept_digest = null');
  });

  describe('a function of the events in the basis', () => {
    it('any interleaving of partitions, in any batches, gives the same hashes', async () => {
      expect(new Set(reference).size).toBe(payments.length);
      await fc.assert(
        fc.asyncProperty(fc.nat(), fc.integer({ min: 1, max: 9 }), async (seed, batch) => {
          await open().query('truncate segments, runs, positions, invalid');
          const plane = await openPlane(open());
          await drain(plane, logs, chooser(seed), batch);
          expect(hashes(await snapshotsOf(plane, pins, logs))).toEqual(reference);
        }),
        { numRuns: 25, seed: 7 },
      );
    });

    it('one amount that differs gives another hash: the twin', async () => {
      const changed = logs.map((log, n) =>
        n === 0
          ? {
              ...log,
              records: log.records.map((record, at) => {
                const text = Buffer.from(record.value).toString();
                return at === 0
                  ? recordOf(text.replace('"amount_minor":100', '"amount_minor":101'), record.offset)
                  : record;
              }),
            }
          : log,
      );
      await open().query('truncate segments, runs, positions, invalid');
      const plane = await openPlane(open());
      await drain(plane, changed, () => 0);
      expect(hashes(await snapshotsOf(plane, pins, logs))).not.toEqual(reference);
    });

    it('what was delivered before is passed over, wherever the batch begins', async () => {
      const plane = await openPlane(open());
      await drain(plane, logs, chooser(3));
      for (const log of logs) await plane.engine.take(batchOf(log, 0, 5));
      expect(hashes(await snapshotsOf(plane, pins, logs))).toEqual(reference);
    });

    it('goes on from any checkpoint after a crash, and applies nothing twice', async () => {
      await fc.assert(
        fc.asyncProperty(fc.array(fc.integer({ min: 1, max: 12 }), { minLength: 1, maxLength: 6 }), async (lives) => {
          await open().query('truncate segments, runs, positions, invalid');
          const choose = chooser(lives.length);
          for (const batches of lives) {
            const plane = await openPlane(open());
            for (let n = 0; n < batches; n += 1) {
              const log = logs[choose(logs.length)];
              if (log === undefined) throw new Error('no log');
              await plane.engine.take(batchOf(log, plane.engine.nextOf(log) ?? 0, 3));
              if (choose(3) === 0) await plane.engine.checkpoint();
            }
            // No last checkpoint: the process is gone.
          }
          const last = await openPlane(open());
          await drain(last, logs, choose);
          expect(hashes(await snapshotsOf(last, pins, logs))).toEqual(reference);
          expect([...last.engine.runs].map(({ state }) => state.size.events)).toEqual([payments.length]);
        }),
        { numRuns: 15, seed: 11 },
      );
    });

    it('many small checkpoints are put together, and load as what they were', async () => {
      const plane = await openPlane(open());
      for (const log of logs) {
        for (const { offset } of log.records) {
          await plane.engine.take(batchOf(log, offset, 1));
          await plane.engine.checkpoint();
        }
      }
      const { rows } = await open().query<{ segments: number }>('select count(*)::integer as segments from segments');
      expect(rows[0]?.segments).toBeLessThan(55);
      const again = await openPlane(open());
      expect(hashes(await snapshotsOf(again, pins, logs))).toEqual(reference);
    });
  });

  describe('what counts', () => {
    it('an event at or after the trigger never counts, though it was applied before it was asked', async () => {
      const plane = await openPlane(open());
      await drain(plane, logs, () => 0);
      const [first] = await snapshotsOf(plane, pins, logs, payments.slice(0, 1));
      expect(valuesOf(first)).toMatchObject({ hb_customer_count_30d: '1', hb_amount: '100' });
    });

    it('a label counts from its observed time: not a second before', async () => {
      const one: Payment = { id: 'f-1', second: 0, customer: 'c-9', terminal: 'x-9', amount: 5 };
      // In (t − 7 d − 1 d, t − 7 d] at both moments; the label becomes known at the first of them plus one second.
      const at = (second: number, id: string): Payment => ({ ...one, id, second });
      const before = at(7 * DAY + 10, 'q-1');
      const after = at(7 * DAY + 11, 'q-2');
      const records = [one, before, after].map((payment, n) => recordOf(envelopeOf(pins, payment), n));
      const label = recordOf(labelOf(pins, one.id, 7 * DAY + 11), 0);
      const own: readonly Log[] = [
        { topic: TRAFFIC, partition: 0, records },
        { topic: CONTROL, partition: 0, records: [label] },
      ];
      const plane = await openPlane(open());
      await drain(plane, own, () => 0);
      const ask = async (payment: Payment, offset: number) => {
        const trigger = {
          ...triggerOf(logs, payments[0] ?? one),
          event_id: payment.id as EventId,
          ts_utc: fromEpochMicros(START_MICROS + payment.second * 1e6),
          partition: 0,
          offset: offset as never,
          payload: { customer_id: 'c-9', terminal_id: 'x-9', amount_minor: 5 } as never,
        };
        const { results } = await plane.service.snapshots(
          { pins, triggers: [trigger], groups: [...HANDBOOK], wait_ms: 0 },
          { signal: NEVER },
        );
        return valuesOf(results[0]);
      };
      expect(await ask(before, 1)).toMatchObject({ hb_terminal_count_1d: '1', hb_terminal_risk_1d: '0' });
      expect(await ask(after, 2)).toMatchObject({ hb_terminal_count_1d: '1', hb_terminal_risk_1d: '1000000000' });
    });

    it('pins are a wall: another run, and the same run of another world, see nothing', async () => {
      const plane = await openPlane(open());
      await drain(plane, logs, () => 0);
      const last = payments.slice(-1);
      const counted = valuesOf((await snapshotsOf(plane, pins, logs, last))[0]);
      expect(counted['hb_customer_count_30d']).not.toBe('1');
      for (const foreign of [runPins('other'), { ...pins, seed: '8' as never }]) {
        const [result] = await snapshotsOf(plane, foreign, logs, last);
        expect(valuesOf(result)).toMatchObject({ hb_customer_count_30d: '1' });
      }
    });

    it('groups that were not asked for are not in the answer, and unknown ones are refused', async () => {
      const plane = await openPlane(open());
      await drain(plane, logs, () => 0);
      const triggers = payments.slice(0, 1).map((payment) => triggerOf(logs, payment));
      const some = await plane.service.snapshots(
        { pins, triggers, groups: ['handbook_customer'], wait_ms: 0 },
        { signal: NEVER },
      );
      const [result] = some.results as readonly SnapshotResult[];
      expect(result?.status === 'SERVED' ? result.snapshot.groups.map(({ name }) => name) : []).toEqual([
        'handbook_customer',
      ]);
      await expect(
        plane.service.snapshots({ pins, triggers, groups: ['nobody'], wait_ms: 0 }, { signal: NEVER }),
      ).rejects.toMatchObject({ code: 'OFP_GROUP_UNKNOWN' });
    });
  });

  describe('the basis', () => {
    it('waits for what stands before the trigger on its own partition, and answers as soon as it is there', async () => {
      const plane = await openPlane(open());
      const [traffic] = logs;
      const last = payments.filter((payment) => partitionOf(payment) === 0).slice(-1);
      const answer = snapshotsOf(plane, pins, logs, last, 1_000);
      if (traffic === undefined) throw new Error('no log');
      await drain(plane, [traffic], () => 0);
      expect((await answer)[0]?.status).toBe('SERVED');
    });

    it('says STALE when the wait is over, and never serves less than was asked for', async () => {
      const plane = await openPlane(open());
      const last = payments.filter((payment) => partitionOf(payment) === 0).slice(-1);
      const answer = snapshotsOf(plane, pins, logs, last, 1_000);
      while (plane.clock.sleeping === 0) await new Promise((resolve) => setImmediate(resolve));
      await plane.clock.advance(1_001);
      expect((await answer)[0]).toMatchObject({ status: 'STALE' });
    });

    it('is one for all answers of a call, and is named in each', async () => {
      const plane = await openPlane(open());
      await drain(plane, logs, chooser(5));
      const results = await snapshotsOf(plane, pins, logs);
      const bases = new Set(
        results.map((result) => (result.status === 'SERVED' ? result.snapshot.input_basis.basis_digest : '')),
      );
      expect(bases.size).toBe(1);
      const [first] = results;
      expect(first?.status === 'SERVED' ? first.snapshot.input_basis.topics : {}).toMatchObject({
        [TRAFFIC]: { 0: (logs[0]?.records.at(-1)?.offset ?? 0) + 1 },
        [CONTROL]: { 0: logs[3]?.records.length },
      });
    });
  });

  describe('what goes wrong', () => {
    it('a poison record is recorded and passed by; the integrity of its run says so, also after a restart', async () => {
      const [traffic] = logs;
      if (traffic === undefined) throw new Error('no log');
      const [first, ...rest] = traffic.records;
      if (first === undefined) throw new Error('no record');
      const noAmount = Buffer.from(first.value).toString().replace('"amount_minor":100,', '');
      const log: Log = {
        ...traffic,
        records: [recordOf('{"broken', 0), recordOf(noAmount, first.offset), ...rest],
      };
      const plane = await openPlane(open());
      await drain(plane, [log], () => 0);
      expect(plane.engine.nextOf(log)).toBe((traffic.records.at(-1)?.offset ?? 0) + 1);
      expect([...plane.engine.runs].map(({ invalid, state }) => [invalid, state.size.events])).toEqual([
        [1, rest.length],
      ]);
      await plane.engine.checkpoint();
      const { rows } = await open().query('select reason, record_offset from invalid order by record_offset');
      expect(rows).toEqual([
        { reason: 'MALFORMED_ENVELOPE', record_offset: 0 },
        { reason: 'PAYLOAD_UNUSABLE', record_offset: 1 },
      ]);
      const again = await openPlane(open());
      expect([...again.engine.runs].map(({ invalid }) => invalid)).toEqual([1]);
      expect(await again.telemetry.metricsText()).toMatch(/ofp_integrity_degraded(\{[^}]*\})? 1/);
    });

    it('labels that come before the first event of their run are kept over a restart', async () => {
      const plane = await openPlane(open());
      const log: Log = { topic: CONTROL, partition: 0, records: [recordOf(labelOf(pins, 'not-yet', 60), 0)] };
      await drain(plane, [log], () => 0);
      await plane.engine.checkpoint();
      const again = await openPlane(open());
      expect([...again.engine.runs].map(({ state }) => state.size)).toMatchObject([{ events: 0, labels: 1 }]);
    });

    it('a process that was superseded writes nothing and serves nothing any more', async () => {
      const old = await openPlane(open());
      await drain(old, logs, () => 0);
      const young = await openPlane(open());
      await expect(old.engine.checkpoint()).rejects.toMatchObject({ code: 'OFP_SUPERSEDED' });
      await expect(snapshotsOf(old, pins, logs)).rejects.toMatchObject({ code: 'OFP_SUPERSEDED' });
      expect((await open().query('select 1 from segments')).rows).toEqual([]);
      await drain(young, logs, () => 0);
      await young.engine.checkpoint();
      expect(hashes(await snapshotsOf(young, pins, logs))).toEqual(reference);
    });

    it('definitions that keep other members begin anew from the bus, and say so', async () => {
      const before = await openPlane(open());
      await drain(before, logs, () => 0);
      await before.engine.checkpoint();
      const wider: FeatureDefinitions = {
        ...shippedDefinitions(...HANDBOOK),
        groups: [...shippedDefinitions(...HANDBOOK, 'core_merchant').groups],
      };
      const after = await openPlane(open(), wider);
      expect(await after.engine.positions(logs)).toEqual([]);
      expect(after.telemetry.lines().map(({ event }) => event)).toContain('ofp_rebuild');
      await drain(after, logs, chooser(1));
      expect([...after.engine.runs].map(({ state }) => state.size.events)).toEqual([payments.length]);
    });

    it('a segment that cannot be read is named, and nothing is served from half a state', async () => {
      const plane = await openPlane(open());
      await drain(plane, logs, () => 0);
      await plane.engine.checkpoint();
      await open().query(`update segments set bytes = substring(bytes from 1 for 20) where kind = 'events'`);
      await expect(openPlane(open())).rejects.toMatchObject({ code: 'OFP_CHECKPOINT_DAMAGED' });
    });
  });
}
