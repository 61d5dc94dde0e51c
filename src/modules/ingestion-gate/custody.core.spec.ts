import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { type Custody, type CustodyRecord, CustodyWalk } from './custody.core.js';

/** A payment with all that follows from it, in the order of its partition. */
function chain(n: number, actions: number): readonly CustodyRecord[] {
  const keys = Array.from({ length: actions }, (_, at) => `intent-${n}-${at}`);
  return [
    { event_id: `pay-${n}`, event_type: 'transaction' },
    {
      event_id: `decision-${n}`,
      event_type: 'decision',
      parent_event_id: `pay-${n}`,
      payload: { actions: keys.map((idempotency_key) => ({ idempotency_key })) },
    },
    ...keys.map((key) => ({ event_id: key, event_type: 'action_intent', parent_event_id: `decision-${n}` })),
    ...keys.map((key) => ({ event_id: `outcome of ${key}`, event_type: 'action_outcome', parent_event_id: key })),
  ];
}

function walked(records: readonly CustodyRecord[]): Custody {
  const walk = new CustodyWalk();
  for (const record of records) walk.see(record);
  return walk.finish();
}

/** Who lacks what, by kind; undecided events with their type. */
const offending = ({ undecided, ...custody }: Custody): Readonly<Record<string, readonly string[]>> =>
  Object.fromEntries([
    ...Object.entries(custody).flatMap(([name, value]) =>
      typeof value === 'number' || value.count === 0 ? [] : [[name, value.ids] as const],
    ),
    ...Object.entries(undecided).map(([type, { ids }]) => [`undecided ${type}`, ids] as const),
  ]);

/** Chains shuffled into each other, each in its own order. */
const interleaved = fc
  .array(fc.integer({ min: 0, max: 3 }), { minLength: 1, maxLength: 12 })
  .chain((sizes) =>
    fc.tuple(fc.constant(sizes.map((actions, n) => chain(n, actions))), fc.infiniteStream(fc.nat(1_000))),
  )
  .map(([chains, random]) => {
    const rest = chains.map((records) => [...records]);
    const mixed: CustodyRecord[] = [];
    for (const draw of random) {
      const open = rest.filter(({ length }) => length > 0);
      const from = open[draw % Math.max(1, open.length)];
      const next = from?.shift();
      if (next === undefined) return mixed;
      mixed.push(next);
    }
    return mixed;
  });

describe('what follows from the traffic of a run', () => {
  it('is whole, however the partitions are read into each other', () => {
    fc.assert(
      fc.property(interleaved, (records) => {
        const custody = walked(records);
        expect(offending(custody)).toEqual({});
        const of = (type: string): number => records.filter(({ event_type }) => event_type === type).length;
        expect(custody).toMatchObject({
          decisions: of('decision'),
          actions_planned: of('action_intent'),
          intents: of('action_intent'),
          outcomes: of('action_outcome'),
        });
      }),
    );
  });

  it('knows the wishes of people, which no decision planned, and still names one that claims to be of a decision', () => {
    const asked = (origin: string): readonly CustodyRecord[] => [
      ...chain(1, 0),
      { event_id: 'wish', event_type: 'action_intent', parent_event_id: 'decision-1', payload: { origin } },
      { event_id: 'done', event_type: 'action_outcome', parent_event_id: 'wish' },
    ];
    expect(offending(walked(asked('CASE')))).toEqual({});
    expect(offending(walked(asked('DF')))).toEqual({ intents_unplanned: ['wish'] });
    expect(offending(walked(asked('CASE').slice(0, -1)))).toEqual({ intents_open: ['wish'] });
  });

  it('names whatever one lost record leaves without its other end', () => {
    fc.assert(
      fc.property(interleaved, fc.nat(), (records, draw) => {
        const lost = records[draw % records.length];
        const left = records.filter((record) => record !== lost);
        expect(Object.keys(offending(walked(left))).length).toBeGreaterThan(0);
      }),
    );
  });

  const whole = [...chain(1, 2), ...chain(2, 1)];
  const without = (id: string): readonly CustodyRecord[] => whole.filter(({ event_id }) => event_id !== id);
  it.each<[string, readonly CustodyRecord[], Readonly<Record<string, readonly string[]>>]>([
    [
      'a decision that is missing',
      without('decision-1'),
      { 'undecided transaction': ['pay-1'], intents_unplanned: ['intent-1-0', 'intent-1-1'] },
    ],
    [
      'an event that was decided twice',
      [...whole, { event_id: 'decision-x', event_type: 'decision', parent_event_id: 'pay-1', payload: {} }],
      { decided_without_event: ['decision-x'] },
    ],
    [
      'an intent that is missing',
      without('intent-1-1'),
      { planned_without_intent: ['intent-1-1'], outcomes_orphaned: ['outcome of intent-1-1'] },
    ],
    ['an intent without outcome', without('outcome of intent-2-0'), { intents_open: ['intent-2-0'] }],
    [
      'an outcome without intent',
      [...whole, { event_id: 'outcome-x', event_type: 'action_outcome', parent_event_id: 'nobody' }],
      { outcomes_orphaned: ['outcome-x'] },
    ],
    ['a transaction that is missing', without('pay-2'), { decided_without_event: ['decision-2'] }],
  ])('%s is named', (_, records, found) => {
    expect(offending(walked(records))).toEqual(found);
  });

  it('counts all and names a hundred', () => {
    const many = Array.from({ length: 150 }, (_, n) => chain(n, 1)[0]).flatMap((one) =>
      one === undefined ? [] : [one],
    );
    const { undecided } = walked([...chain(1_000, 1), ...many]);
    expect([undecided['transaction']?.count, undecided['transaction']?.ids.length]).toEqual([150, 100]);
  });

  it('names undecided events by their type, also where nothing at all was decided', () => {
    const login = { event_id: 'login-1', event_type: 'login' };
    expect(offending(walked([...whole, login]))).toEqual({ 'undecided login': ['login-1'] });
    const undecided = whole.filter(({ event_type }) => event_type === 'transaction');
    expect(offending(walked(undecided))).toEqual({ 'undecided transaction': ['pay-1', 'pay-2'] });
  });
});
