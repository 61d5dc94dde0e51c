import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { asOffset } from '../eb-ref.js';
import type { EventId, EventType } from '../envelope.schema.js';
import type { EpochMicros } from '../time.js';
import { type FeatureDefinitions, FeatureDefinitionsSchema } from './definition.schema.js';
import type { FeatureValue } from './evaluate.js';
import type { FeatureEvent } from './event-table.js';
import { type Cut, FeatureState } from './feature-state.js';
import type { LabelFact } from './label-table.js';
import { definitionFaults, durationMicros, planOf } from './plan.js';
import { validatorOf } from '../validator.js';

const definitions = validatorOf(FeatureDefinitionsSchema, 'the definitions').demand({
  lateness: '1h',
  groups: [
    {
      name: 'card',
      version: 1,
      event_type: 'transaction',
      key: ['card_id', 'currency'],
      features: [
        { name: 'c_count', aggregate: 'count', window: '20s', trigger: 'included' },
        { name: 'c_count_before', aggregate: 'count', window: '20s', trigger: 'excluded' },
        { name: 'c_count_delayed', aggregate: 'count', window: '20s', delay: '10s', trigger: 'excluded' },
        { name: 'c_sum', aggregate: 'sum', field: 'amount_minor', window: '1h', trigger: 'included' },
        { name: 'c_min', aggregate: 'min', field: 'amount_minor', window: '20s', trigger: 'excluded' },
        { name: 'c_max', aggregate: 'max', field: 'amount_minor', window: '20s', trigger: 'included' },
        {
          name: 'c_mean',
          aggregate: 'mean',
          field: 'amount_minor',
          window: '20s',
          trigger: 'included',
          scale: 2,
          rounding: 'half_even',
        },
        { name: 'c_dev', aggregate: 'stddev', field: 'amount_minor', window: '20s', trigger: 'included', scale: 2 },
        { name: 'c_merchants', aggregate: 'distinct', field: 'merchant_id', window: '20s', trigger: 'included' },
        { name: 'c_new_merchant', aggregate: 'new_value', field: 'merchant_id', window: '20s' },
        { name: 'c_last', aggregate: 'seconds_since_last', window: '20s' },
        {
          name: 'c_over_mean',
          aggregate: 'ratio',
          over: { field: 'amount_minor' },
          under: { feature: 'c_mean' },
          scale: 3,
          rounding: 'half_up',
        },
      ],
    },
    {
      name: 'terminal',
      version: 1,
      event_type: 'transaction',
      key: ['terminal_id'],
      when: [{ field: 'channel', in: ['card_present', 'atm'] }],
      resolution: '5s',
      features: [
        { name: 't_count', aggregate: 'count', window: '20s', delay: '10s', trigger: 'excluded' },
        { name: 't_count_with', aggregate: 'count', window: '20s', trigger: 'included' },
        { name: 't_frauds', aggregate: 'fraud_count', window: '20s', delay: '10s' },
        { name: 't_share', aggregate: 'fraud_share', window: '20s', scale: 6, rounding: 'half_up', when_empty: 0 },
      ],
    },
    {
      name: 'moment',
      version: 1,
      event_type: 'transaction',
      features: [
        { name: 'amount', aggregate: 'trigger_field', field: 'amount_minor' },
        { name: 'hour', aggregate: 'hour_of_day' },
        { name: 'day', aggregate: 'weekday' },
        { name: 'weekend', aggregate: 'is_weekend' },
        { name: 'night', aggregate: 'is_hour_within', from_hour: 22, to_hour: 5 },
      ],
    },
  ],
});
const plan = planOf(definitions);

const START = Date.UTC(2018, 3, 1) * 1_000;
const pick = <Value>(...values: Value[]) => fc.constantFrom(...values);

/** Few keys and half seconds, so that keys meet and times tie; now and then hours apart, so that sweeping has work. */
const anEvent = (stepsMax: number): fc.Arbitrary<Omit<FeatureEvent, 'eventId' | 'offset' | 'partition'>> =>
  fc.record({
    eventType: fc.constant('transaction' as EventType),
    ts: fc.integer({ min: 0, max: stepsMax }).map((step) => (START + step * 500_000) as EpochMicros),
    payload: fc.record(
      {
        amount_minor: fc.oneof(
          { weight: 5, arbitrary: fc.integer({ min: 0, max: 20 }) },
          pick(Number.MAX_SAFE_INTEGER, 0),
        ),
        currency: pick('EUR', 'JPY'),
        card_id: pick('c1', 'c2'),
        merchant_id: pick('m1', 'm2', 'm3'),
        terminal_id: pick('t1', 't2'),
        channel: pick('card_present', 'atm', 'ecommerce'),
      },
      { requiredKeys: ['amount_minor', 'currency'] },
    ),
  });

const aLabel = fc.record({
  target: fc.nat(200),
  afterSteps: fc.nat(80),
  isFraud: fc.option(fc.boolean(), { freq: 5 }),
  supersedes: fc.option(fc.integer({ min: 0, max: 9 }), { freq: 1 }),
});

interface World {
  readonly events: readonly FeatureEvent[];
  readonly labels: readonly LabelFact[];
  readonly trigger: FeatureEvent;
}

const aWorld = (stepsMax: number): fc.Arbitrary<World> =>
  fc
    .tuple(
      fc.array(anEvent(stepsMax), { maxLength: 60 }),
      fc.array(aLabel, { maxLength: 40 }),
      anEvent(stepsMax),
      fc.nat(1_000),
    )
    .map(([bodies, labels, trigger, id]) => {
      const next = [0, 0, 0];
      const events = bodies.map((body, n): FeatureEvent => {
        const partition = n % 3;
        const offset = asOffset((next[partition] ?? 0) * 2);
        next[partition] = (next[partition] ?? 0) + 1;
        return { ...body, eventId: `e${(n * 37) % 61}` as EventId, partition, offset };
      });
      return {
        events,
        labels: labels.flatMap(({ target, afterSteps, isFraud, supersedes }, n) => {
          const event = events[target % Math.max(1, events.length)];
          if (event === undefined) return [];
          const observed = (event.ts + afterSteps * 500_000) as EpochMicros;
          const over = supersedes === null ? {} : { supersedes: `l${supersedes}` };
          const at = { partition: 0, offset: asOffset(n) };
          return [{ labelId: `l${n % 10}`, target: event.eventId, observed, isFraud, ...at, ...over }];
        }),
        trigger: { ...trigger, eventId: `e${id}x` as EventId, partition: 0, offset: asOffset(10_000) },
      };
    });

const isBefore = (a: FeatureEvent, b: FeatureEvent): boolean => (a.ts === b.ts ? a.eventId < b.eventId : a.ts < b.ts);

/** The definition read aloud, with big integers and no state at all: what every answer is held against. */
function reference(world: World): ReadonlyMap<string, FeatureValue> {
  const values = new Map<string, FeatureValue>();
  const own = world.trigger.payload;
  for (const group of definitions.groups) {
    const same = (event: FeatureEvent): boolean =>
      (group.key ?? []).every((field) => event.payload[field] !== undefined && event.payload[field] === own[field]);
    const passes = ({ payload }: FeatureEvent): boolean =>
      (group.when ?? []).every(({ field, in: some }) => some.includes(payload[field] as string));
    const tick = durationMicros(group.resolution ?? ('1s' as never));
    const cut = (ts: number): number => Math.floor(ts / tick) * tick;
    const before = world.events
      .filter((event) => isBefore(event, world.trigger) && same(event) && passes(event))
      .sort((a, b) => (isBefore(a, b) ? -1 : 1));
    for (const feature of group.features) {
      const [window, delay] = [
        'window' in feature ? durationMicros(feature.window) : 0,
        'delay' in feature ? durationMicros(feature.delay) : 0,
      ];
      const end = cut(world.trigger.ts) - delay;
      const within = before.filter(({ ts }) => cut(ts) > end - window && cut(ts) <= end);
      const counted = [
        ...within,
        ...('trigger' in feature && feature.trigger === 'included' && passes(world.trigger) ? [world.trigger] : []),
      ];
      const amounts = counted.map(({ payload }) => BigInt(payload['amount_minor'] as number));
      const sum = amounts.reduce((total, one) => total + one, 0n);
      const n = BigInt(counted.length);
      const merchants = counted.flatMap(({ payload }) =>
        payload['merchant_id'] === undefined ? [] : [payload['merchant_id'] as string],
      );
      const known = ({ eventId }: FeatureEvent): boolean => {
        const said = world.labels.filter(({ target, observed }) => target === eventId && observed <= world.trigger.ts);
        const gone = new Set(said.map(({ supersedes }) => supersedes));
        const words = said.filter(({ labelId, isFraud }) => isFraud !== null && !gone.has(labelId));
        words.sort((a, b) => a.observed - b.observed || (a.labelId < b.labelId ? -1 : 1));
        return words.at(-1)?.isFraud ?? false;
      };
      const missing = (group.key ?? []).some((field) => own[field] === undefined);
      const when = new Date(world.trigger.ts / 1_000);
      const made = (): FeatureValue | bigint => {
        switch (feature.aggregate) {
          case 'count':
            return n;
          case 'sum':
            return sum;
          case 'min':
            return amounts.length === 0 ? null : amounts.reduce((a, b) => (a < b ? a : b));
          case 'max':
            return amounts.length === 0 ? null : amounts.reduce((a, b) => (a > b ? a : b));
          case 'mean':
            return n === 0n ? null : halfEven(sum * 100n, n);
          case 'stddev':
            return n === 0n
              ? null
              : root(((n * amounts.reduce((total, one) => total + one * one, 0n) - sum * sum) * 10_000n) / (n * n));
          case 'distinct':
            return BigInt(new Set(merchants).size);
          case 'new_value':
            return own[feature.field] === undefined ? null : merchants.includes(own[feature.field] as string) ? 0n : 1n;
          case 'seconds_since_last': {
            const last = within.at(-1);
            return last === undefined ? null : BigInt(Math.floor((world.trigger.ts - last.ts) / 1e6));
          }
          case 'ratio': {
            const mean = values.get('c_mean') ?? null;
            return mean === null || mean === 0
              ? null
              : halfUp(BigInt(own['amount_minor'] as number) * 1_000n, BigInt(mean));
          }
          case 'fraud_count':
            return BigInt(within.filter(known).length);
          case 'fraud_share':
            return n === 0n ? 0n : halfUp(BigInt(within.filter(known).length) * 1_000_000n, n);
          case 'trigger_field':
            return own[feature.field] as number;
          case 'hour_of_day':
            return when.getUTCHours();
          case 'weekday':
            return when.getUTCDay() === 0 ? 7 : when.getUTCDay();
          case 'is_weekend':
            return [0, 6].includes(when.getUTCDay()) ? 1 : 0;
          case 'is_hour_within':
            return when.getUTCHours() >= 22 || when.getUTCHours() <= 5 ? 1 : 0;
          case 'metres_from_last':
          case 'speed_from_last':
            throw new Error('places have a test of their own');
        }
      };
      const value = missing ? null : made();
      values.set(feature.name, typeof value === 'bigint' && value <= Number.MAX_SAFE_INTEGER ? Number(value) : value);
    }
  }
  return values;
}

const halfUp = (over: bigint, under: bigint): bigint => (2n * over + under) / (2n * under);
function halfEven(over: bigint, under: bigint): bigint {
  const up = halfUp(over, under);
  return (2n * over + under) % (2n * under) === 0n && up % 2n === 1n ? up - 1n : up;
}
function root(value: bigint): bigint {
  let low = 0n;
  let high = value + 1n;
  while (high - low > 1n) {
    const middle = (low + high) / 2n;
    if (middle * middle <= value) low = middle;
    else high = middle;
  }
  return low;
}

function served(state: FeatureState, trigger: FeatureEvent, cut?: Cut): ReadonlyMap<string, FeatureValue> {
  const named = state
    .snapshot(trigger, undefined, cut)
    .flatMap(({ group, values }) =>
      group.features.map(({ definition }, n): [string, FeatureValue] => [definition.name, values[n] ?? null]),
    );
  return new Map(named);
}

function stateOf(events: readonly FeatureEvent[], labels: readonly LabelFact[]): FeatureState {
  const state = new FeatureState(plan);
  state.applyLabels(labels);
  state.apply(events);
  return state;
}

describe('feature state', () => {
  it('answers as the definition reads, whatever the order of arrival', () => {
    fc.assert(
      fc.property(
        aWorld(120).chain((world) =>
          fc.record({
            world: fc.constant(world),
            events: fc.shuffledSubarray([...world.events], { minLength: world.events.length }),
            labels: fc.shuffledSubarray([...world.labels], { minLength: world.labels.length }),
          }),
        ),
        ({ world, events, labels }) => {
          const state = stateOf(events, labels);
          expect(served(state, world.trigger)).toEqual(reference(world));
        },
      ),
      { numRuns: 400 },
    );
  });

  it('answers the same when labels come last, event by event, the trigger among them', () => {
    fc.assert(
      fc.property(aWorld(120), (world) => {
        const state = new FeatureState(plan);
        for (const event of [world.trigger, ...world.events]) state.apply([event]);
        for (const label of world.labels) state.applyLabels([label]);
        expect(served(state, world.trigger)).toEqual(reference(world));
      }),
      { numRuns: 200 },
    );
  });

  it('lets go of what no window reaches, and says so rather than count less', () => {
    let late = 0;
    fc.assert(
      fc.property(aWorld(200_000), (world) => {
        const state = new FeatureState(plan);
        for (const event of world.events) state.apply([event]);
        state.applyLabels(world.labels);
        const groups = state.snapshot(world.trigger);
        const newest = Math.max(Number.NEGATIVE_INFINITY, ...world.events.map(({ ts }) => ts));
        if (world.trigger.ts < newest - 3_600e6) {
          late += 1;
          expect(groups.map(({ status, values }) => [status, values.length])).toEqual(
            groups.map(() => ['TOO_LATE', 0]),
          );
        } else expect(served(state, world.trigger)).toEqual(reference(world));
      }),
      { numRuns: 300 },
    );
    expect(late).toBeGreaterThan(20);
  });

  it('holds no more than the horizon: events, keys, texts and labels go', () => {
    const state = new FeatureState(plan);
    const event = (n: number): FeatureEvent => ({
      eventId: `e${n}` as EventId,
      eventType: 'transaction' as EventType,
      ts: (START + n * 60e6) as EpochMicros,
      partition: 0,
      offset: asOffset(n),
      payload: {
        amount_minor: n,
        currency: 'EUR',
        card_id: `c${n}`,
        terminal_id: `t${n}`,
        merchant_id: `m${n}`,
        channel: 'atm',
      },
    });
    for (let n = 0; n < 5_000; n += 1) {
      state.apply([event(n)]);
      state.applyLabels([
        {
          labelId: `l${n}`,
          target: event(n).eventId,
          observed: event(n).ts,
          isFraud: true,
          partition: 0,
          offset: asOffset(n),
        },
      ]);
    }
    // Two hours of one event a minute, and a sixteenth more between two sweeps.
    const { events, keys, labels, texts } = state.size;
    expect(events).toBeLessThanOrEqual(130);
    expect(events).toBeGreaterThanOrEqual(120);
    expect([keys, labels, texts]).toEqual([events * 2, events, events]);
  });

  it('answers at a basis as a state that never saw what lies above it', () => {
    fc.assert(
      fc.property(
        aWorld(120),
        fc.array(fc.nat(20), { minLength: 4, maxLength: 4 }),
        (world, [a = 0, b = 0, c = 0, l = 0]) => {
          const below = [a * 2, b * 2, c * 2];
          const event = (partition: number, offset: number): boolean => offset < (below[partition] ?? 0);
          const label = ({ offset }: LabelFact): boolean => offset < l;
          const part = {
            ...world,
            events: world.events.filter(({ partition, offset }) => event(partition, offset)),
            labels: world.labels.filter(label),
          };
          const whole = stateOf(world.events, world.labels);
          expect(served(whole, world.trigger, { event, label })).toEqual(reference(part));
        },
      ),
      { numRuns: 200 },
    );
  });

  it('evaluates no group that is not allowed', () => {
    const state = new FeatureState(plan);
    const trigger = {
      eventId: 'e' as EventId,
      eventType: 'transaction' as EventType,
      ts: START as EpochMicros,
      partition: 0,
      offset: asOffset(0),
      payload: { amount_minor: 1, currency: 'EUR' },
    };
    const names = (allowed?: ReadonlySet<string>): readonly string[] =>
      state.snapshot(trigger, allowed).map(({ group }) => group.definition.name);
    expect(names()).toEqual(['card', 'terminal', 'moment']);
    expect(names(new Set(['moment']))).toEqual(['moment']);
    expect(names(new Set())).toEqual([]);
    expect(state.snapshot(trigger).map(({ status }) => status)).toEqual(['KEY_ABSENT', 'KEY_ABSENT', 'OK']);
  });
});

describe('definitions', () => {
  const sound = {
    lateness: '1h',
    groups: [{ name: 'g', version: 1, event_type: 'transaction', key: ['card_id'], features: [] as object[] }],
  };
  const withFeatures = (features: object[], group: object = {}) =>
    ({ ...sound, groups: [{ ...sound.groups[0], ...group, features }] }) as unknown as FeatureDefinitions;
  const count = { name: 'n', aggregate: 'count', window: '1m', trigger: 'included' };

  it('are sound as they stand', () => {
    expect(definitionFaults(definitions)).toEqual([]);
  });

  it.each([
    ['a name twice', withFeatures([count, count]), /n: the name is used twice/],
    ['an unknown type', withFeatures([count], { event_type: 'teleport' }), /no payload schema for "teleport"/],
    ['a key that is no text', withFeatures([count], { key: ['amount_minor'] }), /"amount_minor" is not a text/],
    ['a key that no event has', withFeatures([count], { key: ['shoe_size'] }), /"shoe_size" is not a text/],
    ['a history without a key', withFeatures([count], { key: undefined }), /name the key/],
    [
      'a window between two ticks',
      withFeatures([{ ...count, window: '90s' }], { resolution: '1m' }),
      /whole multiples/,
    ],
    ['a trigger in a window that ended', withFeatures([{ ...count, delay: '1m' }]), /cannot include it/],
    ['eleven years', withFeatures([{ ...count, window: '4015d' }]), /ten years/],
    ['a sum of texts', withFeatures([{ ...count, aggregate: 'sum', field: 'city' }]), /not a number that every/],
    [
      'a sum of what some lack',
      withFeatures([{ ...count, aggregate: 'sum', field: 'latitude_e6' }]),
      /not a number that every/,
    ],
    ['distinct numbers', withFeatures([{ ...count, aggregate: 'distinct', field: 'amount_minor' }]), /is not a text/],
    [
      'a ratio of what comes later',
      withFeatures([
        { name: 'r', aggregate: 'ratio', over: { feature: 'n' }, under: { feature: 'n' }, scale: 0, rounding: 'floor' },
        count,
      ]),
      /"n" does not stand above it/,
    ],
  ])('refuse %s', (_name, faulty, sentence) => {
    expect(
      definitionFaults(faulty)
        .map((fault) => fault.sentence)
        .join('\n'),
    ).toMatch(sentence);
  });
});
