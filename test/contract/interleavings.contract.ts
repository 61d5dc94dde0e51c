import { describe, expect, it } from '@jest/globals';
import type { Static } from '@sinclair/typebox';
import fc from 'fast-check';
import { DecisionFabricStore } from '../../src/modules/decision-fabric/decision-fabric.store.js';
import { FeaturePlanePort, type SnapshotsRequest } from '../../src/modules/feature-plane/feature-plane.port.js';
import { asBasis, basisRecord } from '../../src/rails/basis.js';
import type { EventId } from '../../src/rails/envelope.schema.js';
import type { Decision } from '../../src/rails/events/decision.schema.js';
import type { FeatureDefinitions } from '../../src/rails/features/definition.schema.js';
import { fromEpochMicros } from '../../src/rails/time.js';
import { ManualClock } from '../../src/substrate/clock/manual.clock.js';
import type { Database } from '../../src/substrate/database/database.port.js';
import type { CallContext } from '../../src/substrate/rpc/rpc.port.js';
import { noRebuild } from '../support/no-rebuilds.js';
import { DEFINITIONS, engineOf, FakeGate, FakeLadder, fabricLife, GROUPS, pins } from './decision-fabric.kit.js';
import {
  batchOf,
  CONTROL,
  envelopeOf,
  labelOf,
  type Log,
  openPlane,
  type Plane,
  recordOf,
  TRAFFIC,
} from './feature-plane.kit.js';

const INTERLEAVINGS = 200;
const DAY = 86_400;
const START_MICROS = Date.UTC(2018, 3, 1) * 1_000;
const NEVER = new AbortController().signal;

/** Twenty-four payments over twelve days on three partitions by customer; every fifth turns out to be fraud two days later. */
const payments = Array.from({ length: 24 }, (_, n) => ({
  id: `i-${String(n).padStart(2, '0')}`,
  second: Math.floor((n * 12 * DAY) / 24) + ((n * 7919) % 3_600),
  customer: `c-${n % 7}`,
  terminal: `x-${(n * 5) % 4}`,
  amount: 100 + ((n * 37) % 900),
}));
type Payment = (typeof payments)[number];
const partitionOf = ({ customer }: Payment): number => Number(customer.slice(2)) % 3;

/** A recorded topic: what a broker would deliver, partition by partition, with gaps between offsets. */
function recorded(of: readonly Payment[] = payments): readonly Log[] {
  const traffic = [0, 1, 2].map((partition): Log => {
    const own = of.filter((payment) => partitionOf(payment) === partition);
    const envelope = (payment: Payment): object => {
      const made = envelopeOf(pins, payment) as { payload: object };
      return { ...made, payload: { ...made.payload, card_id: payment.customer, merchant_id: payment.terminal } };
    };
    return { topic: TRAFFIC, partition, records: own.map((payment, n) => recordOf(envelope(payment), n * 2 + 1)) };
  });
  const labels = of
    .filter((_, n) => n % 5 === 0)
    .map(({ id, second }, n) => recordOf(labelOf(pins, id, second + 2 * DAY), n));
  return [...traffic, { topic: CONTROL, partition: 0, records: labels }];
}

/** As the fabric asks it over the wire, but without the wait: a test that never lets the fabric run ahead has nothing to wait for. */
class AtOnce extends FeaturePlanePort {
  live = noRebuild;
  rebuild = noRebuild;

  constructor(private readonly plane: Plane) {
    super();
  }

  async snapshots(request: Static<typeof SnapshotsRequest>, context: CallContext) {
    return await this.plane.service.snapshots({ ...request, wait_ms: 0 }, context);
  }
}

interface Pass {
  /** The decisions as they were published, and everything that was, in this order. */
  readonly decisions: readonly string[];
  readonly outputs: readonly string[];
  /** Of every payment, when everything has been applied. */
  readonly finalHashes: readonly string[];
  /** Everything that the gate had admitted, once more. */
  readonly again: readonly string[];
}

const idOf = (text: string): string => (JSON.parse(text) as { event_id: string }).event_id;
const textsOf = ({ admitted }: FakeGate): readonly string[] => [...admitted.values()].map(({ text }) => text);

export function interleavingsSuite(ofp: () => Database, df: () => Database): void {
  describe('one recorded topic through the feature plane and the decision fabric', () => {
    const engine = engineOf();

    /** Batches of all partitions to both units in the order that `choose` picks; the fabric never ahead of the plane. */
    async function pass(logs: readonly Log[], choose: (count: number) => number, batchRecords: number): Promise<Pass> {
      await ofp().query('truncate segments, runs, positions, invalid');
      await ofp().query('update owner set kept_digest = null');
      await df().query('delete from positions');
      const plane = await openPlane(ofp(), DEFINITIONS.body as unknown as FeatureDefinitions);
      const clock = new ManualClock();
      const store = new DecisionFabricStore(df());
      const gate = new FakeGate();
      const around = { gate, ladder: new FakeLadder(clock), features: new AtOnce(plane), store, clock };
      const fabric = fabricLife(around, engine);
      const next = new Map<Log, number>(logs.map((log) => [log, 0]));
      const applied = (log: Log): number => plane.engine.nextOf(log) ?? 0;
      const end = (log: Log): number => (log.records.at(-1)?.offset ?? -1) + 1;
      for (;;) {
        const steps = logs.flatMap((log) => {
          const feed = applied(log) < end(log) ? [{ log, to: 'plane' as const }] : [];
          const reachable = batchOf(log, next.get(log) ?? 0, batchRecords);
          const judge =
            log.topic === TRAFFIC && reachable.records.length > 0 && reachable.nextOffset <= applied(log)
              ? [{ log, to: 'fabric' as const }]
              : [];
          return [...feed, ...judge];
        });
        const step = steps[choose(steps.length)];
        if (step === undefined) break;
        if (step.to === 'plane') await plane.engine.take(batchOf(step.log, applied(step.log), batchRecords));
        else {
          const batch = batchOf(step.log, next.get(step.log) ?? 0, batchRecords);
          await fabric.consumer.take(batch);
          next.set(step.log, batch.nextOffset);
        }
      }
      const decisions = gate.ofType('decision');
      const outputs = textsOf(gate);
      const finalHashes = await hashesOf(plane, logs);
      // The whole topic a second time: to the same plane, and to a fabric that knows nothing of the first time.
      await df().query('delete from positions');
      for (const log of logs) await plane.engine.take(batchOf(log, 0, 1_000));
      const second = fabricLife(around, engine);
      await second.positions.positions(logs);
      for (const log of logs.filter(({ topic }) => topic === TRAFFIC))
        await second.consumer.take(batchOf(log, 0, 1_000));
      expect(await hashesOf(plane, logs)).toEqual(finalHashes);
      expect(gate.conflicts).toBe(0);
      return { decisions, outputs, finalHashes, again: textsOf(gate) };
    }

    async function hashesOf({ service }: Plane, logs: readonly Log[]): Promise<readonly string[]> {
      const triggers = payments.map((payment) => {
        const partition = partitionOf(payment);
        const record = logs[partition]?.records.find(({ value }) => Buffer.from(value).includes(`"${payment.id}"`));
        if (record === undefined) throw new Error(`no record of ${payment.id}`);
        const { payload } = JSON.parse(Buffer.from(record.value).toString()) as { payload: object };
        const ts_utc = fromEpochMicros(START_MICROS + payment.second * 1e6);
        const { offset } = record;
        return {
          event_id: payment.id as EventId,
          event_type: 'transaction' as never,
          ts_utc,
          partition,
          offset,
          payload: payload as never,
        };
      });
      const { results } = await service.snapshots(
        { pins, triggers, groups: [...GROUPS], wait_ms: 0 },
        { signal: NEVER },
      );
      return results.map((result) =>
        result.status === 'SERVED' ? result.snapshot.feature_snapshot_hash : result.status,
      );
    }

    it(`in ${INTERLEAVINGS} interleavings of partitions: one decision per payment under one id, and equal bytes wherever the bases are equal`, async () => {
      const logs = recorded();
      const reference = await pass(logs, () => 0, 1_000);
      expect(new Set(reference.finalHashes).size).toBe(payments.length);
      const ids = reference.decisions.map(idOf).sort();
      // What was said of an event at a basis, by whatever way it was reached.
      const said = new Map<string, string>();
      let met = 0;
      const look = ({ decisions }: Pass): void => {
        for (const text of decisions) {
          const { payload: decision } = JSON.parse(text) as { payload: Decision };
          const { input_basis: basis, status } = decision.features;
          if (basis === undefined) throw new Error(`features ${status} of ${decision.source_event.event_id}`);
          // What a decision cites as its basis is a basis: its digest is made again.
          const { basis_digest: digest } = basisRecord(asBasis(basis));
          const at = `${decision.source_event.event_id} ${digest}`;
          if (said.has(at)) met += 1;
          expect(said.get(at) ?? text).toBe(text);
          said.set(at, text);
        }
      };
      look(reference);
      await fc.assert(
        fc.asyncProperty(fc.infiniteStream(fc.nat(1_000)), fc.integer({ min: 2, max: 8 }), async (stream, batch) => {
          const choose = (count: number): number => (count === 0 ? 0 : (stream.next().value ?? 0) % count);
          const one = await pass(logs, choose, batch);
          expect(one.finalHashes).toEqual(reference.finalHashes);
          expect(one.decisions.map(idOf).sort()).toEqual(ids);
          look(one);
          // Delivered twice: nothing new, and nothing said otherwise.
          expect(one.again).toEqual(one.outputs);
        }),
        { numRuns: INTERLEAVINGS, endOnFailure: true },
      );
      // Bases were met again by other ways, and there were many of them: neither claim is empty.
      expect(met).toBeGreaterThan(payments.length);
      expect(said.size).toBeGreaterThan(payments.length * 5);
    }, 180_000);

    it('with one amount changed it has other hashes where that payment is looked at: the twin', async () => {
      const reference = await pass(recorded(), () => 0, 1_000);
      const changed = payments.map((payment, n) => (n === 3 ? { ...payment, amount: payment.amount + 1 } : payment));
      const other = await pass(recorded(changed), () => 0, 1_000);
      const differing = payments
        .filter((_, n) => reference.finalHashes[n] !== other.finalHashes[n])
        .map(({ id }) => id);
      expect(differing).toContain('i-03');
      // Of the same card later on; nobody earlier.
      expect(differing).toContain('i-10');
      expect(differing).not.toContain('i-02');
    });
  });
}
