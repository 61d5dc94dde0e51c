import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { advance, emptyBasis } from '../../src/rails/basis.js';
import type { Offset } from '../../src/rails/eb-ref.js';
import { hasItsNumbers, amountsOf, keptFields } from '../../src/rails/features/kept.js';
import { FeatureState } from '../../src/rails/features/feature-state.js';
import { planOf } from '../../src/rails/features/plan.js';
import { GraphState } from '../../src/rails/graph/graph-state.js';
import { sealPolicy } from '../../src/rails/policy-rev.js';
import { heldRuns } from '../../src/substrate/projection/comparison.js';
import { Fold } from '../../src/substrate/projection/fold.js';
import type { ProjectionRules } from '../../src/substrate/projection/projection.js';
import type { ProjectedState } from '../../src/substrate/projection/runs.js';
import { GRAPH } from './decision-fabric.kit.js';
import {
  CONTROL,
  envelopeOf,
  HANDBOOK,
  labelOf,
  type Log,
  type Payment,
  recordOf,
  runPins,
  shippedDefinitions,
  TRAFFIC,
} from './feature-plane.kit.js';

const PINS = [runPins('digest-one'), runPins('digest-two')] as const;
const PARTITIONS = 3;
const DAY_S = 86_400;
const plan = planOf(shippedDefinitions(...HANDBOOK));
const graph = new GraphState(GRAPH.body as never);

const RULES: Omit<ProjectionRules, 'fields' | 'unusable' | 'horizonMicros'> = {
  name: 'test',
  policyRev: sealPolicy('ofp.features', 1, {}).policy_rev,
  types: ['transaction'],
  readsLabels: true,
};
const KINDS = {
  features: {
    open: (): ProjectedState => new FeatureState(plan),
    rules: {
      ...RULES,
      fields: keptFields(plan),
      horizonMicros: plan.horizonMicros,
      unusable: (event) => (hasItsNumbers(amountsOf(plan), event) ? null : 'no number'),
    },
  },
  graph: {
    open: (): ProjectedState => new GraphState(GRAPH.body as never),
    rules: {
      ...RULES,
      fields: (GRAPH.body as unknown as { identifiers: { field: string }[] }).identifiers.map(({ field }) => field),
      horizonMicros: graph.keptMicros,
      unusable: () => null,
    },
  },
} as const satisfies Record<string, { open: () => ProjectedState; rules: ProjectionRules }>;
type Kind = keyof typeof KINDS;

interface Spec extends Payment {
  readonly partition: number;
  readonly run: 0 | 1;
  readonly labelled: boolean;
}

/** More than a horizon, so that states let go of a part while they are fed. */
const specs = fc
  .array(
    fc.record({
      second: fc.integer({ min: 0, max: 120 * DAY_S }),
      customer: fc.constantFrom('c1', 'c2', 'c3'),
      terminal: fc.constantFrom('t1', 't2'),
      amount: fc.integer({ min: 1, max: 10_000 }),
      partition: fc.nat({ max: PARTITIONS - 1 }),
      run: fc.constantFrom<0 | 1>(0, 1),
      labelled: fc.boolean(),
    }),
    { minLength: 2, maxLength: 40 },
  )
  .map((some) =>
    // As they happen, more or less: what comes a horizon late is counted by nobody.
    [...some].sort((a, b) => a.second - b.second).map((spec, n): Spec => ({ ...spec, id: `e-${n}` })),
  );

function logsOf(some: readonly Spec[]): readonly Log[] {
  const traffic = Array.from({ length: PARTITIONS }, (_, partition) => ({
    topic: TRAFFIC,
    partition,
    records: some
      .filter((spec) => spec.partition === partition)
      .map((spec, n) => recordOf(envelopeOf(PINS[spec.run], spec), n)),
  }));
  const facts = some
    .filter(({ labelled }) => labelled)
    .map(({ run, id, second }, n) => recordOf(labelOf(PINS[run], id, second + DAY_S), n));
  return [...traffic, { topic: CONTROL, partition: 0, records: facts }];
}

function foldOf(kind: Kind, logs: readonly Log[], order: readonly number[]): Fold<ProjectedState> {
  const { open, rules } = KINDS[kind];
  const fold = new Fold<ProjectedState>(rules, open);
  const at = logs.map(() => 0);
  // The order picks a partition and how much of it; the rest follows.
  for (const pick of [...order, ...logs.map((_, n) => n + 1_000 * logs.length)]) {
    const index = pick % logs.length;
    const log = logs[index];
    if (log === undefined) continue;
    const from = at[index] ?? 0;
    const until = from + 1 + Math.floor(pick / logs.length);
    fold.take(log, log.records.slice(from, until));
    at[index] = Math.min(until, log.records.length);
  }
  return fold;
}

async function digestsOf(kind: Kind, logs: readonly Log[], order: readonly number[] = []) {
  const { runs } = foldOf(kind, logs, order);
  const { horizonMicros } = KINDS[kind].rules;
  const basis = advance(
    emptyBasis([TRAFFIC, CONTROL]),
    logs.map(({ topic, partition, records }) => ({ topic, partition, nextOffset: records.length as Offset })),
  );
  const horizons = new Map(
    [...runs].map(({ pinsDigest, state }) => [pinsDigest as string, (state.newest ?? -Infinity) - horizonMicros]),
  );
  return { held: await heldRuns(runs, [], basis, horizons, undefined), horizons, runs };
}

describe.each(['features', 'graph'] as const)('what is held of %s', (kind) => {
  const order = fc.array(fc.nat({ max: 60 }), { maxLength: 60 });

  it('does not depend on which partition came first, and in which batches', async () => {
    await fc.assert(
      fc.asyncProperty(specs, order, async (some, picks) => {
        const logs = logsOf(some);
        expect((await digestsOf(kind, logs, picks)).held).toEqual((await digestsOf(kind, logs)).held);
      }),
      { numRuns: 60 },
    );
  });

  it('is another one when one event or label within the horizon is lost, changed or added', async () => {
    await fc.assert(
      fc.asyncProperty(specs, async (some) => {
        const { held } = await digestsOf(kind, logsOf(some));
        // Of the newest event nobody has let go.
        const newest = some.length - 1;
        expect((await digestsOf(kind, logsOf(some.slice(0, newest)))).held).not.toEqual(held);
        const moved = some.map((spec, n) => (n === newest ? { ...spec, customer: `${spec.customer}x` } : spec));
        expect((await digestsOf(kind, logsOf(moved))).held).not.toEqual(held);
        const last = some[newest];
        if (last === undefined) return;
        const more = [...some, { ...last, id: 'one-more', labelled: false }];
        expect((await digestsOf(kind, logsOf(more))).held).not.toEqual(held);
        const told = some.map((spec, n) => (n === newest ? { ...spec, labelled: !spec.labelled } : spec));
        expect((await digestsOf(kind, logsOf(told))).held).not.toEqual(held);
      }),
      { numRuns: 60 },
    );
  });
});
