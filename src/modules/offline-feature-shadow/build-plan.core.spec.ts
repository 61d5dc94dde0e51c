import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { basisRecord, advance, emptyBasis } from '../../rails/basis.js';
import type { Digest } from '../../rails/digest.js';
import { asPins, type RunPins } from '../../rails/pins.js';
import { sealPolicy } from '../../rails/policy-rev.js';
import { asUtcMicros } from '../../rails/time.js';
import { demandSound, intentDigest, planIdOf } from './build-plan.core.js';
import type { BuildIntent, BuildPlan } from './dataset.schema.js';

const T = 'fp.bus.traffic.v1';
const utc = (day: number) => asUtcMicros(`2026-01-${String(day).padStart(2, '0')}T00:00:00.000000Z`);
const pins = asPins({
  manifest_fingerprint: 'a'.repeat(64),
  parameter_hash: 'b'.repeat(64),
  seed: '7',
  scenario_id: 'plan',
  run_id: 'c'.repeat(32),
}) as RunPins;
const basisTo = (next: number) =>
  basisRecord(advance(emptyBasis([T]), [{ topic: T, partition: 0, nextOffset: next as never }]));

const plan: BuildPlan = {
  kind: 'dataset_build',
  pins,
  facts_view_digest: 'd'.repeat(64) as Digest,
  replay_start: {},
  replay_basis: basisTo(10),
  source: 'auto',
  label: { label_type: 'fraud_disposition', as_of_utc: utc(10) },
  definitions: sealPolicy('ofp.features', 1, {}).policy_rev,
  feature_groups: ['core_card'],
  rows: {},
  anchor: 'auto',
  sampling: null,
  splits: [],
  code_release: { version: '1.0.0', dataset_format: 1 },
};

describe('the id of a plan', () => {
  it('follows from everything that has a meaning: any member that changes changes it', () => {
    const changes: Partial<BuildPlan>[] = [
      { kind: 'parity_rebuild' },
      { pins: { ...pins, seed: '8' as RunPins['seed'] } },
      { facts_view_digest: 'e'.repeat(64) as Digest },
      { replay_start: { [T]: { '0': 1 as never } } },
      { replay_basis: basisTo(11) },
      { label: null },
      { label: { label_type: 'fraud_disposition', as_of_utc: utc(11) } },
      { label: { label_type: 'fraud_disposition', as_of_utc: utc(10), maturity_days: 0 } },
      { definitions: sealPolicy('ofp.features', 1, { other: true }).policy_rev },
      { feature_groups: ['core_card', 'core_ip'] },
      { rows: { from_utc: utc(1) } },
      { anchor: 'event' },
      { sampling: { others_one_in: 2, seed: '1' } },
      { splits: [{ name: 'train', from_utc: utc(1), to_utc: utc(2) }] },
      { code_release: { version: '1.0.1', dataset_format: 1 } },
      { code_release: { version: '1.0.0', dataset_format: 2 } },
    ];
    const ids = [plan, ...changes.map((change) => ({ ...plan, ...change }))].map(planIdOf);
    expect(new Set(ids).size).toBe(changes.length + 1);
    expect(planIdOf(JSON.parse(JSON.stringify(plan)) as BuildPlan)).toBe(ids[0]);
  });

  it('is that of the plan, in whatever order its members come', () => {
    fc.assert(
      fc.property(fc.shuffledSubarray(Object.keys(plan), { minLength: Object.keys(plan).length }), (names) => {
        const shuffled = Object.fromEntries(names.map((name) => [name, plan[name as keyof BuildPlan]]));
        expect(planIdOf(shuffled as unknown as BuildPlan)).toBe(planIdOf(plan));
      }),
    );
  });
});

describe('an intent', () => {
  const intent: BuildIntent = { request_id: 'r', kind: 'dataset_build', run_id: pins.run_id, basis: { at: 'head' } };
  const now = utc(20);

  it('is the same under another request id, and another with another member', () => {
    expect(intentDigest({ ...intent, request_id: 's' })).toBe(intentDigest(intent));
    expect(intentDigest({ ...intent, kind: 'parity_rebuild' })).not.toBe(intentDigest(intent));
  });

  it('that says nothing sound is refused', () => {
    const label = { label_type: 'fraud_disposition', as_of_utc: utc(10) };
    const train = { name: 'train', from_utc: utc(1), to_utc: utc(5) } as const;
    const test = { name: 'test', from_utc: utc(5), to_utc: utc(9) } as const;
    expect(() => demandSound({ ...intent, label, splits: [test, train] }, now)).not.toThrow();
    for (const change of [
      { kind: 'parity_rebuild', label },
      { kind: 'parity_rebuild', anchor: 'event' },
      { sampling: { others_one_in: 2, seed: 's' } },
      { rows: { from_utc: utc(2), to_utc: utc(2) } },
      { splits: [train, { ...test, from_utc: utc(4) }] },
      { splits: [train, { ...train, from_utc: utc(6), to_utc: utc(7) }] },
      { splits: [{ ...train, to_utc: utc(1) }] },
    ] as const)
      expect(() => demandSound({ ...intent, ...change }, now)).toThrow(
        expect.objectContaining({ code: 'OFS_INTENT_INVALID' }),
      );
    expect(() => demandSound({ ...intent, label: { ...label, as_of_utc: utc(21) } }, now)).toThrow(
      expect.objectContaining({ code: 'OFS_ASOF_SPEC_INVALID' }),
    );
  });
});
