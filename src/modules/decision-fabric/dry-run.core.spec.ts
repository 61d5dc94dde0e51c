import { describe, expect, it } from '@jest/globals';
import { NO_GRAPH, NORMAL, PLAIN, postureOf, snapshotAfter, triggerOf } from '../../../test/support/decision-engine.js';
import type { DecisionPlan, FeaturesUse, GraphUse } from '../../rails/decision/inputs.js';
import { candidateInputs, knownAs } from './dry-run.core.js';

const trigger = triggerOf();
const CORE = snapshotAfter(1, trigger, ['core_card']);
const GRAPH = { status: 'USED', context: {} } as unknown as GraphUse;
const plan = (more: Partial<DecisionPlan> = {}): DecisionPlan => ({
  ...PLAIN.plan(postureOf(NORMAL)),
  featureGroups: ['core_card'],
  forbiddenGroups: [],
  graph: 'NOT_REQUESTED_BY_PLAN',
  ...more,
});
const asked = (wanted: DecisionPlan, features: FeaturesUse = CORE, graph: GraphUse = NO_GRAPH) =>
  candidateInputs(wanted, { features, graph, featuresOf: (groups) => snapshotAfter(1, trigger, groups) });
const reason = (found: ReturnType<typeof asked>): string | null => (found.ok ? null : found.reason);

describe('what a candidate leans on', () => {
  it('the very snapshot of the decision where it asks for the same, and others at the same basis', () => {
    const same = asked(plan());
    expect(same.ok && same.features).toBe(CORE);
    const more = asked(plan({ featureGroups: ['core_card', 'core_device'] }));
    const groups = more.ok && more.features.status === 'USED' ? more.features.snapshot.groups : [];
    expect(groups.map(({ name }) => name)).toEqual(expect.arrayContaining(['core_card']));
    expect(more.ok && more.features).not.toBe(CORE);
  });

  it('nothing where it asks for nothing, whatever the decision had or could not have', () => {
    for (const features of [CORE, { status: 'UNAVAILABLE' } as const])
      expect(asked(plan({ featureGroups: [] }), features)).toMatchObject({
        ok: true,
        features: { status: 'NOT_REQUESTED_BY_PLAN' },
        graph: { status: 'NOT_REQUESTED_BY_PLAN' },
      });
    expect(
      asked(plan({ featureGroups: [], forbiddenGroups: ['core_card'], graph: 'FORBIDDEN_BY_MASK' })),
    ).toMatchObject({
      features: { status: 'FORBIDDEN_BY_MASK' },
      graph: { status: 'FORBIDDEN_BY_MASK' },
    });
  });

  it('nothing that nobody knows: each is left out under its reason', () => {
    const features = (
      status: 'UNAVAILABLE' | 'STALE_BEYOND_TOLERANCE' | 'NOT_REQUESTED_BY_PLAN' | 'FORBIDDEN_BY_MASK',
    ) => reason(asked(plan(), { status }));
    expect(features('UNAVAILABLE')).toBe('FEATURES_UNAVAILABLE');
    expect(features('STALE_BEYOND_TOLERANCE')).toBe('FEATURES_STALE_BEYOND_TOLERANCE');
    expect(features('NOT_REQUESTED_BY_PLAN')).toBe('FEATURES_NOT_ASKED');
    expect(features('FORBIDDEN_BY_MASK')).toBe('FEATURES_NOT_ASKED');
    const graph = (use: GraphUse) => reason(asked(plan({ graph: 'ASK' }), CORE, use));
    expect(graph(GRAPH)).toBeNull();
    expect(graph({ status: 'LAGGING' })).toBe('GRAPH_LAGGING');
    expect(graph({ status: 'UNAVAILABLE' })).toBe('GRAPH_UNAVAILABLE');
    expect(graph(NO_GRAPH)).toBe('GRAPH_NOT_ASKED');
  });

  it('a label says fraud, the contrary, or nothing; age alone says legitimate only where nobody says anything', () => {
    const said = (value: string) => knownAs(value, false, true);
    expect(['FRAUD_CONFIRMED', 'CHARGEBACK', 'ATO_CONFIRMED'].map(said)).toEqual(Array(3).fill('FRAUD'));
    expect(['LEGIT_CONFIRMED', 'NO_CHARGEBACK', 'ATO_NOT_CONFIRMED'].map(said)).toEqual(Array(3).fill('OTHER'));
    expect(['FRAUD_SUSPECTED', 'PENDING', 'WITHDRAWN'].map(said)).toEqual(Array(3).fill('UNKNOWN'));
    expect([knownAs(null, false, true), knownAs(null, false, false), knownAs(null, true, true)]).toEqual([
      'OTHER',
      'UNKNOWN',
      'UNKNOWN',
    ]);
  });
});
