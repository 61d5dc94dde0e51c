import { describe, expect, it } from '@jest/globals';
import { factoryPolicy, learningTask, plantedDataset } from '../../../../test/support/learning-dataset.js';
import type { EvalReport } from './eval-report.schema.js';
import type { FactoryPolicy } from './gate-policy.schema.js';
import { type GateFindings, gatesOf, reasonsOf } from './gates.core.js';
import { learn } from './learn.js';

const { body: policy } = factoryPolicy({
  thresholds: {
    ...factoryPolicy().body.thresholds,
    card_precision_min: 0.1,
  },
  slices: { ...factoryPolicy().body.slices, roc_auc_min: 0.6 },
});
const dataset = await plantedDataset({ rows: 2_500, seed: 1, splits: [0.6, 0.2, 0.2] });
const { report: REPORT } = await learn(learningTask([dataset]), {
  monotonicMs: () => 0,
  onProgress: () => undefined,
  scoreExternal: () => Promise.reject(new Error('not asked')),
});
const FOUND: GateFindings = {
  unsound: null,
  gapHours: 1,
  ownDataset: false,
  silentInputs: [],
  again: { what: 'trained', same: true },
  stability: { psi: 0.01, beside: 'beside the rows of training' },
};

function failed(report: EvalReport, found = FOUND, under: FactoryPolicy = policy): readonly string[] {
  return gatesOf(report, found, under)
    .filter(({ passed }) => !passed)
    .map(({ name }) => name);
}
const quality = (change: Partial<EvalReport['quality']>): EvalReport => ({
  ...REPORT,
  quality: { ...REPORT.quality, ...change },
});
const rival = (difference: EvalReport['active']['difference']): EvalReport => ({
  ...REPORT,
  active: { bundle: REPORT.bundle, why: null, quality: REPORT.quality, difference },
});
const ruled = (rule: 'value' | 'interval'): FactoryPolicy => ({
  ...policy,
  against_active: { ...policy.against_active, difference_min: 0, rule },
});

describe('gates', () => {
  it('all pass for a good model, and the receipt has no reasons', () => {
    const criteria = gatesOf(REPORT, FOUND, policy);
    expect(failed(REPORT)).toEqual([]);
    expect(reasonsOf(criteria, FOUND)).toEqual([]);
    expect(new Set(criteria.map(({ name }) => name)).size).toBe(criteria.length);
  });

  it.each<[string, EvalReport, GateFindings]>([
    ['compatibility', REPORT, { ...FOUND, unsound: '/model: there is no such input' }],
    ['leakage', REPORT, { ...FOUND, gapHours: 0 }],
    ['leakage', REPORT, { ...FOUND, ownDataset: true }],
    ['evidence_rows', { ...REPORT, parts: { ...REPORT.parts, eval: { ...REPORT.parts.eval, rows: 199 } } }, FOUND],
    ['evidence_frauds', { ...REPORT, parts: { ...REPORT.parts, eval: { ...REPORT.parts.eval, frauds: 9 } } }, FOUND],
    ['signal', quality({ roc_auc: { value: 0.8, low: 0.5, high: 0.9 } }), FOUND],
    ['average_precision', quality({ average_precision: { value: 0.01, low: 0, high: 0.02 } }), FOUND],
    ['lift', quality({ lift: 1.9 }), FOUND],
    ['roc_auc', quality({ roc_auc: { value: 0.69, low: 0.6, high: 0.7 } }), FOUND],
    ['card_precision', quality({ card_precision: [{ k: 10, value: 0.05 }] }), FOUND],
    ['card_precision', quality({ card_precision: [{ k: 10, value: null }] }), FOUND],
    ['calibration_error', quality({ calibration_error: 0.11 }), FOUND],
    ['against_active', rival({ value: -0.03, low: -0.05, high: 0 }), FOUND],
    ['stability', REPORT, { ...FOUND, stability: { psi: 0.26, beside: '' } }],
    ['determinism', REPORT, { ...FOUND, again: { what: 'trained', same: false } }],
    ['determinism', REPORT, { ...FOUND, again: null }],
    ['explainability', REPORT, { ...FOUND, silentInputs: ['features.x'] }],
    ['slices', { ...REPORT, slices: REPORT.slices.map((each) => ({ ...each, roc_auc: 0.59 })) }, FOUND],
  ])('%s fails alone, for its own reason', (name, report, found) => {
    expect(failed(report, found)).toEqual([name]);
    expect(reasonsOf(gatesOf(report, found, policy), found)[0]).toBe(`GATE_${name.toUpperCase()}`);
  });

  it('hold the difference itself or the low end of its interval against what is demanded', () => {
    const unsure = rival({ value: 0.01, low: -0.01, high: 0.03 });
    expect(failed(unsure, FOUND, ruled('value'))).toEqual([]);
    expect(failed(unsure, FOUND, ruled('interval'))).toEqual(['against_active']);
    expect(failed(rival({ value: 0.01, low: 0, high: 0.03 }), FOUND, ruled('interval'))).toEqual([]);
  });
});
