import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import { LabelTeller } from '../../src/modules/label-store/label-teller.job.js';
import { LedgerStore } from '../../src/modules/label-store/ledger.store.js';
import { LabelCounts } from '../../src/modules/label-store/label-counts.js';
import { SubmissionsStore } from '../../src/modules/label-store/submissions.store.js';
import { LabelFeed } from '../../src/modules/label-store/label-feed.job.js';
import { LabelStoreConsumer } from '../../src/modules/label-store/label-store.consumer.js';
import { FEED_POLICY } from '../../src/modules/label-store/label-store.policy.js';
import { type Feed, LabelStoreStore } from '../../src/modules/label-store/label-store.store.js';
import { eventIdOf, type TrafficRow } from '../../src/modules/data-engine/data-engine.port.js';
import { canonicalJson } from '../../src/rails/canonical-json.js';
import { asTopicName } from '../../src/rails/eb-ref.js';
import type { Label } from '../../src/rails/events/label.schema.js';
import { readEvent } from '../../src/rails/events/read-event.js';
import { type SealedPolicy, sealPolicy } from '../../src/rails/policy-rev.js';
import { asUtcMicros } from '../../src/rails/time.js';
import type { BusRecord } from '../../src/substrate/bus/bus.port.js';
import { fromEverywhere, readAll } from '../../src/substrate/bus/contract/kit.js';
import { SystemClock } from '../../src/substrate/clock/system.clock.js';
import type { Database } from '../../src/substrate/database/database.port.js';
import { StaticPolicies } from '../../src/substrate/policy/policy.port.js';
import { eventually } from '../support/eventually.js';
import { recordedTelemetry } from '../support/telemetry.js';
import type { LabelGround } from './label-store.kit.js';
import { type KitRun, type MadeRun, putRun, rowsOf } from './world-stream-producer.kit.js';

const CONTROL = asTopicName('fp.bus.control.v1');
const T = (second: number) => asUtcMicros(`2018-04-08T00:00:${String(second).padStart(2, '0')}.000000Z`);

/** Of twenty payments three are fraud, and one of them turns out not to be. */
const LABELS = [
  { key: 't-1', is_fraud: true, second: 1 },
  { key: 't-2', is_fraud: false, second: 2 },
  { key: 't-5', is_fraud: true, second: 3 },
  { key: 't-9', is_fraud: true, second: 4 },
  { key: 't-5', is_fraud: false, second: 5 },
];
const labelRows = LABELS.map(({ key, is_fraud, second }) => ({
  key,
  transaction_id: key,
  is_fraud,
  effective_at_utc: T(0),
  ts_utc: T(second),
})) as unknown as readonly TrafficRow[];

/** Of a process that dies behind so many batches. */
class DyingLedger extends LedgerStore {
  constructor(
    database: Database,
    private left: number,
  ) {
    super(database);
  }

  override async append(...given: Parameters<LedgerStore['append']>): ReturnType<LedgerStore['append']> {
    this.left -= 1;
    if (this.left < 0) throw new Error('killed');
    return await super.append(...given);
  }
}

/** Loses a label on its way into the ledger, and says that it stands. */
class LosingLedger extends LedgerStore {
  override async append(...given: Parameters<LedgerStore['append']>): ReturnType<LedgerStore['append']> {
    const [transaction, entries, now] = given;
    const kept = entries.filter(({ observed }) => observed !== T(4));
    const appended = await super.append(transaction, kept, now);
    return entries.map((entry) => appended[Math.max(0, kept.indexOf(entry))] ?? { outcome: 'DUPLICATE' }) as never;
  }
}

/** One suite for every database, bus and object store that the feed may stand on. */
export function labelFeedSuite(ground: () => LabelGround): void {
  let opened: { onModuleDestroy(): Promise<void> }[];
  beforeEach(() => {
    opened = [];
  });
  afterEach(async () => {
    await Promise.all(opened.map((each) => each.onModuleDestroy()));
  });

  function open(
    publish: 'all' | 'fraud_and_corrections' = 'fraud_and_corrections',
    batch = 2,
    ledger = new LedgerStore(ground().database),
    inForce = (policy: SealedPolicy): ReadonlyMap<string, SealedPolicy> => new Map([[FEED_POLICY.policy_id, policy]]),
  ) {
    const { database, bus, objects } = ground();
    const policy = sealPolicy('labels.feed', 1, { publish, batch_labels_max: batch });
    const policies = new StaticPolicies(inForce(policy));
    const store = new LabelStoreStore(database);
    const clock = new SystemClock();
    const { telemetry, metricsText } = recordedTelemetry();
    const teller = new LabelTeller(ledger, database, bus, clock, telemetry);
    const submissions = new SubmissionsStore(database);
    const feed = new LabelFeed(store, ledger, submissions, teller, objects, policies, clock, telemetry);
    opened.push(teller, feed);
    const consumer = new LabelStoreConsumer(store, objects, feed, clock, telemetry);
    const start = (): void => {
      teller.onApplicationBootstrap();
      feed.onApplicationBootstrap();
    };
    const stop = async (): Promise<void> => {
      await feed.onModuleDestroy();
      await teller.onModuleDestroy();
    };
    const counts = new LabelCounts(store, submissions, feed);
    return { store, start, stop, metricsText, consumer, counts };
  }

  const made = async (
    run: Omit<KitRun, 'key' | 'outputs'> & { labels?: readonly TrafficRow[]; failed?: boolean } = {},
  ) =>
    await putRun(ground().objects, {
      ...run,
      key: `labels-${randomBytes(6).toString('hex')}`,
      outputs: [
        { output_id: 'transactions', rows: rowsOf(20) },
        ...(run.labels === undefined
          ? []
          : [
              {
                output_id: 'labels',
                role: 'truth_products' as const,
                rows: run.labels,
                status: run.failed === true ? ('FAIL' as const) : ('PASS' as const),
              },
            ]),
      ],
    });

  function readyRecord({ pins, ready }: MadeRun): BusRecord {
    const envelope = {
      ...pins,
      event_id: ready.message_id,
      event_type: 'sr.ready',
      schema_version: 'v1',
      ts_utc: T(0),
      payload: { message_id: ready.message_id, facts_view: ready.facts_view },
    };
    return { key: null, headers: {}, offset: 0 as never, appendedAtMs: 0, value: Buffer.from(canonicalJson(envelope)) };
  }

  async function read(consumer: LabelStoreConsumer, run: MadeRun): Promise<void> {
    const record = readyRecord(run);
    await consumer.take({
      topic: CONTROL,
      partition: 0,
      records: [record],
      nextOffset: 1 as never,
      highWater: 1 as never,
    });
  }

  async function ended({ store }: ReturnType<typeof open>, { run_id }: MadeRun): Promise<Feed> {
    const found = await eventually(
      async () => await store.find(run_id),
      (feed) => feed !== null && feed.state !== 'WAITING' && feed.state !== 'PUBLISHING',
      20_000,
    );
    if (found === null) throw new Error('no feed');
    return found;
  }

  async function published({ run_id }: MadeRun): Promise<readonly Label[]> {
    const records = await readAll(ground().bus, await fromEverywhere(ground().bus, CONTROL));
    return [...records.values()].flat().flatMap(({ value }) => {
      const event = readEvent(value);
      const own = event.ok && event.event.eventType === 'label' && event.event.envelope.run_id === run_id;
      return own ? [event.event.payload as unknown as Label] : [];
    });
  }

  const told = (run: MadeRun, labels: readonly Label[]): readonly string[] => {
    const { run_id: _run, ...world } = run.pins;
    const keys = new Map(rowsOf(20).map(({ key }) => [eventIdOf('transactions', key, world as never), key]));
    return labels
      .map(
        ({ target, label_value }) =>
          `${keys.get(target.kind === 'EVENT' ? target.event_id : '') ?? '?'} ${label_value}`,
      )
      .sort();
  };

  const FRAUDS_AND_CORRECTION = [
    't-1 FRAUD_CONFIRMED',
    't-5 FRAUD_CONFIRMED',
    't-5 LEGIT_CONFIRMED',
    't-9 FRAUD_CONFIRMED',
  ];

  it('publishes frauds and what takes one back, each once, with the time from which it counts', async () => {
    const run = await made({ labels: labelRows, partRows: 2 });
    const unit = open();
    unit.start();
    await read(unit.consumer, run);
    expect(await ended(unit, run)).toMatchObject({ state: 'DONE', rows_total: 5, next_row: 5, published: 4 });
    const labels = await published(run);
    expect(told(run, labels)).toEqual(FRAUDS_AND_CORRECTION);
    expect(new Set(labels.map(({ observed_at_utc }) => observed_at_utc))).toEqual(new Set([T(1), T(3), T(4), T(5)]));
  });

  it('counts its rows where they are sealed, where they entered and where they stand', async () => {
    const run = await made({ labels: labelRows, partRows: 2 });
    const unit = open();
    unit.start();
    await read(unit.consumer, run);
    await ended(unit, run);
    expect(await unit.counts.of({ run_id: run.run_id, ids_max: 10 })).toEqual({
      ...{ state: 'DONE', written: [], refusals: [], offending: {} },
      sealed: { rows: 5, read: 5, entered: 4, passed_over: 1, in_ledger: 4 },
    });
  });

  it('names the row of a label that was lost between the world and the ledger', async () => {
    const run = await made({ labels: labelRows });
    const unit = open('all', 10, new LosingLedger(ground().database));
    unit.start();
    await read(unit.consumer, run);
    await ended(unit, run);
    const { run_id: _run, ...world } = run.pins;
    expect(await unit.counts.of({ run_id: run.run_id, ids_max: 10 })).toMatchObject({
      sealed: { rows: 5, read: 5, entered: 5, passed_over: 0, in_ledger: 4 },
      offending: {
        sealed_labels_not_in_ledger: { count: 1, ids: [eventIdOf('transactions', 't-9', world)] },
      },
    });
  });

  it('chooses and cites by one revision to the end, whichever comes into force meanwhile', async () => {
    const run = await made({ labels: labelRows, partRows: 2 });
    // Whoever asks again is told of the next revision, which chooses otherwise.
    let asked = 0;
    const unit = open(undefined, 1, undefined, (policy) => {
      const other = sealPolicy('labels.feed', 2, { publish: 'all', batch_labels_max: 1 });
      return { get: () => (asked++ === 0 ? policy : other) } as never;
    });
    unit.start();
    await read(unit.consumer, run);
    expect(await ended(unit, run)).toMatchObject({ state: 'DONE', published: 4 });
    const labels = await published(run);
    expect(told(run, labels)).toEqual(FRAUDS_AND_CORRECTION);
    expect(new Set(labels.map(({ policy_rev }) => policy_rev.revision))).toEqual(new Set([1]));
  });

  it('publishes all of them where the policy says so, and READY that comes again changes nothing', async () => {
    const run = await made({ labels: labelRows });
    const unit = open('all');
    unit.start();
    await read(unit.consumer, run);
    expect(await ended(unit, run)).toMatchObject({ state: 'DONE', published: 5 });
    await read(unit.consumer, run);
    expect(await ended(unit, run)).toMatchObject({ state: 'DONE', published: 5 });
    expect(await published(run)).toHaveLength(5);
  });

  it('goes on behind the last batch that was noted, under another holder, and knows what earlier rows said', async () => {
    const run = await made({ labels: labelRows });
    const unit = open();
    await read(unit.consumer, run);
    // A process that dies behind its first batch: t-1 and t-5 have entered, the correction of t-5 has not.
    const dying = open('fraud_and_corrections', 2, new DyingLedger(ground().database, 1));
    dying.start();
    await eventually(
      async () => await unit.store.taken(run.run_id),
      (feed) => feed?.next_row === 3,
    );
    await dying.stop();
    await ground().database.query(`update feeds set lease_until = now() - interval '1 s' where run_id = $1`, [
      run.run_id,
    ]);
    expect(await unit.store.taken(run.run_id)).toMatchObject({ state: 'PUBLISHING', next_row: 3, published: 2 });
    unit.start();
    expect(await ended(unit, run)).toMatchObject({ state: 'DONE', published: 4 });
    const labels = await published(run);
    expect(told(run, labels)).toEqual(FRAUDS_AND_CORRECTION);
    const correction = labels.find(({ label_value }) => label_value === 'LEGIT_CONFIRMED');
    const corrected = labels.find(({ label_id }) => label_id === correction?.supersedes);
    expect(corrected).toMatchObject({ label_value: 'FRAUD_CONFIRMED', target: correction?.target });
  });

  it('passes by what nobody can read, and counts it', async () => {
    const { store, consumer, metricsText } = open();
    const records = ['not json', '{}'].map((text, offset): BusRecord => {
      return { key: null, headers: {}, offset: offset as never, appendedAtMs: 0, value: Buffer.from(text) };
    });
    const next = 2 as never;
    await consumer.take({ topic: CONTROL, partition: 3, records, nextOffset: next, highWater: next });
    expect(await store.positions([{ topic: CONTROL, partition: 3 }])).toMatchObject([{ offset: 2 }]);
    expect(await metricsText()).toMatch(/^labels_invalid_total\S* 2$/m);
  });

  it('says that a run has no labels', async () => {
    const run = await made();
    const unit = open();
    await read(unit.consumer, run);
    expect(await ended(unit, run)).toMatchObject({ state: 'NONE', published: 0 });
  });

  it.each([
    ['whose gate did not pass', { failed: true }, 'GATE_NOT_PASSED'],
    [
      'of which a byte was changed',
      {
        tamper: {
          stored: (key: string, bytes: Buffer) =>
            key.includes('/labels/part') ? Buffer.from(bytes.toString().replace('true', 'tru3')) : bytes,
        },
      },
      'OBJECTS_DIGEST_MISMATCH',
    ],
  ])('refuses labels %s, names why, and publishes none of them', async (_, change, code) => {
    const run = await made({ labels: labelRows, ...change });
    const unit = open();
    unit.start();
    await read(unit.consumer, run);
    const feed = await ended(unit, run);
    expect(feed).toMatchObject({ state: 'REFUSED', published: 0 });
    expect(feed.detail).toContain(code);
    expect(await published(run)).toEqual([]);
  });

  describe('rows that are none', () => {
    it('are refused with their part', async () => {
      const [first, ...rest] = labelRows;
      const run = await made({ labels: [{ ...first, is_fraud: 'yes' } as never, ...rest] });
      const unit = open();
      unit.start();
      await read(unit.consumer, run);
      expect((await ended(unit, run)).detail).toMatch(/LBL_ROW_INVALID: .*labels\/part-000000\.ndjson\/is_fraud/);
    });
  });
}
