import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { systemActor } from '../../rails/actor.js';
import type { Digest } from '../../rails/digest.js';
import { type Label, LABEL_SOURCES, type LabelSource } from '../../rails/events/label.schema.js';
import { sealPolicy } from '../../rails/policy-rev.js';
import { fromEpochMicros, type UtcMicros } from '../../rails/time.js';
import { eventTarget } from './assertion.core.js';
import type { ResolutionRule } from './label-store.policy.js';
import { resolve } from './resolution.core.js';

const T = (n: number): UtcMicros => fromEpochMicros(1_700_000_000_000_000 + n);
const { policy_rev } = sealPolicy('labels.store', 1, {});
const strict: ResolutionRule = { rule_id: 'strict', precedence: [], then: 'conflict' };
const humanFirst: ResolutionRule = { rule_id: 'human_first', precedence: ['HUMAN', 'EXTERNAL'], then: 'conflict' };
const lastWord: ResolutionRule = { rule_id: 'last_word', precedence: [], then: 'latest_observed' };

interface Said {
  readonly value: string;
  readonly effective?: number;
  readonly observed: number;
  readonly source?: LabelSource;
  readonly supersedes?: number;
}

/** Labels of one target, numbered in the order in which they were said. */
const ledger = (said: readonly Said[]): readonly Label[] =>
  said.map(({ value, effective = 0, observed, source = 'HUMAN', supersedes }, index) => ({
    label_id: `l${index}` as Digest,
    ledger_seq: index + 1,
    target: eventTarget('e-1'),
    label_type: 'fraud_disposition',
    label_value: value,
    effective_at_utc: T(effective),
    observed_at_utc: T(observed),
    recorded_at_utc: T(observed),
    source: { type: source, namespace: 'test', actor: systemActor('test') },
    ...(supersedes === undefined ? {} : { supersedes: `l${supersedes}` as Digest }),
    policy_rev,
  }));

const ask = (said: readonly Said[], asOf: number, rule = strict, effectiveAt = asOf): string => {
  const answer = resolve(ledger(said), { asOf: T(asOf), effectiveAt: T(effectiveAt), rule });
  if (answer.state === 'LABEL') return answer.label.label_value;
  if (answer.state === 'UNKNOWN') return 'UNKNOWN';
  return answer.candidates
    .map(({ label_value }) => label_value)
    .sort()
    .join(' or ');
};

describe('what was known as of a time', () => {
  const FRAUD = { value: 'FRAUD', observed: 100 };

  it('is nothing a microsecond before it was observed', () => {
    expect(ask([FRAUD], 99)).toBe('UNKNOWN');
    expect(ask([FRAUD], 100)).toBe('FRAUD');
  });

  it('is what a correction says, from then on, also where it moves the effective time', () => {
    const moved = [FRAUD, { value: 'LEGIT', effective: -50, observed: 200, supersedes: 0 }];
    expect(ask(moved, 199)).toBe('FRAUD');
    expect(ask(moved, 200)).toBe('LEGIT');
  });

  it('goes back to what stood before when a label is taken back', () => {
    const taken = [
      FRAUD,
      { value: 'LEGIT', effective: 1, observed: 200 },
      { value: 'WITHDRAWN', observed: 300, supersedes: 1 },
    ];
    expect([ask(taken, 150), ask(taken, 250), ask(taken, 350)]).toEqual(['FRAUD', 'LEGIT', 'FRAUD']);
    expect(ask([FRAUD, { value: 'WITHDRAWN', observed: 200, supersedes: 0 }], 200)).toBe('UNKNOWN');
  });

  it('is a conflict where two say something else of one effective time, unless a rule says who counts', () => {
    const two = [
      { value: 'FRAUD', observed: 100, source: 'EXTERNAL' as const },
      { value: 'LEGIT', observed: 200, source: 'HUMAN' as const },
      { value: 'FRAUD', observed: 300, source: 'AUTO' as const },
    ];
    expect(ask(two, 300)).toBe('FRAUD or FRAUD or LEGIT');
    expect(ask(two, 300, humanFirst)).toBe('LEGIT');
    expect(ask(two, 300, lastWord)).toBe('FRAUD');
    const answer = resolve(ledger(two), { asOf: T(300), effectiveAt: T(300), rule: humanFirst });
    expect(answer).toMatchObject({ state: 'LABEL', losers: [{ label_value: 'FRAUD' }, { label_value: 'FRAUD' }] });
  });

  it('is the latest effective one, and none that is effective later than was asked for', () => {
    const two = [FRAUD, { value: 'LEGIT', effective: 90, observed: 110 }];
    expect(ask(two, 120)).toBe('LEGIT');
    expect(ask(two, 120, strict, 50)).toBe('FRAUD');
    expect(ask(two, 120, strict, -1)).toBe('UNKNOWN');
  });

  it('is what the definition read aloud says, for every history, question and rule', () => {
    const said = fc.record({
      value: fc.constantFrom('FRAUD', 'LEGIT', 'WITHDRAWN'),
      effective: fc.integer({ min: 0, max: 3 }),
      observed: fc.integer({ min: 0, max: 12 }),
      source: fc.constantFrom(...LABEL_SOURCES),
      back: fc.option(fc.integer({ min: 1, max: 3 }), { freq: 2 }),
    });
    const histories = fc.array(said, { maxLength: 8 }).map((rows) => {
      let observed = 0;
      return rows.map(({ back, ...row }, index): Said => {
        observed += row.observed % 4;
        const supersedes = back === null || index - back < 0 ? {} : { supersedes: index - back };
        return { ...row, observed, ...supersedes };
      });
    });
    fc.assert(
      fc.property(
        histories,
        fc.integer({ min: -1, max: 30 }),
        fc.integer({ min: -1, max: 4 }),
        fc.constantFrom(strict, humanFirst, lastWord),
        (rows, asOf, effectiveAt, rule) => {
          expect(ask(rows, asOf, rule, effectiveAt)).toBe(readAloud(rows, asOf, effectiveAt, rule));
        },
      ),
      { numRuns: 2_000 },
    );
  });

  it('does not hang on the order in which labels are read', () => {
    const labels = ledger([
      FRAUD,
      { value: 'LEGIT', observed: 150, source: 'AUTO' },
      { value: 'FRAUD', observed: 160 },
    ]);
    const question = { asOf: T(200), effectiveAt: T(200), rule: lastWord };
    fc.assert(
      fc.property(fc.shuffledSubarray([...labels], { minLength: 3 }), (shuffled) => {
        expect(resolve(shuffled, question)).toEqual(resolve(labels, question));
      }),
    );
  });
});

/** One label after the other is taken in as it became known; what it names is struck out at that moment. */
function readAloud(rows: readonly Said[], asOf: number, effectiveAt: number, rule: ResolutionRule): string {
  const page = new Map<number, Said>();
  const struck = new Set<number>();
  rows.forEach((row, index) => {
    if (row.observed > asOf) return;
    if (row.supersedes !== undefined) struck.add(row.supersedes);
    if (row.value !== 'WITHDRAWN') page.set(index, row);
  });
  for (const index of struck) page.delete(index);
  const happened = [...page.values()].filter(({ effective = 0 }) => effective <= effectiveAt);
  if (happened.length === 0) return 'UNKNOWN';
  const latest = Math.max(...happened.map(({ effective = 0 }) => effective));
  let group = happened.filter(({ effective = 0 }) => effective === latest);
  for (const source of rule.precedence) {
    const of = group.filter((row) => row.source === source);
    if (of.length === 0) continue;
    group = of;
    break;
  }
  const values = group.map(({ value }) => value);
  if (new Set(values).size === 1) return values[0] ?? '';
  return rule.then === 'conflict' ? values.sort().join(' or ') : (group.at(-1)?.value ?? '');
}
