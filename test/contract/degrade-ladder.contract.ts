import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { LADDER_POLICY } from '../../src/modules/degrade-ladder/degrade-ladder.policy.js';
import { GLOBAL_SCOPE } from '../../src/modules/degrade-ladder/degrade-ladder.port.js';
import { DegradeLadderService } from '../../src/modules/degrade-ladder/degrade-ladder.service.js';
import { DegradeLadderStore } from '../../src/modules/degrade-ladder/degrade-ladder.store.js';
import type { LadderPolicy } from '../../src/modules/degrade-ladder/ladder.schema.js';
import { unrestricted } from '../../src/rails/capability-mask.js';
import { asTopicName } from '../../src/rails/eb-ref.js';
import type { Posture } from '../../src/rails/events/posture.schema.js';
import { readEvent } from '../../src/rails/events/read-event.js';
import { sealPolicy } from '../../src/rails/policy-rev.js';
import type { Bus } from '../../src/substrate/bus/bus.port.js';
import { fromEverywhere, readAll } from '../../src/substrate/bus/contract/kit.js';
import { ManualClock } from '../../src/substrate/clock/manual.clock.js';
import type { Database } from '../../src/substrate/database/database.port.js';
import { StaticPolicies } from '../../src/substrate/policy/policy.port.js';
import { type MetricsReading, MetricsSource } from '../../src/substrate/telemetry/metrics-source.port.js';
import { recordedTelemetry } from '../support/telemetry.js';

const NORMAL = unrestricted(['core_card']);
const BODY: LadderPolicy = {
  evaluate_every_ms: 1_000,
  reading_age_max_ms: 5_000,
  quiet_ms: 0,
  signals: [
    { name: 'integrity', metric: 'ofp_integrity_degraded', statistic: 'sum', required: true },
    { name: 'lag', metric: 'ofp_lag', statistic: 'max', required: false },
  ],
  rungs: {
    DEGRADED_1: [{ signal: 'lag', above: 10 }],
    DEGRADED_2: [],
    FAIL_CLOSED: [{ signal: 'integrity', above: 0 }],
  },
  masks: {
    NORMAL,
    DEGRADED_1: { ...NORMAL, action_posture: 'STEP_UP_ONLY' },
    DEGRADED_2: { ...NORMAL, action_posture: 'STEP_UP_ONLY' },
  },
};

/** Metrics as a test says; none at all while it says nothing. */
class SaidMetrics extends MetricsSource {
  values: Readonly<Record<string, number>> | null = { ofp_integrity_degraded: 0, ofp_lag: 0 };

  constructor(private readonly clock: ManualClock) {
    super();
  }

  read(): Promise<MetricsReading> {
    const samples = Object.entries(this.values ?? {}).map(([name, value]) => ({
      name,
      value,
      labels: {},
      process: 'ofp',
    }));
    const faults = this.values === null ? [{ process: 'ofp', detail: 'no answer' }] : [];
    return Promise.resolve({ samples, faults, takenAtMs: this.clock.nowMs() });
  }
}

export interface LadderGround {
  readonly database: Database;
  readonly bus: Bus;
}

const CONTROL = asTopicName('fp.bus.control.v1');

/** One suite for every database and bus that the ladder may stand on. */
export function degradeLadderSuite(ground: () => LadderGround): void {
  let clock: ManualClock;
  let metrics: SaidMetrics;
  let opened: DegradeLadderService[];

  beforeEach(async () => {
    const { database } = ground();
    await database.query(
      'update scopes set posture = null, quiet_since = null, posture_seq = 1000 * (posture_seq / 1000 + 1), holder = null, lease_until = null',
    );
    await database.query('delete from outbox');
    clock = new ManualClock();
    metrics = new SaidMetrics(clock);
    opened = [];
  });
  afterEach(async () => {
    await Promise.all(opened.map((each) => each.onModuleDestroy()));
  });

  function open(body: LadderPolicy = BODY, bus = ground().bus): DegradeLadderService {
    const policy = sealPolicy('dl.ladder', 1, body as never);
    const service = new DegradeLadderService(
      new DegradeLadderStore(ground().database),
      metrics,
      new StaticPolicies(new Map([[LADDER_POLICY.policy_id, policy]])),
      bus,
      clock,
      recordedTelemetry().telemetry,
    );
    opened.push(service);
    return service;
  }

  const postureOf = async (service: DegradeLadderService): Promise<Posture | null> =>
    (await service.posture({ scope_key: GLOBAL_SCOPE })).posture;

  async function round(service: DegradeLadderService, seconds = 1): Promise<Posture | null> {
    await clock.advance(seconds * 1_000);
    await service.round();
    return await postureOf(service);
  }

  async function published(): Promise<readonly Posture[]> {
    const records = await readAll(ground().bus, await fromEverywhere(ground().bus, CONTROL));
    return [...records.values()].flat().flatMap(({ value }) => {
      const read = readEvent(value);
      return read.ok && read.event.eventType === 'dl.posture' ? [read.event.payload as unknown as Posture] : [];
    });
  }

  describe('one posture per scope', () => {
    it('is none before the first evaluation, then what the readings say; a confirmation only moves its time', async () => {
      const ladder = open();
      expect(await postureOf(ladder)).toBeNull();
      const first = await round(ladder);
      expect(first).toMatchObject({ mode: 'NORMAL', mask: NORMAL, health: 'HEALTHY' });
      const second = await round(ladder);
      expect(second?.posture_seq).toBe(first?.posture_seq);
      expect((second?.decided_at_utc ?? '') > (first?.decided_at_utc ?? '')).toBe(true);
    });

    it('has a history of every change with its readings, which nobody can alter', async () => {
      const ladder = open();
      await round(ladder);
      metrics.values = { ofp_integrity_degraded: 0, ofp_lag: 50 };
      const down = await round(ladder);
      expect(down).toMatchObject({ mode: 'DEGRADED_1', triggers: [{ signal: 'lag', observed: 50, threshold: 10 }] });
      const [last] = await new DegradeLadderStore(ground().database).history(GLOBAL_SCOPE, null, 1);
      expect(last).toMatchObject({ posture: { mode: 'DEGRADED_1' }, readings: [{}, { signal: 'lag', value: 50 }] });
      await expect(ground().database.query(`update postures set readings = '[]'`)).rejects.toMatchObject({
        code: expect.stringMatching(/^DATABASE_/),
      });
    });

    it('is on the control topic once per change, under an id that follows from scope and number', async () => {
      const before = (await published()).length;
      const ladder = open();
      await round(ladder);
      await round(ladder);
      metrics.values = { ofp_integrity_degraded: 1, ofp_lag: 0 };
      const closed = await round(ladder);
      const mine = (await published()).slice(before);
      expect(mine.map(({ mode }) => mode)).toEqual(['NORMAL', 'FAIL_CLOSED']);
      expect(mine.at(-1)).toEqual(closed);
    });

    it('is committed though the bus does not answer, and published when it does', async () => {
      const before = (await published()).length;
      const broken = new Proxy(ground().bus, {
        get: (target, name) =>
          name === 'openProducer'
            ? () => Promise.reject(new Error('no bus'))
            : (Reflect.get(target, name, target) as unknown),
      });
      const ladder = open(BODY, broken);
      expect(await round(ladder)).toMatchObject({ mode: 'NORMAL' });
      expect((await published()).length).toBe(before);
      await ladder.onModuleDestroy();
      await round(open());
      expect((await published()).slice(before).map(({ mode }) => mode)).toEqual(['NORMAL']);
    });
  });

  describe('two evaluators', () => {
    it('one decides, the other reads what it decided; when the first is gone the other takes over, and no number goes back', async () => {
      const [one, two] = [open(), open()];
      const first = await round(one);
      metrics.values = { ofp_integrity_degraded: 0, ofp_lag: 50 };
      // The other one sees a lag, and does not decide on it: the lease is not its own.
      expect(await round(two)).toEqual(first);
      await one.onModuleDestroy();
      const taken = await round(two);
      expect(taken).toMatchObject({ mode: 'DEGRADED_1', posture_seq: (first?.posture_seq ?? 0) + 1 });
    });

    it('at once give no number twice', async () => {
      const both = [open(), open(), open()];
      for (let n = 0; n < 6; n += 1) {
        metrics.values = { ofp_integrity_degraded: 0, ofp_lag: n % 2 === 0 ? 50 : 0 };
        await clock.advance(1_000);
        await Promise.all(both.map((each) => each.round()));
      }
      const { rows } = await ground().database.query<{ seqs: number; rows: number }>(
        'select count(distinct posture_seq)::integer as seqs, count(*)::integer as rows from postures where posture_seq > (select 1000 * (posture_seq / 1000) from scopes)',
      );
      expect(rows[0]?.seqs).toBe(rows[0]?.rows);
      expect(rows[0]?.rows).toBe(6);
    });
  });

  describe('what cannot be trusted', () => {
    it('metrics that stop coming close it at the next evaluation', async () => {
      const ladder = open();
      expect(await round(ladder)).toMatchObject({ mode: 'NORMAL' });
      metrics.values = null;
      expect(await round(ladder)).toMatchObject({ mode: 'FAIL_CLOSED', health: 'BLIND' });
      metrics.values = { ofp_integrity_degraded: 0, ofp_lag: 0 };
      // The quiet period is 0 here: still one rung at a time.
      expect([await round(ladder), await round(ladder), await round(ladder)].map((each) => each?.mode)).toEqual([
        'DEGRADED_2',
        'DEGRADED_1',
        'NORMAL',
      ]);
    });

    it('a stored posture that was damaged is BROKEN, closed, and told', async () => {
      const ladder = open();
      await round(ladder);
      await ground().database.query(`update scopes set posture = jsonb_set(posture, '{mode}', '"FINE"')`);
      expect(await postureOf(open())).toBeNull();
      expect(await round(ladder)).toMatchObject({
        mode: 'FAIL_CLOSED',
        health: 'BROKEN',
        reason_codes: expect.arrayContaining(['POSTURE_RECORD_CORRUPT']),
      });
    });

    it('a scope that nobody decides is refused', () => {
      expect(() => open().posture({ scope_key: 'tenant-7' })).toThrow(
        expect.objectContaining({ code: 'DL_SCOPE_UNKNOWN' }),
      );
    });
  });
}
