import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import {
  type Accounts,
  allHold,
  type CustodyTold,
  type DecisionPath,
  type EquationName,
  equationsOf,
  loggedOf,
  pathOf,
  waits,
} from './reconciliation.js';

type World = NonNullable<Accounts['world']>;
type Stream = NonNullable<Accounts['stream']>;
type SoundAccounts = Required<Omit<Accounts, 'path' | 'labels'>>;

interface Spoiling {
  readonly world?: Partial<World>;
  readonly stream?: Partial<Stream>;
  readonly gate?: Partial<Accounts['gate']>;
}

const NOTHING_OFFENDS = { missing_on_bus: [], not_in_ledger: [] };

/** The accounts of a door that has lost nothing: `rejected` rows were refused by the mapping, of the others each came to one end. */
function sound(rejected: number, admitted: number, duplicate: number, quarantined: number): SoundAccounts {
  const sealed = admitted + duplicate + quarantined;
  const onBus = admitted + duplicate;
  return {
    world: { rowsRead: sealed + rejected, rowsSealed: sealed, rowsRejected: rejected },
    stream: { state: 'COMPLETED', sent: sealed, admitted, duplicate, quarantined },
    gate: { admitted: onBus, onBus, offending: NOTHING_OFFENDS, reconciled: true },
    released: 0,
  };
}

function spoilt(accounts: SoundAccounts, { world, stream, gate }: Spoiling): Accounts {
  return {
    world: { ...accounts.world, ...world },
    stream: { ...accounts.stream, ...stream },
    gate: { ...accounts.gate, ...gate },
    released: accounts.released,
  };
}

const broken = (accounts: Accounts): readonly EquationName[] =>
  equationsOf(accounts)
    .filter(({ holds }) => !holds)
    .map(({ equation }) => equation);

const rows = fc.integer({ min: 0, max: 1_000_000 });

describe('the arithmetic of the door', () => {
  it('holds for every door that lost and doubled nothing', () => {
    fc.assert(
      fc.property(rows, rows, rows, rows, (rejected, admitted, duplicate, quarantined) => {
        const equations = equationsOf(sound(rejected, admitted, duplicate, quarantined));
        expect(equations.filter(({ holds }) => !holds)).toEqual([]);
        expect(allHold(equations)).toBe(true);
      }),
    );
  });

  it('is broken by one row more or less in any single account', () => {
    const base = sound(3, 100, 7, 5);
    fc.assert(
      fc.property(
        fc.constantFrom('rowsRead', 'rowsSealed', 'rowsRejected', 'sent', 'admitted', 'duplicate', 'onBus', 'ledger'),
        fc.integer({ min: -3, max: 3 }).filter((by) => by !== 0),
        (which, by) => {
          const { world, stream, gate } = base;
          const spoiling: Readonly<Record<string, Spoiling>> = {
            rowsRead: { world: { rowsRead: world.rowsRead + by } },
            rowsSealed: { world: { rowsSealed: world.rowsSealed + by } },
            rowsRejected: { world: { rowsRejected: world.rowsRejected + by } },
            sent: { stream: { sent: stream.sent + by } },
            admitted: { stream: { admitted: stream.admitted + by } },
            duplicate: { stream: { duplicate: stream.duplicate + by } },
            onBus: { gate: { onBus: gate.onBus + by } },
            ledger: { gate: { admitted: gate.admitted + by } },
          };
          expect(allHold(equationsOf(spoilt(base, spoiling[which] ?? {})))).toBe(false);
        },
      ),
    );
  });

  // The twin of each equation: what it is there to see, and that it alone names it.
  it.each<[string, EquationName, Spoiling]>([
    [
      'a row of the file that is neither sealed nor rejected',
      'rows_read = rows_sealed + rows_rejected',
      { world: { rowsRead: 116 } },
    ],
    ['a stream that is still under way', 'the stream is COMPLETED', { stream: { state: 'STREAMING' } }],
    [
      'a sealed row that was never sent',
      'rows_sealed = sent',
      { world: { rowsRead: 116, rowsSealed: 113 }, gate: { admitted: 108, onBus: 108 } },
    ],
    ['a sent row without an end', 'sent = admitted + duplicate + quarantined', { stream: { duplicate: 6 } }],
    [
      'a record on the bus that no sealed row explains',
      'rows_sealed - quarantined = records_on_bus',
      { gate: { admitted: 108, onBus: 108 } },
    ],
    [
      'an id that is in the ledger and not on the bus, and another the other way round',
      'ledger and bus hold the same events',
      { gate: { offending: { missing_on_bus: ['a'], not_in_ledger: ['b'] } } },
    ],
    ['a gate that says no', 'ledger and bus hold the same events', { gate: { reconciled: false } }],
  ])('sees %s', (_what, equation, spoiling) => {
    expect(broken(spoilt(sound(3, 100, 7, 5), spoiling))).toEqual([equation]);
  });

  it('sees an admission that is not on the bus', () => {
    expect(broken(spoilt(sound(0, 10, 0, 0), { gate: { admitted: 11 } }))).toEqual(['admitted = records_on_bus']);
  });

  it('takes a released event for what it is, and no more than was released', () => {
    const base = sound(0, 10, 0, 2);
    const after = spoilt(base, { gate: { admitted: 11, onBus: 11 } });
    expect(broken({ ...after, released: 1 })).toEqual([]);
    expect(broken({ ...after, released: 0 })).toEqual(['rows_sealed - quarantined = records_on_bus']);
    const beyond = spoilt(base, { gate: { admitted: 13, onBus: 13 } });
    expect(broken({ ...beyond, released: 5 })).toEqual(['rows_sealed - quarantined = records_on_bus']);
  });

  it('does not call a world reconciled that was never streamed', () => {
    const { world, gate } = sound(1, 0, 0, 0);
    expect(broken({ world, gate, released: 0 })).toEqual(['the stream is COMPLETED']);
  });

  it('asks ledger and bus alone of a run into which producers push', () => {
    const { gate } = sound(0, 5, 0, 0);
    expect(equationsOf({ gate, released: 0 }).map(({ equation }) => equation)).toEqual([
      'admitted = records_on_bus',
      'ledger and bus hold the same events',
    ]);
    expect(broken({ gate: { ...gate, onBus: 4 }, released: 0 })).toEqual(['admitted = records_on_bus']);
  });

  it('takes no equation for no proof', () => {
    expect(allHold([])).toBe(false);
  });
});

describe('the arithmetic of the decision path', () => {
  const base = sound(0, 10, 0, 0);
  const path: DecisionPath = {
    decided: 10,
    decisions: 10,
    planned: 12,
    intents: 12,
    outcomes: 12,
    offending: {},
    logged: { records: 44, leaves: 44, differing: {} },
  };
  const offends = (kind: string): DecisionPath['offending'] => ({ [kind]: { count: 1, ids: ['it'] } });

  it('holds where each link has as many ends as beginnings, with or without an audit log', () => {
    const { logged: _, ...unlogged } = path;
    expect(broken({ ...base, path })).toEqual([]);
    expect(broken({ ...base, path: unlogged })).toEqual([]);
    expect(equationsOf({ ...base, path: unlogged })).toHaveLength(equationsOf({ ...base, path }).length - 1);
  });

  it.each<[string, EquationName, Partial<DecisionPath>]>([
    ['an event that nobody decided', 'events to decide = decisions', { decided: 11, offending: offends('undecided') }],
    [
      'a decision of no event',
      'events to decide = decisions',
      { decided: 9, offending: offends('decided_without_event') },
    ],
    [
      'an event that was decided twice while another was not',
      'events to decide = decisions',
      { offending: { ...offends('undecided'), ...offends('decided_without_event') } },
    ],
    [
      'an action for which nobody was asked',
      'actions planned = intents',
      { offending: offends('planned_without_intent'), planned: 13 },
    ],
    [
      'an intent that was not planned',
      'actions planned = intents',
      { offending: offends('intents_unplanned'), planned: 11 },
    ],
    ['an intent without outcome', 'intents = outcomes', { offending: offends('intents_open'), outcomes: 11 }],
    ['an outcome of nothing', 'intents = outcomes', { offending: offends('outcomes_orphaned'), outcomes: 13 }],
    [
      'a record without a leaf',
      'records of the run = leaves of the audit log',
      { logged: { records: 44, leaves: 43, differing: { outcome: { records: 12, leaves: 11 } } } },
    ],
    [
      'a leaf too few of one kind and one too many of another',
      'records of the run = leaves of the audit log',
      {
        logged: loggedOf(
          {
            transaction: { on_bus: 10 },
            decision: { on_bus: 10 },
            action_intent: { on_bus: 12 },
            action_outcome: { on_bus: 12 },
          },
          { event: 10, decision: 9, intent: 12, outcome: 12, quarantine: 1 },
        ),
      },
    ],
  ])('sees %s', (_what, equation, spoiling) => {
    expect(broken({ ...base, path: { ...path, ...spoiling } })).toEqual([equation]);
  });

  it('counts events of every type as events, and says which kind differs', () => {
    const byType = { transaction: { on_bus: 3 }, login: { on_bus: 2 }, decision: { on_bus: 3 } };
    expect(loggedOf(byType, { event: 5, decision: 3 })).toEqual({ records: 8, leaves: 8, differing: {} });
    expect(loggedOf(byType, { event: 6, decision: 2 })).toEqual({
      records: 8,
      leaves: 8,
      differing: { decision: { records: 3, leaves: 2 }, event: { records: 5, leaves: 6 } },
    });
  });
});

describe('the decision path as the gate tells it', () => {
  const none = { count: 0, ids: [] };
  const told: CustodyTold = {
    decisions: 0,
    actions_planned: 0,
    intents: 0,
    outcomes: 0,
    undecided: { transaction: { count: 3, ids: ['a', 'b', 'c'] }, login: { count: 9, ids: ['l'] } },
    decided_without_event: none,
    planned_without_intent: none,
    intents_unplanned: none,
    intents_open: none,
    outcomes_orphaned: none,
  };
  const equations = (custody: CustodyTold, types: readonly string[]) =>
    broken({ ...sound(0, 3, 0, 0), path: pathOf(custody, types) });

  it('does not take a run that lost every decision for one that nobody decides', () => {
    expect(equations(told, ['transaction'])).toEqual(['events to decide = decisions']);
    expect(pathOf(told, ['transaction'])).toMatchObject({ decided: 3, decisions: 0 });
  });

  it('does not miss decisions of types that are not to be decided', () => {
    expect(
      equations({ ...told, decisions: 3, undecided: { login: { count: 9, ids: ['l'] } } }, ['transaction']),
    ).toEqual([]);
    expect(equations(told, [])).toEqual([]);
  });

  it('waits for what comes behind, not for what has no beginning', () => {
    expect(waits(pathOf(told, ['transaction']))).toBe(true);
    expect(waits(pathOf(told, ['payout']))).toBe(false);
    const one = { count: 1, ids: ['x'] };
    expect(waits(pathOf({ ...told, planned_without_intent: one }, []))).toBe(true);
    expect(waits(pathOf({ ...told, intents_open: one }, []))).toBe(true);
    expect(waits(pathOf({ ...told, outcomes_orphaned: one, intents_unplanned: one }, []))).toBe(false);
  });
});

describe('the arithmetic of labels', () => {
  const count = fc.integer({ min: 0, max: 100_000 });
  const door = sound(0, 5, 0, 0);
  const of = (entered: number, passedOver: number, accepted: number, duplicate: number, rejected: number) => ({
    ...{ sealedRows: entered + passedOver, state: 'DONE', offending: {} },
    sealed: { read: entered + passedOver, entered, passedOver, inLedger: entered },
    written: [
      {
        ...{ namespace: 'bank', submitted: accepted + duplicate + rejected, accepted, duplicate, rejected },
        in_ledger: accepted,
      },
    ],
  });

  it('holds where each label was taken, recognised or refused, and what was taken stands', () => {
    fc.assert(
      fc.property(count, count, count, count, count, (...counts) => {
        const equations = equationsOf({ ...door, labels: of(...counts) });
        expect(equations.filter(({ holds }) => !holds)).toEqual([]);
        expect(equations.slice(-3).map(({ equation }) => equation)).toEqual([
          'labels sealed = entered + passed over',
          'labels submitted = accepted + duplicate + rejected',
          'labels accepted = labels of the ledger',
        ]);
      }),
    );
  });

  const labels = of(10, 3, 7, 2, 1);
  const [bank] = labels.written;
  it.each<[string, object, readonly EquationName[]]>([
    ['a sealed row that was never read', { sealedRows: 14 }, ['labels sealed = entered + passed over']],
    ['a feed that did not end', { state: 'REFUSED' }, ['labels sealed = entered + passed over']],
    ['a feed that nobody began', { sealed: null, state: 'UNKNOWN' }, ['labels sealed = entered + passed over']],
    [
      'a sealed label that entered and does not stand',
      { sealed: { ...labels.sealed, inLedger: 9 } },
      ['labels accepted = labels of the ledger'],
    ],
    [
      'a label that was submitted and never answered',
      { written: [{ ...bank, submitted: 11 }] },
      ['labels submitted = accepted + duplicate + rejected'],
    ],
    [
      'one that was lost and another that was doubled',
      {
        written: [
          { ...bank, in_ledger: 8 },
          { ...bank, namespace: 'analyst', in_ledger: 6 },
        ],
      },
      ['labels accepted = labels of the ledger'],
    ],
  ])('is broken by %s', (_, change, equations) => {
    expect(broken({ ...door, labels: { ...labels, ...change } })).toEqual(equations);
  });

  it('takes a feed from before rows were passed over by count at what it has read', () => {
    const sealed = { ...labels.sealed, passedOver: null };
    expect(broken({ ...door, labels: { ...labels, sealed } })).toEqual([]);
    expect(broken({ ...door, labels: { ...labels, sealed: { ...sealed, read: 12 } } })).toEqual([
      'labels sealed = entered + passed over',
    ]);
  });
});
