import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { type JsonObject } from '../../../rails/canonical-json.js';
import { TransactionSchema } from '../../../rails/events/transaction.schema.js';
import { validatorOf } from '../../../rails/validator.js';
import { LabelRowSchema } from '../data-engine.port.js';
import { type UnsealedRow } from '../world-source.js';
import { changed, collect, invocationOf, only, packNamed, textOf, tinyPack } from './generator.cases.js';
import { generatorSource } from './generator.source.js';
import { FRAUD_KINDS, type Pack } from './pack.core.js';

const transactions = validatorOf(TransactionSchema, 'the payload');
const labelRows = validatorOf(LabelRowSchema, 'the label');
const text = (value: unknown): string => JSON.stringify(value);
const day = (row: UnsealedRow): string => row.ts_utc.slice(0, 10);

/** Small packs of every sort, still with fraud in most of them. */
const smallPacks: fc.Arbitrary<Pack> = fc
  .record({
    start: fc.constantFrom('2024-02-25', '2025-12-24', '2031-07-01'),
    days: fc.integer({ min: 1, max: 12 }),
    count: fc.integer({ min: 10, max: 90 }),
    countries: fc.subarray(['DE', 'JP', 'KW', 'US', 'BR', 'NZ', 'IN'], { minLength: 1 }),
    online: fc.constantFrom(0, 1, 3),
    terminals: fc.integer({ min: 1, max: 32 }),
    joining: fc.constantFrom(0, 0.5, 1),
    missing: fc.constantFrom(0, 0.3),
    kinds: fc.subarray([...FRAUD_KINDS]),
  })
  .map(({ start, days, count, countries, online, terminals, joining, missing, kinds }) =>
    only(
      changed(tinyPack(), {
        window: { start_date: start, days },
        customers: { count, online_factor: online, joining_share: joining },
        geography: { countries: countries.map((country, index) => ({ country, share: index + 1 })) },
        merchants: { count: 100 + count, terminals_max: terminals },
        labels: { missing_share: missing, false_claim_share: 0.01 },
      }),
      ...kinds,
    ),
  );

describe('any generated world', () => {
  it('keeps the schema, the window, the order and its own labels', async () => {
    await fc.assert(
      fc.asyncProperty(smallPacks, fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), async (pack, seed) => {
        const world = await collect(String(seed), pack);
        const { start_date: start, days } = pack.window;
        const behind = Date.parse(`${start}T00:00:00Z`) + days * 86_400_000;
        // One comparison per world and not one per row: the faults by name, of which there must be none.
        const faults: string[] = [];
        const demand = (holds: boolean, what: string, key: string): void => {
          if (!holds) faults.push(`${what}: ${key}`);
        };
        let before = `${start}T00:00:00.000000Z`;
        for (const { key, ts_utc, payload } of world.rows) {
          const verdict = transactions.check(payload);
          demand(verdict.ok, `schema ${text(verdict)}`, key);
          demand(text(Object.keys(payload)) === text(Object.keys(payload).sort()), 'members out of order', key);
          demand(payload['transaction_id'] === key, 'another id', key);
          demand(ts_utc >= before, 'earlier than the row before', key);
          before = ts_utc;
        }
        demand(Date.parse(before) < behind, 'behind the window', before);
        const byKey = new Map(world.rows.map((row) => [row.key, row]));
        demand(byKey.size === world.rows.length && world.rowsRead === byKey.size, 'keys not unique', '');

        for (const { key, ts_utc, fields } of world.labels) {
          demand(labelRows.check({ key, ts_utc, ...fields }).ok, 'not a label', key);
          demand(byKey.get(key)?.ts_utc === fields['effective_at_utc'], 'label of no row, or of another time', key);
          demand(ts_utc >= textOf(fields, 'effective_at_utc'), 'known before it happened', key);
        }
        demand(new Set(world.labels.map(({ key }) => key)).size === world.labels.length, 'labelled twice', '');

        const processes = new Map(world.processes.map(({ key, fields }) => [key, fields]));
        for (const { key, fields } of world.frauds) {
          demand(byKey.has(key), 'fraud without a row', key);
          const process = processes.get(textOf(fields, 'process_id'));
          demand(process?.['kind'] === fields['kind'], 'fraud without a process', key);
        }
        expect(faults).toEqual([]);
      }),
      { numRuns: 20 },
    );
  });

  it('says how far it is, and comes in batches', async () => {
    const { batches, shares, rows } = await collect('1', changed(tinyPack(), { customers: { count: 400 } }));
    expect(rows.length).toBeGreaterThan(4_000);
    expect(Math.max(...batches)).toBe(2_000);
    expect(batches.slice(0, -1).every((length) => length === 2_000)).toBe(true);
    expect(shares.at(-1)).toBe(1);
    expect(shares.every((share, index) => share >= (shares[index - 1] ?? 0))).toBe(true);
  });

  it('stops when the program stops', async () => {
    const source = generatorSource(invocationOf('1', changed(tinyPack(), { customers: { count: 400 } })));
    const stopping = new AbortController();
    let batches = 0;
    const nothing = (): Promise<void> => Promise.resolve();
    const produced = source.produce({
      traffic: () => {
        batches += 1;
        stopping.abort(new Error('stopping'));
        return Promise.resolve();
      },
      labels: nothing,
      other: nothing,
      rejects: nothing,
      progress: () => undefined,
      signal: stopping.signal,
    });
    await expect(produced).rejects.toThrow('stopping');
    expect(batches).toBe(1);
  });
});

describe('the population', () => {
  it('is not changed by who else there is: the same customers pay the same', async () => {
    const quiet = only(changed(tinyPack(), { customers: { joining_share: 0 } }));
    const few = await collect('3', quiet);
    const many = await collect('3', changed(quiet, { customers: { count: 160 } }));
    const firsts = new Set(few.rows.map(({ payload }) => payload['customer_id']));
    expect(many.rows.length).toBeGreaterThan(1.7 * few.rows.length);
    expect(many.rows.filter(({ payload }) => firsts.has(payload['customer_id'])).map(text)).toEqual(few.rows.map(text));
  });

  it('grows where customers join, and only there', async () => {
    const growth = async (joining: number): Promise<number> => {
      const flat = { weekdays: [1, 1, 1, 1, 1, 1, 1] };
      const pack = changed(tinyPack(), {
        window: { days: 20 },
        customers: { count: 250, joining_share: joining },
        seasons: flat,
      });
      const { rows } = await collect('4', pack);
      const early = rows.filter((row) => day(row) < '2025-03-06').length;
      const late = rows.filter((row) => day(row) > '2025-03-15').length;
      return late / early;
    };
    // Half of them join evenly: (0.5 + 0.5 · 0.875) / (0.5 + 0.5 · 0.125) = 1.67 between the two outer quarters.
    expect(await growth(0.5)).toBeGreaterThan(1.4);
    expect(await growth(0)).toBeLessThan(1.15);
  });

  it('has the mean that the pack says', async () => {
    const pack = only(
      changed(tinyPack(), {
        window: { start_date: '2025-05-05', days: 14 },
        customers: { count: 400, joining_share: 0, transactions_per_day: 2, trips_per_year: 0, subscriptions_max: 0 },
        seasons: { weekdays: [1, 1, 1, 1, 1, 1, 1] },
      }),
    );
    const { rows } = await collect('5', pack);
    expect(rows.length / (400 * 14)).toBeGreaterThan(1.8);
    expect(rows.length / (400 * 14)).toBeLessThan(2.2);
  });

  it('keeps to hours, weekdays, months and holidays', async () => {
    const base = only(
      changed(tinyPack(), {
        window: { start_date: '2025-04-21', days: 42 },
        customers: { count: 300, joining_share: 0, trips_per_year: 0 },
        geography: { countries: [{ country: 'GB', share: 1 }] },
      }),
    );
    const seasonal = changed(base, {
      seasons: {
        weekdays: [1, 1, 1, 1, 1, 2, 0.5],
        months: [1, 1, 1, 1, 0.5, 1.5, 1, 1, 1, 1, 1, 1],
        holidays: [{ month_day: '05-01', factor: 0 }],
      },
    });
    const { rows } = await collect('6', seasonal);
    const subscriptions = (row: UnsealedRow): boolean => row.payload['channel'] === 'recurring';
    const paid = rows.filter((row) => !subscriptions(row));
    const onWeekday = (weekday: number): number =>
      paid.filter((row) => new Date(row.ts_utc).getUTCDay() === weekday).length;
    expect(onWeekday(6) / onWeekday(3)).toBeGreaterThan(1.7);
    expect(onWeekday(0) / onWeekday(3)).toBeLessThan(0.62);
    const inMonth = (month: string): number => paid.filter((row) => row.ts_utc.startsWith(`2025-${month}`)).length;
    // Ten days of April (one Saturday, one Sunday) and thirty and a half of May at half the rate.
    const perDay = [inMonth('04') / 10, inMonth('05') / 30];
    expect((perDay[1] ?? 0) / (perDay[0] ?? 1)).toBeLessThan(0.7);
    expect(paid.filter((row) => day(row) === '2025-05-01')).toEqual([]);
    expect(rows.some((row) => day(row) === '2025-05-01')).toBe(true);
    const night = paid.filter((row) => row.ts_utc.slice(11, 13) < '05').length;
    expect(night / paid.length).toBeLessThan(0.06);
    expect(night).toBeGreaterThan(0);
  });

  it('lives by local time', async () => {
    const inJapan = only(changed(tinyPack(), { geography: { countries: [{ country: 'JP', share: 1 }] } }));
    const { rows } = await collect('7', inJapan);
    // Four to eight in the evening in UTC is one to five in the morning in Tokyo.
    const asleep = rows.filter(({ ts_utc }) => ts_utc.slice(11, 13) >= '16' && ts_utc.slice(11, 13) < '20').length;
    expect(asleep / rows.length).toBeLessThan(0.05);
    expect(new Set(rows.map(({ payload }) => payload['currency']))).toEqual(new Set(['JPY']));
  });

  it('pays small sums often and large ones rarely, in the money of the place', async () => {
    const { rows } = await collect('8', packNamed('small'));
    const member = (name: string): readonly unknown[] => rows.map(({ payload }) => payload[name]);
    const euros = rows
      .filter(({ payload }) => payload['currency'] === 'EUR' && payload['transaction_type'] === 'purchase')
      .map(({ payload }) => Number(payload['amount_minor']))
      .sort((a, b) => a - b);
    const quantile = (share: number): number => euros[Math.floor(share * euros.length)] ?? 0;
    expect(quantile(0.5)).toBeGreaterThan(1_500);
    expect(quantile(0.5)).toBeLessThan(5_000);
    expect(quantile(0.99) / quantile(0.5)).toBeGreaterThan(8);
    const moneyOf = new Map(rows.map(({ payload }) => [payload['country'], payload['currency']]));
    expect(Object.fromEntries(moneyOf)).toEqual({ DE: 'EUR', FR: 'EUR', GB: 'GBP', PL: 'PLN' });
    for (const channel of ['card_present', 'ecommerce', 'mobile_app', 'moto', 'atm', 'recurring']) {
      expect(member('channel')).toContain(channel);
    }
    for (const type of ['purchase', 'refund', 'cash_withdrawal', 'transfer', 'top_up', 'verification']) {
      expect(member('transaction_type')).toContain(type);
    }
  });

  it('goes to the same shops near home', async () => {
    const { rows } = await collect('9', only(changed(packNamed('small'), { customers: { joining_share: 0 } })));
    const shops = new Map<unknown, string[]>();
    const cities = new Map<unknown, Set<unknown>>();
    for (const { payload } of rows) {
      if (payload['mcc'] !== '5411' || payload['channel'] !== 'card_present') continue;
      const customer = payload['customer_id'];
      shops.set(customer, [...(shops.get(customer) ?? []), textOf(payload, 'merchant_id')]);
      cities.set(customer, (cities.get(customer) ?? new Set()).add(payload['city']));
    }
    const visits = [...shops.values()].filter((each) => each.length >= 6);
    const repeated = visits.filter((each) => new Set(each).size < each.length * 0.8).length;
    expect(visits.length).toBeGreaterThan(100);
    expect(repeated / visits.length).toBeGreaterThan(0.6);
    const single = [...cities.values()].filter((each) => each.size === 1).length;
    expect(single / cities.size).toBeGreaterThan(0.7);
    expect(single).toBeLessThan(cities.size);
  });

  it('pays subscriptions on the same day of each month, the same sum to the same merchant', async () => {
    const { rows } = await collect('10', only(changed(tinyPack(), { window: { days: 92 }, mix: { refund_share: 0 } })));
    const series = new Map<string, UnsealedRow[]>();
    for (const row of rows.filter(({ payload }) => payload['channel'] === 'recurring')) {
      const { customer_id, merchant_id, amount_minor } = row.payload as Record<string, JsonObject[string]>;
      const at = text([customer_id, merchant_id, amount_minor, row.ts_utc.slice(8, 10)]);
      series.set(at, [...(series.get(at) ?? []), row]);
    }
    const lengths = [...series.values()].map(({ length }) => length);
    expect(lengths.filter((length) => length >= 3).length / lengths.length).toBeGreaterThan(0.8);
  });
});
