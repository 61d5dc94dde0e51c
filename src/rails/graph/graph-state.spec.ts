import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import type { Offset } from '../eb-ref.js';
import type { EventId, EventType } from '../envelope.schema.js';
import type { FeatureEvent } from '../features/event-table.js';
import type { LabelFact } from '../features/label-table.js';
import type { EpochMicros } from '../time.js';
import { type GraphPolicy, graphPolicyFaults } from './graph.schema.js';
import { GraphState } from './graph-state.js';

const POLICY: GraphPolicy = {
  event_type: 'transaction',
  identifiers: [
    { field: 'card_id', type: 'card', joins: true },
    { field: 'customer_id', type: 'customer', joins: true },
    { field: 'device_id', type: 'device', joins: true },
    { field: 'ip_address', type: 'ip', joins: false },
    { field: 'billing_address_id', type: 'address', joins: true },
    { field: 'shipping_address_id', type: 'address', joins: true },
    { field: 'beneficiary_account_id', type: 'beneficiary', joins: true },
  ],
  horizon_days: 30,
  lateness_days: 30,
  walk: { identifiers_max: 40, events_per_identifier_max: 8 },
};
const START = Date.UTC(2026, 0, 1) * 1_000;

function event(n: number, payload: Readonly<Record<string, string>>, second = n, partition = 0): FeatureEvent {
  return {
    eventId: `e-${String(n).padStart(6, '0')}` as EventId,
    eventType: 'transaction' as EventType,
    ts: (START + second * 1e6) as EpochMicros,
    partition,
    offset: n as Offset,
    payload,
  };
}

const fraud = (target: FeatureEvent, second: number, n = 0, isFraud = true): LabelFact => ({
  labelId: `l-${target.eventId}-${n}`,
  target: target.eventId,
  observed: (START + second * 1e6) as EpochMicros,
  isFraud,
  partition: 0,
  offset: n as Offset,
});

function stateOf(events: readonly FeatureEvent[], facts: readonly LabelFact[] = [], policy = POLICY): GraphState {
  const state = new GraphState(policy);
  state.apply(events);
  state.applyLabels(facts);
  return state;
}

/** Few names, so that everything hangs together in every way. */
const some = fc
  .array(
    fc.record({
      card: fc.integer({ min: 0, max: 6 }),
      customer: fc.option(fc.integer({ min: 0, max: 4 })),
      device: fc.option(fc.integer({ min: 0, max: 4 })),
      ip: fc.integer({ min: 0, max: 2 }),
      address: fc.option(fc.integer({ min: 0, max: 3 })),
      second: fc.integer({ min: 0, max: 60 }),
      partition: fc.integer({ min: 0, max: 3 }),
      isFraud: fc.boolean(),
    }),
    { minLength: 1, maxLength: 40 },
  )
  .map((rows) =>
    rows.map(({ card, customer, device, ip, address, second, partition, isFraud }, n) => ({
      isFraud,
      event: event(
        n,
        {
          card_id: `c${card}`,
          ...(customer === null ? {} : { customer_id: `p${customer}` }),
          ...(device === null ? {} : { device_id: `d${device}` }),
          ip_address: `10.0.0.${ip}`,
          ...(address === null
            ? {}
            : { billing_address_id: `a${address}`, shipping_address_id: `a${(address + 1) % 4}` }),
        },
        second,
        partition,
      ),
    })),
  );

describe('the graph of a set of events', () => {
  it('is the same in 200 orders of arrival, delivered twice, and so is every context', () => {
    fc.assert(
      fc.property(some, fc.infiniteStream(fc.nat()), (rows, order) => {
        const events = rows.map((row) => row.event);
        const facts = rows.flatMap((row) => (row.isFraud ? [fraud(row.event, 30)] : []));
        const straight = stateOf(events, facts);
        // Partitions keep their own order, and come in any between each other.
        const queues = [0, 1, 2, 3].map((partition) => events.filter((one) => one.partition === partition));
        const mixed: FeatureEvent[] = [];
        while (mixed.length < events.length) {
          const open = queues.filter((queue) => queue.length > 0);
          const next = open[(order.next().value as number) % open.length]?.shift();
          if (next !== undefined) mixed.push(next);
        }
        const other = new GraphState(POLICY);
        other.applyLabels([...facts].reverse());
        for (const one of mixed) other.apply([one]);
        other.apply(mixed);
        expect(other.dump()).toBe(straight.dump());
        for (const trigger of events) expect(other.context(trigger)).toEqual(straight.context(trigger));
      }),
      { numRuns: 200 },
    );
  });

  it('answers an event from what came before it alone: what comes after, or lies beyond the cut, changes nothing', () => {
    fc.assert(
      fc.property(some, fc.nat(), fc.nat(40), (rows, at, below) => {
        const events = rows.map((row) => row.event);
        const trigger = events[at % events.length];
        if (trigger === undefined) throw new Error('no event');
        const before = events.filter(
          ({ ts, eventId }) => ts < trigger.ts || (ts === trigger.ts && eventId < trigger.eventId),
        );
        expect(stateOf(events).context(trigger)).toEqual(stateOf(before).context(trigger));
        const cut = { event: (_partition: number, offset: number) => offset < below, label: () => true };
        const within = before.filter(({ offset }) => offset < below);
        expect(stateOf(events).context(trigger, cut)).toEqual(stateOf(within).context(trigger));
      }),
      { numRuns: 200 },
    );
  });

  it('counts fraud from the moment at which it became known, and not before', () => {
    const first = event(1, { card_id: 'c1', device_id: 'd1' }, 10);
    const second = event(2, { card_id: 'c2', device_id: 'd1' }, 100);
    const state = stateOf([first, second], [fraud(first, 100)]);
    expect(state.context(second)).toMatchObject({ component_fraud_events: 1, component_fraud_share_e4: 10_000 });
    const early = stateOf([first, second], [fraud(first, 101)]);
    expect(early.context(second)).toMatchObject({ component_fraud_events: 0, component_fraud_share_e4: 0 });
    const withdrawn = stateOf([first, second], [fraud(first, 50), fraud(first, 60, 1, false)]);
    expect(withdrawn.context(second)).toMatchObject({ component_fraud_events: 0 });
  });

  it('joins what shares a device, and not what shares an internet address', () => {
    const ring = [1, 2, 3, 4].map((n) => event(n, { card_id: `c${n}`, customer_id: `p${n}`, device_id: 'shared' }));
    const state = stateOf(ring);
    const trigger = event(9, { card_id: 'c9', customer_id: 'p9', device_id: 'shared' });
    expect(state.context(trigger)).toMatchObject({
      component_size: 11,
      component_payers: 10,
      component_events: 4,
      device_payers: 4,
      ip_payers: null,
      component_is_bounded: 0,
    });
    const carrier = [1, 2, 3].map((n) => event(n, { card_id: `c${n}`, ip_address: '10.0.0.1' }));
    expect(stateOf(carrier).context(event(9, { card_id: 'c9', ip_address: '10.0.0.1' }))).toMatchObject({
      component_size: 1,
      component_events: 0,
      component_fraud_share_e4: null,
      ip_payers: 3,
    });
  });

  it('does bounded work on a hub of 100,000 events, and says that it stopped', () => {
    const hub = Array.from({ length: 100_000 }, (_, n) => event(n, { card_id: `c${n}`, device_id: 'hub' }));
    const state = stateOf(hub);
    state.looked = 0;
    const found = state.context(event(200_000, { card_id: 'new', device_id: 'hub' }));
    expect(found).toMatchObject({ component_is_bounded: 1, component_events: 8, device_payers: 8 });
    const { identifiers_max, events_per_identifier_max } = POLICY.walk;
    expect(state.looked).toBeLessThanOrEqual((identifiers_max + 1) * (events_per_identifier_max + 1));
  });

  it('lets go of what is behind the horizon, and does not answer what comes too late', () => {
    const day = 86_400;
    const state = new GraphState(POLICY);
    state.apply([event(1, { card_id: 'old', device_id: 'd1' }, 0)]);
    expect(state.context(event(2, { card_id: 'c2', device_id: 'd1' }, 29 * day))).toMatchObject({ device_payers: 1 });
    expect(state.context(event(2, { card_id: 'c2', device_id: 'd1' }, 31 * day))).toMatchObject({ device_payers: 0 });
    state.apply([event(3, { card_id: 'c3', device_id: 'd2' }, 90 * day)]);
    expect(state.size).toMatchObject({ events: 1 });
    expect(state.context(event(4, { card_id: 'c4' }, 59 * day))).toBeNull();
    expect(state.context(event(4, { card_id: 'c4' }, 61 * day))).not.toBeNull();
  });
});

describe('what is known of an identifier', () => {
  const claims = [
    event(1, { card_id: 'c1', customer_id: 'p1' }),
    event(2, { card_id: 'c1', customer_id: 'p2' }),
    event(3, { card_id: 'c2', customer_id: 'p1', device_id: 'd1' }),
    event(4, { card_id: 'c3' }),
  ];

  it('is AMBIGUOUS where two claim it, in every order', () => {
    for (const order of [claims, [...claims].reverse()]) {
      const state = stateOf(order, [fraud(claims[0] ?? event(0, {}), 5)]);
      expect(state.profile({ type: 'card', id: 'c1' })).toMatchObject({
        status: 'AMBIGUOUS',
        customers: ['p1', 'p2'],
        events: 2,
        fraud_events: 1,
        first_seen: '2026-01-01T00:00:01.000000Z',
        last_seen: '2026-01-01T00:00:02.000000Z',
      });
      expect(state.profile({ type: 'card', id: 'c2' })).toMatchObject({ status: 'RESOLVED', customers: ['p1'] });
      expect(state.profile({ type: 'card', id: 'c3' })).toMatchObject({ status: 'UNRESOLVED', customers: [] });
      expect(state.profile({ type: 'device', id: 'c1' })).toBeNull();
      expect(state.neighbours({ type: 'customer', id: 'p1' })).toEqual([
        { type: 'card', id: 'c1', events: 1, last_seen: '2026-01-01T00:00:01.000000Z' },
        { type: 'card', id: 'c2', events: 1, last_seen: '2026-01-01T00:00:03.000000Z' },
        { type: 'device', id: 'd1', events: 1, last_seen: '2026-01-01T00:00:03.000000Z' },
      ]);
    }
  });
});

it('a field that stands twice in a policy is refused with its place', () => {
  const twice = {
    ...POLICY,
    identifiers: [...POLICY.identifiers, { field: 'card_id', type: 'card', joins: true } as const],
  };
  expect(graphPolicyFaults(twice)).toMatchObject([{ pointer: '/identifiers/7/field' }]);
  expect(graphPolicyFaults(POLICY)).toEqual([]);
});
