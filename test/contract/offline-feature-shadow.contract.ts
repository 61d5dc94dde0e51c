import { beforeEach, describe, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { datasetKey } from '../../src/modules/offline-feature-shadow/dataset-build.js';
import type { BuildIntent } from '../../src/modules/offline-feature-shadow/dataset.schema.js';
import { asBasis } from '../../src/rails/basis.js';
import { ProbityError } from '../../src/rails/errors/probity-error.js';
import { type GovernanceFact, GovernanceFactSchema } from '../../src/rails/events/governance-fact.schema.js';
import type { FeatureDefinitions } from '../../src/rails/features/definition.schema.js';
import { FeatureState } from '../../src/rails/features/feature-state.js';
import { planOf } from '../../src/rails/features/plan.js';
import { fromEpochMicros, toEpochMicros, type UtcMicros } from '../../src/rails/time.js';
import { validatorOf } from '../../src/rails/validator.js';
import { ManualClock } from '../../src/substrate/clock/manual.clock.js';
import type { Objects } from '../../src/substrate/objects/objects.port.js';
import { BuildFactsController } from '../../src/modules/offline-feature-shadow/build-facts.controller.js';
import { BuildFactsStore } from '../../src/modules/offline-feature-shadow/build-facts.store.js';
import { About } from '../../src/substrate/about.js';
import { DEFINITIONS } from './decision-fabric.kit.js';
import { TRAFFIC } from './feature-plane.kit.js';
import { ANALYST } from './label-store.kit.js';
import { at, DecidedRun, LABEL, openShadow, type ShadowGround } from './offline-feature-shadow.kit.js';

const governance = validatorOf(GovernanceFactSchema, 'the fact');
const START_MS = Date.parse('2018-05-01T00:00:00Z');
const DAY_MS = 86_400_000;

/** Datasets over a bus, an object store and a database. Builds run in processes of their own. */
export function offlineFeatureShadowSuite(open: () => ShadowGround): void {
  let ground: ShadowGround;
  let clock: ManualClock;
  let run: DecidedRun;
  let shadow: ReturnType<typeof openShadow>;
  let tests = 0;

  beforeEach(async () => {
    ground = open();
    tests += 1;
    // One ledger of labels for all tests, and its time never goes back.
    clock = new ManualClock(START_MS + tests * DAY_MS);
    run = await DecidedRun.open(ground);
    shadow = openShadow(ground, run, { clock });
    await shadow.labels.ready(run.pins);
  });

  /** Six payments of two cards, a label between them, and decisions of every kind. */
  async function decided(): Promise<void> {
    await run.pay({ id: 'p-1', second: 0, amount: 100 });
    await run.pay({ id: 'p-2', second: 60, card: 'card-22', amount: 250 }, 'masked');
    await run.label('p-1', 90);
    await run.pay({ id: 'p-3', second: 120, amount: 300 });
    await run.pay({ id: 'p-4', second: 180, card: 'card-22', terminal: 'till-2' }, 'stale');
    await run.pay({ id: 'p-6', second: 300, amount: 700 });
    await run.pay({ id: 'p-5', second: 240, card: 'card-22', amount: 900 });
  }

  const nowIs = (): UtcMicros => fromEpochMicros(Math.round(clock.nowMs() * 1_000));
  const say = async (id: string, value = 'FRAUD_CONFIRMED') => {
    const [result] = await shadow.labels.append([
      {
        ...{ run_id: run.pins.run_id, target: { kind: 'EVENT', event_id: id } },
        ...{ ...LABEL, label_value: value, namespace: 'analyst', handle: randomUUID() },
      },
    ]);
    expect(result).toMatchObject({ outcome: 'ACCEPTED' });
    return result?.observed_at_utc;
  };

  describe('a dataset as it was served', () => {
    it('has a row per decided payment in order, each with what its decision was served, and says MATCH', async () => {
      await decided();
      const { state, dataset_manifest_id: id, detail } = await shadow.settled();
      expect({ state, detail }).toMatchObject({ state: 'DONE' });
      const { manifest, rows } = await shadow.rowsOf(id);
      expect(rows.map(({ event_id }) => event_id)).toEqual(['p-1', 'p-2', 'p-3', 'p-4', 'p-5', 'p-6']);
      const { parity, anchor, rows_seen, rows_kept, by_features_status } = manifest.built;
      expect({ parity, anchor, rows_seen, rows_kept, by_features_status }).toMatchObject({
        parity: {
          ...{ outcome: 'MATCH', decisions: 6, match: 5, mismatch: 0, uncheckable: {} },
          not_served: { STALE_BEYOND_TOLERANCE: 1 },
        },
        ...{ anchor: 'decision', rows_seen: 6, rows_kept: 6 },
        by_features_status: { STALE_BEYOND_TOLERANCE: 1, USED: 5 },
      });
      for (const row of rows) {
        const served = run.snapshots.get(String(row['event_id']));
        const [masked, stale] = [row['event_id'] === 'p-2', row['event_id'] === 'p-4'];
        expect(row['snapshot_hash'] ?? null).toBe(stale ? null : served?.feature_snapshot_hash);
        for (const { values } of served?.groups ?? [])
          for (const [name, value] of Object.entries(values))
            expect([row['event_id'], name, textOf(row[`f_${name}`])]).toEqual([
              row['event_id'],
              name,
              stale ? 'null' : String(value),
            ]);
        if (masked) expect(row['f_terminal_count_24h'] ?? null).toBeNull();
        expect(row).toMatchObject({ label_state: 'UNKNOWN', is_fraud: null, weight: 1n });
      }
      expect(rows[2]).toMatchObject({
        amount_minor: 300n,
        card_id: 'card-1',
        merchant_id: 'of-till-1',
        currency: 'EUR',
      });
      expect((rows[2]?.['ts_utc'] as Date).toISOString()).toBe('2018-04-01T00:02:00.000Z');
      // Something was known of fraud: the label on the control topic reached the features of those who came after it.
      expect(rows.map((row) => row['f_terminal_fraud_count_30d'] ?? null)).toEqual([0n, null, 1n, null, 1n, 1n]);
    });

    it('names what it stands on: every partition from the start to the basis, definitions, release, receipt', async () => {
      await decided();
      const { dataset_manifest_id: id } = await shadow.settled();
      const { manifest, receipt, manifest_ref } = await shadow.service.dataset({ dataset_manifest_id: id });
      expect(manifest.plan).toMatchObject({
        pins: run.pins,
        definitions: DEFINITIONS.policy_rev,
        code_release: { version: '1.0.0', dataset_format: 1 },
      });
      const basis = asBasis(manifest.plan.replay_basis);
      for (const { topic, partition, start, end, source } of manifest.built.ranges)
        expect({ start, end, source }).toEqual({
          ...{ start: 0, source: 'bus' },
          end: basis.topics[topic]?.[String(partition)] ?? 0,
        });
      expect(manifest.built.ranges.reduce((sum, { records_of_run }) => sum + records_of_run, 0)).toBe(13);
      expect(receipt).toMatchObject({ status: 'PASS', artifact_digest: manifest_ref.digest.hex });
      const states = (await shadow.store.history(id)).map(({ state }) => state);
      expect(states).toEqual(['QUEUED', 'PINNING', 'RUNNING', 'PUBLISH_PENDING', 'DONE']);
    });

    it('payments that nobody decided are counted and not made up', async () => {
      await run.pay({ id: 'p-1', second: 0 });
      await run.pay({ id: 'p-2', second: 10 }, 'none');
      const { dataset_manifest_id: id } = await shadow.settled();
      const { manifest } = await shadow.rowsOf(id);
      expect(manifest.built).toMatchObject({ rows_seen: 2, rows_kept: 1, dropped: { NO_DECISION: 1 } });
    });

    it('one process and four give the same bytes', async () => {
      await decided();
      for (let n = 10; n < 40; n += 1) await run.pay({ id: `q-${n}`, second: 400 + n, card: `card-${n % 3}` });
      const { build } = await shadow.ask({ label: { ...LABEL, as_of_utc: nowIs() } });
      const made = await Promise.all(
        [1, 4].map(async (workers) => {
          // Objects of their own, so that neither finds what the other has put.
          const objects = apart(ground.objects, String(workers));
          const one = openShadow(ground, run, { clock, workers, objects });
          return await one.build.make(build.dataset_manifest_id, build.plan, new AbortController().signal);
        }),
      );
      const [one, four] = made.map(({ materialisations, parity, ranges, dropped }) => ({
        digests: materialisations.map(({ ref, rows }) => [ref.digest.hex, rows]),
        ...{ parity, ranges, dropped },
      }));
      expect(one).toEqual(four);
      expect(one?.parity).toMatchObject({ outcome: 'MATCH', decisions: 36 });
    });
  });

  describe('what differs is found', () => {
    const failed = async (options: Partial<Parameters<typeof openShadow>[2]> = {}) => {
      const other = openShadow(ground, run, { clock, ...options });
      const status = await other.settled();
      expect(status).toMatchObject({ state: 'FAILED', detail: { code: 'OFS_PARITY_MISMATCH' } });
      await expect(shadow.service.dataset(status)).rejects.toMatchObject({ code: 'OFS_DATASET_NOT_FOUND' });
      return status.detail.parity;
    };

    it('definitions that mean something else under the same name: MISMATCH, nothing published', async () => {
      await decided();
      const text = JSON.stringify(DEFINITIONS.body);
      const changed = text.replace(
        '"name":"card_count_24h","aggregate":"count","window":"24h"',
        '"name":"card_count_24h","aggregate":"count","window":"1m"',
      );
      expect(changed).not.toBe(text);
      const parity = await failed({ definitions: { ...DEFINITIONS, body: JSON.parse(changed) as never } });
      expect(parity).toMatchObject({
        outcome: 'MISMATCH',
        first_mismatches: [{ event_id: 'p-3', fields: ['values'] }, {}, {}],
      });
    });

    it('an event that is not the one that was decided: MISMATCH of the event, and of those whose features it changes', async () => {
      await run.pay({ id: 'p-1', second: 0, amount: 100 }, 'all', { amount_minor: 101 });
      await run.pay({ id: 'p-2', second: 60 });
      const parity = await failed();
      expect(parity?.first_mismatches).toMatchObject([
        { event_id: 'p-1', fields: ['source_event', 'values'] },
        { event_id: 'p-2', fields: ['values'] },
      ]);
    });

    it('definitions that are in force no longer: UNCHECKABLE, which a dataset says and a proof refuses', async () => {
      await decided();
      const { definitions: other } = {
        definitions: {
          ...DEFINITIONS,
          policy_rev: { ...DEFINITIONS.policy_rev, revision: 9, content_digest: 'f'.repeat(64) },
        },
      };
      const later = openShadow(ground, run, { clock, definitions: other as never });
      const { manifest } = await later.rowsOf((await later.settled()).dataset_manifest_id);
      expect(manifest.built.parity).toMatchObject({
        outcome: 'UNCHECKABLE',
        uncheckable: { DEFINITIONS_NOT_AT_HAND: 5 },
      });
      expect(await later.settled({ kind: 'parity_rebuild' })).toMatchObject({ state: 'UNCHECKABLE' });
      expect(await shadow.settled({ kind: 'parity_rebuild' })).toMatchObject({
        state: 'DONE',
        detail: { parity: { outcome: 'MATCH', match: 5 } },
      });
    });
  });

  describe('labels', () => {
    it('what was observed at as_of is in it, and what was observed a microsecond later is not', async () => {
      await decided();
      const asOf = nowIs();
      expect(await say('p-1')).toBe(asOf);
      clock.stepWall(0.001);
      expect(await say('p-2')).toBe(fromEpochMicros(toEpochMicros(asOf) + 1));
      clock.stepWall(1_000);
      const label = { ...LABEL, as_of_utc: asOf };
      const { manifest, rows } = await shadow.rowsOf((await shadow.settled({ label })).dataset_manifest_id);
      const known = rows.filter(({ label_state }) => label_state === 'LABEL');
      expect(known).toMatchObject([{ event_id: 'p-1', label_value: 'FRAUD_CONFIRMED', is_fraud: true }]);
      expect(manifest.built.label).toMatchObject({ as_of_utc: asOf, by_state: { LABEL: 1, UNKNOWN: 5 } });
      // The twin: a microsecond later it is known.
      const later = { ...LABEL, as_of_utc: fromEpochMicros(toEpochMicros(asOf) + 1) };
      const after = await shadow.rowsOf((await shadow.settled({ label: later })).dataset_manifest_id);
      expect(after.rows.filter(({ label_state }) => label_state === 'LABEL')).toHaveLength(2);
    });

    it('maturity, splits and samples: by rule, recorded, and every fraud is kept', async () => {
      // Three days before as_of is half past the 24th hour.
      clock.stepWall(4 * DAY_MS);
      const first = (clock.nowMs() - Date.parse('2018-04-01T00:00:00Z')) / 1_000 - 3 * 86_400 - 24.5 * 3_600;
      const hourly = (hour: number): UtcMicros => at(first + hour * 3_600);
      for (let n = 0; n < 40; n += 1) await run.pay({ id: `m-${n}`, second: first + n * 3_600 }, 'none');
      for (const id of ['m-0', 'm-39']) await say(id);
      clock.stepWall(1_000);
      const label = { ...LABEL, as_of_utc: nowIs(), maturity_days: 3 };
      const change = {
        label,
        splits: [
          { name: 'train', from_utc: hourly(0), to_utc: hourly(20) },
          { name: 'test', from_utc: hourly(25), to_utc: hourly(50) },
        ],
        sampling: { others_one_in: 4, seed: 's' },
      } as const;
      const { manifest, rows } = await shadow.rowsOf((await shadow.settled(change)).dataset_manifest_id);
      const { rows_seen, rows_kept, dropped, anchor, label: use } = manifest.built;
      expect({ rows_seen, anchor }).toEqual({ rows_seen: 40, anchor: 'event' });
      expect(rows_kept + (dropped['SAMPLED_OUT'] ?? 0)).toBe(40);
      expect(rows_kept).toBeLessThan(25);
      expect(rows.filter(({ is_fraud }) => is_fraud === true).map(({ event_id }) => event_id)).toEqual(['m-0', 'm-39']);
      for (const row of rows) {
        const hour = Number(String(row['event_id']).slice(2));
        if (row['label_state'] !== 'LABEL')
          expect(row).toMatchObject(
            hour <= 24 ? { label_state: 'MATURED', is_fraud: false } : { label_state: 'IMMATURE', is_fraud: null },
          );
        expect(row['split'] ?? null).toBe(hour < 20 ? 'train' : hour < 25 ? null : 'test');
        expect(row['weight']).toBe(row['is_fraud'] === true ? 1n : 4n);
      }
      expect(Object.keys(use?.by_state ?? {})).toEqual(['IMMATURE', 'LABEL', 'MATURED']);
      const refused = await shadow.settled({ label: { ...label, coverage_min_ppm: 900_000 } });
      expect(refused).toMatchObject({ state: 'FAILED', detail: { code: 'OFS_COVERAGE_BELOW_THRESHOLD' } });
    });
  });

  it('without decisions a row knows the events strictly before it, in whatever order they stand on the log', async () => {
    for (const [n, second] of [30, 10, 50, 20, 40, 40].entries())
      await run.pay(
        { id: `u-${n}`, second: second * 60, amount: 100 + n, card: `card-${n % 2 === 0 ? 1 : 22}` },
        'none',
      );
    await run.label('u-1', 900);
    const { manifest, rows } = await shadow.rowsOf((await shadow.settled()).dataset_manifest_id);
    expect(manifest.built).toMatchObject({ anchor: 'event', parity: { outcome: 'NO_DECISIONS' } });
    expect(rows.map(({ event_id }) => event_id)).toEqual(['u-1', 'u-3', 'u-0', 'u-4', 'u-5', 'u-2']);
    const all = run.paid.map((envelope, offset) => ({
      eventId: envelope['event_id'] as never,
      eventType: 'transaction' as never,
      ts: toEpochMicros(envelope['ts_utc'] as UtcMicros),
      ...{ partition: 0, offset: offset as never, payload: envelope['payload'] as Record<string, unknown> },
    }));
    // A state that holds everything answers of the past: all else that it knows lies behind.
    const state = new FeatureState(
      planOf({ ...(DEFINITIONS.body as unknown as FeatureDefinitions), lateness: '30d' as never }),
    );
    state.apply(all);
    for (const row of rows) {
      const trigger = all.find(({ eventId }) => eventId === row['event_id']);
      if (trigger === undefined) throw new Error('a row of no event');
      for (const { group, values } of state.snapshot(trigger))
        group.features.forEach(({ definition }, index) => {
          if (definition.aggregate.startsWith('fraud')) return;
          expect([row['event_id'], definition.name, row[`f_${definition.name}`] ?? null]).toEqual([
            row['event_id'],
            definition.name,
            values[index] === null || values[index] === undefined ? null : BigInt(values[index]),
          ]);
        });
    }
    // Known at 15 min: from the payment at 20 min on.
    expect(rows.map((row) => row['f_terminal_fraud_count_30d'] ?? null)).toEqual([0n, 1n, 1n, 1n, 1n, 1n]);
  });

  describe('once', () => {
    it('the same request is the same build, the same plan the same dataset, another intent a conflict', async () => {
      await decided();
      const asked = { request_id: randomUUID() };
      const first = await shadow.ask(asked);
      expect(first.outcome).toBe('ACCEPTED');
      await run.pay({ id: 'p-7', second: 900 });
      // The head was settled when it was asked for: later payments change nothing.
      expect(await shadow.ask(asked)).toMatchObject({ outcome: 'DUPLICATE', build: { plan: first.build.plan } });
      await expect(shadow.ask({ ...asked, feature_groups: ['core_card'] })).rejects.toMatchObject({
        code: 'OFS_REQUEST_CONFLICT',
      });
      await shadow.advance(first.build.dataset_manifest_id);
      const { topics } = asBasis(first.build.plan.replay_basis);
      const again = await shadow.ask({ basis: { end: topics } as never });
      expect(again).toMatchObject({
        outcome: 'ALREADY_PUBLISHED',
        build: { dataset_manifest_id: first.build.dataset_manifest_id, state: 'DONE' },
      });
      const { manifest } = await shadow.rowsOf(first.build.dataset_manifest_id);
      expect(manifest.built.rows_kept).toBe(6);
    });

    it('another release of the code is another dataset', async () => {
      await decided();
      const { build } = await shadow.ask();
      const basis = { end: asBasis(build.plan.replay_basis).topics } as never;
      const same = await openShadow(ground, run, { clock }).ask({ basis });
      const other = await openShadow(ground, run, { clock, version: '1.0.1' }).ask({ basis });
      expect(same.build.dataset_manifest_id).toBe(build.dataset_manifest_id);
      expect(other.build.dataset_manifest_id).not.toBe(build.dataset_manifest_id);
    });

    it('two builders at one build: one works, one manifest stands', async () => {
      await decided();
      const { build } = await shadow.ask();
      const id = build.dataset_manifest_id;
      const other = openShadow(ground, run, { clock });
      const worked = await Promise.all([shadow.advance(id), other.advance(id)]);
      expect([...worked].sort()).toEqual([false, true]);
      expect(await shadow.service.status(id)).toMatchObject({ state: 'DONE' });
      // Two that both believe that it is theirs: the first manifest stands, and both say so.
      const built = await shadow.store.built(id);
      if (built === null) throw new Error('nothing was built');
      const refs = await Promise.all([shadow, other].map((each) => each.datasets.publish(id, build.plan, built)));
      expect(refs[0]).toEqual(refs[1]);
      const rows = built.materialisations.map((file) => ({ ...file, rows: file.rows + 1 }));
      await expect(shadow.datasets.publish(id, build.plan, { ...built, materialisations: rows })).rejects.toMatchObject(
        { code: 'OFS_COMMIT_CONFLICT' },
      );
    });

    it('a holder that was overtaken writes nothing more', async () => {
      await decided();
      const { build } = await shadow.ask();
      const id = build.dataset_manifest_id;
      const lease = await shadow.store.acquire(id, 'gone', 0);
      if (lease === null) throw new Error('nobody else holds it');
      expect(await shadow.advance(id)).toBe(true);
      await expect(shadow.store.advance(lease, 'FAILED')).rejects.toMatchObject({ name: 'LeaseLost' });
      expect(await shadow.service.status(id)).toMatchObject({ state: 'DONE' });
    });

    it('a publish that was interrupted goes on without building again', async () => {
      await decided();
      const { build } = await shadow.ask();
      const id = build.dataset_manifest_id;
      const cut = openShadow(ground, run, { clock, objects: refusing(ground.objects, 'manifest.json') });
      await expect(cut.advance(id)).rejects.toMatchObject({ code: 'OBJECTS_UNAVAILABLE' });
      expect(await shadow.service.status(id)).toMatchObject({ state: 'PUBLISH_PENDING' });
      await expect(shadow.service.dataset({ dataset_manifest_id: id })).rejects.toMatchObject({
        code: 'OFS_DATASET_NOT_FOUND',
      });
      shadow.build.make = () => Promise.reject(new Error('it was built already'));
      expect(await shadow.advance(id)).toBe(true);
      expect(await shadow.service.status(id)).toMatchObject({ state: 'DONE' });
    });

    it('a build that was cancelled ends, and is taken up when it is asked for anew', async () => {
      await decided();
      const { build } = await shadow.ask();
      const id = build.dataset_manifest_id;
      expect(await shadow.service.cancel(id, ANALYST)).toMatchObject({ state: 'CANCELLED' });
      await shadow.advance(id);
      expect(await shadow.service.status(id)).toMatchObject({ state: 'CANCELLED' });
      const basis = { end: asBasis(build.plan.replay_basis).topics } as never;
      expect(await shadow.settled({ basis })).toMatchObject({ dataset_manifest_id: id, state: 'DONE' });
      await expect(shadow.service.cancel(id, ANALYST)).rejects.toMatchObject({ code: 'OFS_NOT_CANCELLABLE' });
    });

    it('who asked, and how it ended, are facts that are the same whenever they are read, page by page', async () => {
      await decided();
      const from = nowIs();
      const { build } = await shadow.ask({ request_id: 'unwanted' });
      const id = build.dataset_manifest_id;
      await clock.advance(1_000);
      await shadow.service.cancel(id, { ...ANALYST, actor_id: 'HUMAN::boss' as never });
      await clock.advance(1_000);
      const basis = { end: asBasis(build.plan.replay_basis).topics } as never;
      const done = await shadow.settled({ basis, request_id: 'wanted' });
      await clock.advance(1_000);
      const told = new BuildFactsController(new BuildFactsStore(ground.database('ofs')), new About('1.0.0', 'test', 1));
      const facts: GovernanceFact[] = [];
      let cursor: string | undefined;
      do {
        const page = await told.facts({ limit: '1', from, ...(cursor === undefined ? {} : { cursor }) });
        facts.push(...page.changes.map(({ fact }) => governance.demand(JSON.parse(JSON.stringify(fact)))));
        cursor = page.next_cursor;
      } while (cursor !== undefined);
      expect(facts.map(({ kind, subject, actor, op_id }) => [kind, subject, actor.actor_id, op_id])).toEqual([
        ['OFS_BUILD_COMPLETED', id, 'SYSTEM::ofs', id],
        ['OFS_BUILD_REQUESTED', id, ANALYST.actor_id, 'wanted'],
        ['OFS_BUILD_CANCELLED', id, 'HUMAN::boss', id],
        ['OFS_BUILD_REQUESTED', id, ANALYST.actor_id, 'unwanted'],
      ]);
      expect(facts[0]).toMatchObject({ after: done.detail.manifest, evidence: [done.detail.manifest] });
      expect(new Set(facts.map(({ fact_id }) => fact_id)).size).toBe(4);
      const again = await told.facts({ from });
      expect(again.changes.map(({ fact }) => fact)).toEqual(facts);
      expect((await told.facts({ from, to: from })).changes).toEqual([]);
      await expect(told.facts({ cursor: 'x' })).rejects.toMatchObject({ code: 'HTTP_REQUEST_INVALID' });
    });

    it('the database itself refuses to change what was asked, decided or built', async () => {
      await decided();
      await shadow.settled();
      for (const table of ['requests', 'plans', 'states', 'stages'])
        for (const statement of [`delete from ${table}`, `update ${table} set at = at`])
          await expect(ground.database('ofs').query(statement)).rejects.toMatchObject({ code: /^DATABASE_/ });
    });
  });

  describe('what was changed is refused by name', () => {
    it('one flipped byte of a file, of the manifest, of the receipt', async () => {
      for (const [name, code] of [
        ['rows.parquet', 'OFS_MATERIALISATION_TAMPERED'],
        ['manifest.json', 'OFS_MANIFEST_TAMPERED'],
        ['receipts', 'OFS_NO_PASS_NO_READ'],
      ] as const) {
        const of = await DecidedRun.open(ground);
        await of.pay({ id: 'p-1', second: 0 });
        const one = openShadow(ground, of, { clock });
        const { dataset_manifest_id: id } = await one.settled();
        const { manifest_ref } = await one.service.dataset({ dataset_manifest_id: id });
        const rest = name === 'receipts' ? `receipts/${manifest_ref.digest.hex}.json` : name;
        await ground.tamper(datasetKey(id, rest), { how: 'flip', offset: 40 });
        await expect(one.service.dataset({ dataset_manifest_id: id })).rejects.toMatchObject({ code });
      }
    });
  });

  describe('what cannot be built', () => {
    it('is refused when it is asked for', async () => {
      await decided();
      const label = { ...LABEL, as_of_utc: at(365 * 86_400) };
      const range = { from_utc: at(0), to_utc: at(100) };
      for (const [change, code] of [
        [{ run_id: 'f'.repeat(32) as never }, 'OFS_RUN_NOT_READY'],
        [{ feature_groups: ['core_cards'] }, 'OFS_FEATURE_PROFILE_UNRESOLVED'],
        [{ label }, 'OFS_ASOF_SPEC_INVALID'],
        [{ sampling: { others_one_in: 2, seed: 's' } }, 'OFS_INTENT_INVALID'],
        [
          {
            splits: [
              { name: 'train', ...range },
              { name: 'test', ...range },
            ],
          },
          'OFS_INTENT_INVALID',
        ],
        [{ rows: { from_utc: at(5), to_utc: at(5) } }, 'OFS_INTENT_INVALID'],
        [{ basis: { end: { [TRAFFIC]: { '0': 1_000_000 } } } as never }, 'OFS_BASIS_UNRESOLVED'],
        [{ basis: { end: { [TRAFFIC]: { '9': 1 } } } as never }, 'OFS_BASIS_UNRESOLVED'],
      ] as const)
        await expect(shadow.ask(change as Partial<BuildIntent>)).rejects.toMatchObject({ code });
    });

    it('a basis that ends before a decision’s own leaves its row out, and says why', async () => {
      await decided();
      const { build } = await shadow.ask();
      const { topics } = asBasis(build.plan.replay_basis);
      const end = { [TRAFFIC]: topics[TRAFFIC] ?? {} };
      const { manifest } = await shadow.rowsOf((await shadow.settled({ basis: { end } as never })).dataset_manifest_id);
      // Without the control topic those are left that were decided before the first label.
      expect(manifest.built).toMatchObject({
        parity: { outcome: 'UNCHECKABLE' },
        dropped: { BASIS_BEYOND_BUILD: manifest.built.parity.uncheckable['BASIS_BEYOND_BUILD'] },
      });
      expect(manifest.built.rows_kept + (manifest.built.dropped['BASIS_BEYOND_BUILD'] ?? 0)).toBe(6);
    });

    // The last one: it takes away what the others stand on.
    it('a log of which the beginning is gone: REPLAY_BASIS_GAP, unless the gap is asked for by its offsets', async () => {
      await decided();
      const marks = await ground.bus.marks(TRAFFIC);
      const [mark] = marks;
      if (mark === undefined) throw new Error('there is no partition');
      await ground.bus.trim({ topic: TRAFFIC, partition: mark.partition, offset: 1 as never });
      const status = await shadow.settled({ source: 'bus' });
      expect(status).toMatchObject({ state: 'FAILED', detail: { code: 'OFS_REPLAY_BASIS_GAP' } });
      expect(await shadow.settled()).toMatchObject({ state: 'FAILED', detail: { code: 'OFS_ARCHIVE_GAP' } });
      await expect(shadow.service.dataset(status)).rejects.toMatchObject({ code: 'OFS_DATASET_NOT_FOUND' });
      const { topics: end } = asBasis(status.plan.replay_basis);
      const start = { [TRAFFIC]: { [String(mark.partition)]: 1 } };
      const { manifest } = await shadow.rowsOf(
        (await shadow.settled({ basis: { start, end } as never })).dataset_manifest_id,
      );
      expect(manifest.built.ranges.find(({ start: from }) => from === 1)).toBeDefined();
    });
  });
}

function textOf(value: unknown): string {
  return typeof value === 'bigint' ? value.toString() : 'null';
}

/** The same store, with keys of its own for what a build puts. */
function apart(objects: Objects, name: string): Objects {
  return proxied(objects, (key) => key.replace(/^(ofs|labels)\//, `$1/apart-${name}-${randomUUID()}/`));
}

function refusing(objects: Objects, name: string): Objects {
  return proxied(objects, (key) => {
    if (key.endsWith(name)) throw new ProbityError('OBJECTS_UNAVAILABLE', 'the store is down');
    return key;
  });
}

function proxied(objects: Objects, place: (key: string) => string): Objects {
  return new Proxy(objects, {
    get(target, name) {
      if (name === 'putIfAbsent')
        return async (...[key, ...rest]: Parameters<Objects['putIfAbsent']>) =>
          await target.putIfAbsent(place(key) as never, ...rest);
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === 'function' ? (value.bind(target) as unknown) : value;
    },
  });
}
