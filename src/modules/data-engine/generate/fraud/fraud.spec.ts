import { describe, expect, it } from '@jest/globals';
import { type Collected, changed, collect, only, packNamed, textOf, tinyPack } from '../generator.cases.js';
import { FRAUD_KINDS, type FraudKind, type Pack } from '../pack.core.js';
import { type UnsealedRow } from '../../world-source.js';

const SEED = '2024';
const text = (value: unknown): string => JSON.stringify(value);
const mean = (values: readonly number[]): number => values.reduce((sum, each) => sum + each, 0) / values.length;
const amount = ({ payload }: UnsealedRow): number => Number(payload['amount_minor']);

/** One currency, so that amounts can be compared, and enough fraud of each kind to measure. */
const measured = (): Pack =>
  changed(packNamed('small'), {
    window: { days: 36 },
    geography: { countries: [{ country: 'DE', share: 1 }] },
    customers: { count: 250 },
    merchants: { count: 300 },
    fraud: {
      large_amount: { starts_per_1000_customers_day: 6 },
      compromised_terminal: { starts_per_1000_terminals_day: 2 },
      stolen_card: { starts_per_1000_customers_day: 4 },
      card_testing: { starts_per_1000_customers_day: 1 },
      account_takeover: { starts_per_1000_customers_day: 3 },
      ring: { starts_per_1000_customers_day: 1 },
    },
  });

/** The rows of each process of a kind, in the order of time. */
function processesOf(world: Collected, kind: FraudKind): ReadonlyMap<string, readonly UnsealedRow[]> {
  const rows = new Map(world.rows.map((row) => [row.key, row]));
  const found = new Map<string, UnsealedRow[]>();
  for (const { key, fields } of world.frauds) {
    const row = rows.get(key);
    if (fields['kind'] !== kind || row === undefined) continue;
    const id = textOf(fields, 'process_id');
    found.set(id, [...(found.get(id) ?? []), row]);
  }
  return found;
}

const frauds = (world: Collected): ReadonlySet<string> =>
  new Set(world.frauds.filter(({ fields }) => fields['is_fraud'] === true).map(({ key }) => key));

const values = (rows: readonly UnsealedRow[], member: string): ReadonlySet<string> =>
  new Set(rows.map(({ payload }) => textOf(payload, member)));

describe('each kind of fraud', () => {
  it.each(FRAUD_KINDS)('%s happens as often as the pack says, and not at all when it is off', async (kind) => {
    const pack = only(tinyPack(), kind);
    const world = await collect(SEED, pack);
    const { fraud, customers, window } = pack;
    const section = fraud[kind];
    const rate =
      'starts_per_1000_terminals_day' in section
        ? undefined
        : (section.starts_per_1000_customers_day * customers.count * window.days) / 1_000;
    expect(world.processes.length).toBeGreaterThan(0);
    expect(new Set(world.processes.map(({ fields }) => fields['kind']))).toEqual(new Set([kind]));
    // Never more than one above the rate; those that found no victim or came too late may be missing.
    if (rate !== undefined) {
      expect(world.processes.length).toBeLessThanOrEqual(Math.ceil(rate));
      expect(world.processes.length).toBeGreaterThanOrEqual(Math.floor(rate) - 1);
    }
    for (const { key, fields } of world.processes) {
      const rows = processesOf(world, kind).get(key) ?? [];
      expect(rows.length).toBe(fields['transactions']);
      expect([rows[0]?.ts_utc, rows.at(-1)?.ts_utc]).toEqual([fields['started_at_utc'], fields['ended_at_utc']]);
      expect(Array.from(values(rows, 'customer_id')).sort()).toEqual(fields['customer_ids']);
    }

    const without = await collect(SEED, only(tinyPack()));
    expect([without.frauds, without.processes, without.rings]).toEqual([[], [], []]);
  });

  it.each(FRAUD_KINDS)('%s, when it is off, leaves everybody else as they were', async (kind) => {
    const all = await collect(SEED, tinyPack());
    const others = FRAUD_KINDS.filter((each) => each !== kind);
    const without = await collect(SEED, only(tinyPack(), ...others));
    const processesOfKind = all.processes.filter(({ fields }) => fields['kind'] === kind);
    const touched = new Set(processesOfKind.flatMap(({ fields }) => fields['customer_ids'] as readonly string[]));
    const rest = ({ rows }: Collected): readonly string[] =>
      rows.filter(({ payload }) => !touched.has(textOf(payload, 'customer_id'))).map(text);
    expect(rest(without)).toEqual(rest(all));
    expect(rest(all).length).toBeGreaterThan(100);
    // And it was not off before: its own payments, or what it made of others', are missing now.
    expect(without.frauds.length).toBeLessThan(all.frauds.length);
  });

  it('large_amount: one payment, far above what the customer pays', async () => {
    const world = await collect(SEED, only(measured(), 'large_amount'));
    const fraud = frauds(world);
    const usual = world.rows.filter(({ key, payload }) => !fraud.has(key) && 'card_id' in payload);
    const large = [...processesOf(world, 'large_amount').values()];
    expect(large.length).toBeGreaterThan(40);
    expect(large.every((rows) => rows.length === 1)).toBe(true);
    expect(mean(large.flat().map(amount)) / mean(usual.map(amount))).toBeGreaterThan(4);
  });

  it('compromised_terminal: one terminal, many cards, for its days', async () => {
    const pack = only(measured(), 'compromised_terminal');
    const world = await collect(SEED, pack);
    const fraud = frauds(world);
    const processes = [...processesOf(world, 'compromised_terminal').values()];
    expect(processes.length).toBeGreaterThan(20);
    const atTerminal = new Map<string, UnsealedRow[]>();
    for (const row of world.rows) {
      const terminal = textOf(row.payload, 'terminal_id');
      atTerminal.set(terminal, [...(atTerminal.get(terminal) ?? []), row]);
    }
    let there = 0;
    let affected = 0;
    for (const rows of processes) {
      expect(values(rows, 'terminal_id').size).toBe(1);
      const [first, last] = [rows[0]?.ts_utc ?? '', rows.at(-1)?.ts_utc ?? ''];
      const days = (Date.parse(last) - Date.parse(first)) / 86_400_000;
      expect(days).toBeLessThan(pack.fraud.compromised_terminal.days_max);
      const visits = atTerminal.get(textOf(rows[0]?.payload ?? {}, 'terminal_id')) ?? [];
      const meanwhile = visits.filter(({ ts_utc }) => ts_utc >= first && ts_utc <= last);
      there += meanwhile.length;
      affected += rows.length;
    }
    expect(Math.max(...processes.map((rows) => values(rows, 'card_id').size))).toBeGreaterThan(4);
    expect(affected / there).toBeGreaterThan(0.6);
    const stripes = (rows: readonly UnsealedRow[]): number =>
      rows.filter(({ payload }) => payload['entry_mode'] === 'magstripe').length / rows.length;
    const shops = world.rows.filter(({ key, payload }) => !fraud.has(key) && 'latitude_e6' in payload);
    expect(stripes(processes.flat())).toBeGreaterThan(0.2);
    expect(stripes(shops)).toBeLessThan(0.04);
  });

  it('stolen_card: one card, a foreign device, what can be sold, for some days', async () => {
    const pack = only(measured(), 'stolen_card');
    const world = await collect(SEED, pack);
    const fraud = frauds(world);
    const processes = [...processesOf(world, 'stolen_card').values()];
    const devices = values(
      world.rows.filter(({ key }) => !fraud.has(key)),
      'device_id',
    );
    expect(processes.length).toBeGreaterThan(20);
    expect(Math.max(...processes.map(({ length }) => length))).toBeGreaterThan(5);
    for (const rows of processes) {
      expect([values(rows, 'card_id').size, values(rows, 'customer_id').size]).toEqual([1, 1]);
      expect(values(rows, 'device_id').size).toBeLessThanOrEqual(2);
      for (const device of values(rows, 'device_id')) expect(devices.has(device)).toBe(false);
      const days = (Date.parse(rows.at(-1)?.ts_utc ?? '') - Date.parse(rows[0]?.ts_utc ?? '')) / 86_400_000;
      expect(days).toBeLessThan(pack.fraud.stolen_card.days_max);
    }
    // The card was the customer's own before.
    const firstUse = new Map<unknown, string>();
    for (const { key, payload, ts_utc } of world.rows) {
      if (!fraud.has(key) && !firstUse.has(payload['card_id'])) firstUse.set(payload['card_id'], ts_utc);
    }
    const before = processes.filter(
      ([first]) => (firstUse.get(first?.payload['card_id']) ?? '9') < (first?.ts_utc ?? ''),
    );
    expect(before.length / processes.length).toBeGreaterThan(0.7);
  });

  it('card_testing: many cards at one page within minutes, for next to nothing', async () => {
    const pack = only(measured(), 'card_testing');
    const world = await collect(SEED, pack);
    const { cards_min, minutes_max, amount_max_cents } = pack.fraud.card_testing;
    const processes = [...processesOf(world, 'card_testing').values()];
    expect(processes.length).toBeGreaterThan(5);
    for (const rows of processes) {
      const minutes = (Date.parse(rows.at(-1)?.ts_utc ?? '') - Date.parse(rows[0]?.ts_utc ?? '')) / 60_000;
      expect(minutes).toBeLessThanOrEqual(minutes_max);
      expect([values(rows, 'merchant_id').size, values(rows, 'card_id').size]).toEqual([1, rows.length]);
      expect(rows.length).toBeGreaterThanOrEqual(cards_min);
      expect(Math.max(...rows.map(amount))).toBeLessThanOrEqual(amount_max_cents * 1.1);
    }
    expect(processes.flat().some((row) => amount(row) === 0)).toBe(true);
    expect(processes.flat().some((row) => amount(row) > 0)).toBe(true);
  });

  it('account_takeover: new device, contact and payee, and the account is drained', async () => {
    const world = await collect(SEED, only(measured(), 'account_takeover'));
    const fraud = frauds(world);
    const usual = world.rows.filter(
      ({ key, payload }) => !fraud.has(key) && payload['transaction_type'] === 'transfer',
    );
    const processes = [...processesOf(world, 'account_takeover').values()];
    const contacts = ['device_id', 'billing_address_id', 'phone_hash', 'email_hash'].map((member) => {
      const own = world.rows.filter(({ key }) => !fraud.has(key));
      return [member, values(own, member)] as const;
    });
    expect(processes.length).toBeGreaterThan(15);
    for (const rows of processes) {
      expect(values(rows, 'account_id').size).toBe(1);
      expect(values(rows, 'transaction_type')).toEqual(new Set(['transfer']));
      expect(values(rows, 'beneficiary_account_id').size).toBeLessThanOrEqual(2);
      for (const [member, own] of contacts) {
        const theirs = values(rows, member);
        expect(theirs.size).toBe(1);
        for (const value of theirs) expect(own.has(value)).toBe(false);
      }
    }
    expect(mean(processes.flat().map(amount)) / mean(usual.map(amount))).toBeGreaterThan(2.5);
  });

  it('ring: members who share devices, an address and mules, quiet for weeks, then all at once', async () => {
    const pack = only(measured(), 'ring');
    const world = await collect(SEED, pack);
    const fraud = frauds(world);
    const ended = world.rings.filter(({ fields }) => textOf(fields, 'cash_out_at_utc') < '2025-04-03');
    expect(ended.length).toBeGreaterThan(3);
    for (const { key, fields } of ended) {
      const rows = processesOf(world, 'ring').get(key) ?? [];
      const list = (name: string): readonly string[] => fields[name] as readonly string[];
      const listed = (member: string, name: string): void => {
        for (const value of values(rows, member)) if (value !== '') expect(list(name)).toContain(value);
      };
      listed('customer_id', 'member_customer_ids');
      listed('device_id', 'shared_device_ids');
      listed('billing_address_id', 'shared_address_ids');
      const out = rows.filter((row) => fraud.has(row.key));
      const quiet = rows.filter((row) => !fraud.has(row.key));
      expect(out.length).toBeGreaterThanOrEqual(list('member_customer_ids').length * 2);
      expect(values(out, 'device_id').size).toBeLessThan(list('member_customer_ids').length);
      expect(out.every(({ ts_utc }) => ts_utc >= textOf(fields, 'cash_out_at_utc'))).toBe(true);
      expect(quiet.every(({ ts_utc }) => ts_utc < textOf(fields, 'cash_out_at_utc'))).toBe(true);
      const hours = (Date.parse(out.at(-1)?.ts_utc ?? '') - Date.parse(out[0]?.ts_utc ?? '')) / 3_600_000;
      expect(hours).toBeLessThanOrEqual(pack.fraud.ring.cash_out_hours_max);
      const paid = values(
        out.filter(({ payload }) => 'beneficiary_account_id' in payload),
        'beneficiary_account_id',
      );
      for (const account of paid) expect(list('mule_account_ids')).toContain(account);
      expect(list('synthetic_customer_ids').length).toBeLessThanOrEqual(list('member_customer_ids').length);
    }
    expect(ended.some(({ fields }) => (fields['synthetic_customer_ids'] as readonly string[]).length > 0)).toBe(true);
  });
});

/** An id without its letters and digits of chance; nothing for members that are no ids. */
const formOf = (member: string, payload: UnsealedRow['payload']): string =>
  /_(id|hash)$/.test(member) ? textOf(payload, member).replace(/[0-9a-f]{8}/g, '*') : '';

describe('what the traffic tells', () => {
  /** What a value of a row looks like from outside: what a model could learn without learning the fraud. */
  const looks: readonly (readonly [string, (row: UnsealedRow) => string])[] = [
    ['the members it has', ({ payload }) => Object.keys(payload).join(' ')],
    [
      'the forms of its ids',
      ({ payload }) =>
        Object.keys(payload)
          .map((member) => formOf(member, payload))
          .join(' '),
    ],
    ...['transaction_type', 'channel', 'entry_mode', 'mcc', 'country', 'currency', 'city'].map(
      (member) => [member, ({ payload }: UnsealedRow) => textOf(payload, member)] as const,
    ),
    ['kind of network', ({ payload }) => textOf(payload, 'ip_address').split('.')[0] ?? ''],
    ['hour', ({ ts_utc }) => ts_utc.slice(11, 13)],
    ['ending of the amount', (row) => (amount(row) % 100 === 99 ? '99' : amount(row) % 10 === 0 ? '0' : 'other')],
  ];

  /** Fraud as frequent as in `small`, in one currency. Made by the first test that asks. */
  const made = new Map<string, Promise<Collected>>();
  const crowded = async (): Promise<{ readonly world: Collected; readonly fraud: ReadonlySet<string> }> => {
    const geography = { countries: [{ country: 'DE', share: 1 }] };
    const pack = changed(packNamed('small'), { customers: { count: 900 }, geography });
    const making = made.get('crowded') ?? collect(SEED, pack);
    made.set('crowded', making);
    const world = await making;
    return { world, fraud: frauds(world) };
  };

  it('nothing that only fraud has', async () => {
    const { world, fraud } = await crowded();
    expect(fraud.size).toBeGreaterThan(250);
    for (const [name, look] of looks) {
      const all = new Map<string, number>();
      const theirs = new Map<string, number>();
      for (const row of world.rows) {
        const value = look(row);
        all.set(value, (all.get(value) ?? 0) + 1);
        if (fraud.has(row.key)) theirs.set(value, (theirs.get(value) ?? 0) + 1);
      }
      for (const [value, count] of theirs) {
        // Fraud is far more frequent here than in life, and still no look has more of it than of the others.
        expect([name, value, count / (all.get(value) ?? 0) < 0.5]).toEqual([name, value, true]);
      }
    }
  });

  it('nothing by the letters of an id, the digits of a time or a place in a batch', async () => {
    const { world, fraud } = await crowded();
    const split = [true, false].map((isFraud) => world.rows.filter(({ key }) => fraud.has(key) === isFraud));
    const idMembers = ['transaction_id', 'card_id', 'device_id', 'billing_address_id', 'beneficiary_account_id'];
    for (const member of [...idMembers, 'ms']) {
      const sides = split.map((rows) => {
        const ids = member === 'ms' ? rows.map(({ ts_utc }) => ts_utc.slice(22, 23)) : [...values(rows, member)];
        return ids.filter((id) => id !== '').map((id) => (member === 'ms' ? id : id.replace(/^[a-z]+_/, '')));
      });
      for (const digit of member === 'ms' ? [0] : [0, 3, 7]) {
        const high = (ids: readonly string[] = []): number =>
          ids.filter((id) => Number.parseInt(id.charAt(digit), 16) >= (member === 'ms' ? 5 : 8)).length / ids.length;
        const [theirs = [], own = []] = sides;
        expect(theirs.length).toBeGreaterThan(20);
        // Half of the ids in the mean, standard error sqrt(1/4n): five of them.
        const error = 5 * Math.sqrt(0.25 / theirs.length + 0.25 / own.length);
        expect([member, digit, Math.abs(high(theirs) - high(own)) < error]).toEqual([member, digit, true]);
      }
    }
    expect(new Set(world.rows.map(({ key }) => key.length))).toEqual(new Set([16]));
  });

  it('no word of the truth', async () => {
    const { rows } = await collect(SEED, tinyPack());
    expect(rows.map(text).join('\n')).not.toMatch(/fraud|label|process|ring_|mule|synthetic|prc_|legit/);
    for (const row of rows) expect(Object.keys(row).sort()).toEqual(['key', 'payload', 'ts_utc']);
  });
});

describe('labels', () => {
  const labelled = changed(measured(), {
    labels: { missing_share: 0.2, dismissed_share: 0.1, false_claim_share: 0.01, confirmed_share: 0.05 },
  });

  it('are missing, wrong and late in the shares and times of the pack', async () => {
    const world = await collect(SEED, labelled);
    const fraud = frauds(world);
    const byKey = new Map(world.labels.map((label) => [label.key, label]));
    const share = (of: readonly boolean[]): number => of.filter(Boolean).length / of.length;
    const theirs = [...fraud].map((key) => byKey.get(key)?.fields['is_fraud']);
    const own = world.rows.filter(({ key }) => !fraud.has(key)).map(({ key }) => byKey.get(key)?.fields['is_fraud']);
    expect(fraud.size).toBeGreaterThan(300);
    expect(Math.abs(share(theirs.map((each) => each === undefined)) - 0.2)).toBeLessThan(0.06);
    expect(Math.abs(share(theirs.map((each) => each === false)) - 0.1)).toBeLessThan(0.05);
    expect(Math.abs(share(own.map((each) => each === true)) - 0.01)).toBeLessThan(0.005);
    expect(Math.abs(share(own.map((each) => each === false)) - 0.05)).toBeLessThan(0.01);

    const days = (kind: string | undefined): readonly number[] =>
      world.labels
        .filter(({ fields }) => fields['fraud_kind'] === kind)
        .map(({ ts_utc, fields }) => Date.parse(ts_utc) - Date.parse(textOf(fields, 'effective_at_utc')))
        .map((ms) => ms / 86_400_000)
        .sort((a, b) => a - b);
    for (const kind of [...FRAUD_KINDS, undefined]) {
      const { median_days, days_max } = labelled.labels.delays[kind ?? 'legitimate'];
      const delays = days(kind);
      expect(delays.length).toBeGreaterThan(20);
      expect(Math.max(...delays)).toBeLessThanOrEqual(days_max);
      const median = delays[Math.floor(delays.length / 2)] ?? 0;
      expect([kind, median / median_days > 0.5, median / median_days < 2]).toEqual([kind, true, true]);
    }
  });

  it('that are wrong look like those that are right', async () => {
    const world = await collect(SEED, labelled);
    const fraud = frauds(world);
    const shape = (isRight: boolean): ReadonlySet<string> =>
      new Set(
        world.labels
          .filter(({ key, fields }) => (fraud.has(key) === (fields['is_fraud'] === true)) === isRight)
          .map(({ fields }) => Object.keys(fields).sort().join(' ')),
      );
    expect(shape(false)).toEqual(shape(true));
    const claimed = world.labels.filter(({ key, fields }) => fields['is_fraud'] === true && !fraud.has(key));
    for (const { fields } of claimed) expect(FRAUD_KINDS).toContain(fields['fraud_kind']);
  });

  it('lead to a new card, in use some days after the report and never before', async () => {
    const world = await collect(SEED, changed(labelled, { cards: { replacement_share: 1, replacement_days: 2 } }));
    const byKey = new Map(world.rows.map((row) => [row.key, row]));
    const uses = new Map<string, UnsealedRow[]>();
    for (const row of world.rows) {
      const card = textOf(row.payload, 'card_id');
      if (card !== '') uses.set(card, [...(uses.get(card) ?? []), row]);
    }
    let replaced = 0;
    for (const { key, ts_utc, fields } of world.labels) {
      const card = textOf(byKey.get(key)?.payload ?? {}, 'card_id');
      if (fields['is_fraud'] !== true || card === '') continue;
      const last = new Date(Date.parse(ts_utc) + 3 * 86_400_000).toISOString().slice(0, 10);
      const late = (uses.get(card) ?? []).filter((row) => row.ts_utc >= last);
      expect(late.map(({ ts_utc: at }) => at)).toEqual([]);
      if (last < '2025-04-05') replaced += 1;
    }
    expect(replaced).toBeGreaterThan(50);
    const never = await collect(SEED, changed(labelled, { cards: { replacement_share: 0 } }));
    const cards = (of: Collected): number => values(of.rows, 'card_id').size;
    expect(cards(world)).toBeGreaterThan(cards(never) + 50);
  });
});
