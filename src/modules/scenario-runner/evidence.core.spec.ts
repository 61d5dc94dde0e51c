import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { systemActor } from '../../rails/actor.js';
import { canonicalJson } from '../../rails/canonical-json.js';
import { digestText } from '../../rails/digest.js';
import type { GateId, GateReceipt } from '../../rails/gate.js';
import type { ScenarioId, Seed } from '../../rails/pins.js';
import { sealPolicy } from '../../rails/policy-rev.js';
import { objectKey, type Ref, refTo } from '../../rails/ref.js';
import { asUtcMicros } from '../../rails/time.js';
import { type Evidence, type Found, judgeEvidence, type OutputEvidence, wantedOutputs } from './evidence.core.js';
import { intentOf, planOf } from './scenario-runner.core.js';
import type { RunPlan } from './scenario-runner.port.js';
import {
  type Invocation,
  OUTPUT_GATE,
  type OutputIndex,
  outputScope,
  type SealedOutput,
  worldPinsOf,
  type WorldSeal,
} from './sealed-world.js';

const INVOCATION: Invocation = {
  kind: 'generate',
  scenario_id: 'baseline' as ScenarioId,
  seed: '7' as Seed,
  parameters: {},
};
const PINS = worldPinsOf(INVOCATION);
const AT = asUtcMicros('2026-01-01T00:00:00.000000Z');

const refTo_ = (name: string, of: unknown): Ref =>
  refTo(objectKey(`engine/worlds/x/${name}`), digestText(canonicalJson(of)), 1, 'application/json');

function plan(gates: readonly string[] = [OUTPUT_GATE], outputs: readonly string[] = []): RunPlan {
  const request = {
    run_equivalence_key: 'k',
    world: INVOCATION,
    strategy: 'AUTO' as const,
    ...(outputs.length === 0 ? {} : { output_ids: outputs }),
  };
  const intent = intentOf(request, { worldPins: PINS, at: AT, by: systemActor('test') });
  const limits = { required_gates: gates, attempts_max: 3, evidence_deadline_ms: 1_000 };
  return planOf(intent, limits, sealPolicy('sr.gates', 1, {}).policy_rev);
}

function output(outputId: string): OutputEvidence {
  const rows = 3;
  const part = { ref: refTo_(`${outputId}/0`, outputId), rows, first_row: 0, first_ts_utc: AT, last_ts_utc: AT };
  const index: OutputIndex = { output_id: outputId, role: 'truth_products', pins: PINS, rows, parts: [part] };
  const receipt: GateReceipt = {
    gate_id: OUTPUT_GATE as GateId,
    status: 'PASS',
    scope: outputScope(PINS, outputId),
    artifact_digest: refTo_('index', index).digest.hex,
    evidence: [],
    reason_codes: [],
  };
  const sealed: SealedOutput = {
    output_id: outputId,
    role: 'truth_products',
    rows,
    index: refTo_('index', index),
    receipt: refTo_('receipt', receipt),
  };
  return { sealed, index: yes(index), receipt: yes(receipt), partsMissing: [], partsOther: [] };
}

const yes = <Value>(value: Value): Found<Value> => ({ found: 'YES', value });
const NO = { found: 'NO' } as const;
const OTHER = { found: 'OTHER', why: 'changed' } as const;

function evidence(
  change: (output: OutputEvidence) => OutputEvidence = (o) => o,
  sealChange: Partial<WorldSeal> = {},
): Evidence {
  const outputs = [output('labels'), change(output('rings'))];
  const seal: WorldSeal = {
    status: 'SEALED_OK',
    kind: 'generate',
    pins: PINS,
    format: 1,
    parameters: refTo_('parameters', {}),
    outputs: outputs.map(({ sealed }) => sealed),
    counts: { rows_read: 6, rows_sealed: 0, rows_rejected: 0, rejected_by_reason: {} },
    reason_codes: [],
    ...sealChange,
  };
  return { seal: yes(seal), sealRef: refTo_('seal', seal), sealSeen: [], outputs };
}

const withReceipt =
  (change: Partial<GateReceipt>) =>
  (each: OutputEvidence): OutputEvidence =>
    each.receipt.found === 'YES' ? { ...each, receipt: yes({ ...each.receipt.value, ...change }) } : each;
const withIndex =
  (change: Partial<OutputIndex>) =>
  (each: OutputEvidence): OutputEvidence =>
    each.index.found === 'YES' ? { ...each, index: yes({ ...each.index.value, ...change }) } : each;

/** One fault each, with the verdict that it must give; the twin of all of them is the evidence without a fault. */
const FAULTS: readonly (readonly [string, 'WAITING' | 'FAIL' | 'CONFLICT', () => Evidence])[] = [
  ['no seal', 'WAITING', () => ({ seal: NO, sealRef: null, sealSeen: [], outputs: [] })],
  ['no receipt', 'WAITING', () => evidence((o) => ({ ...o, receipt: NO }))],
  ['no index', 'WAITING', () => evidence((o) => ({ ...o, index: NO }))],
  ['no part', 'WAITING', () => evidence((o) => ({ ...o, partsMissing: ['p'] }))],
  ['a receipt of another gate', 'WAITING', () => evidence(withReceipt({ gate_id: 'engine.old' as GateId }))],
  ['a receipt that says FAIL', 'FAIL', () => evidence(withReceipt({ status: 'FAIL' }))],
  ['a seal that says FAILED', 'FAIL', () => evidence(undefined, { status: 'SEALED_FAILED' })],
  ['a changed seal', 'CONFLICT', () => ({ ...evidence(), seal: OTHER, outputs: [] })],
  ['a changed receipt', 'CONFLICT', () => evidence((o) => ({ ...o, receipt: OTHER }))],
  ['a changed index', 'CONFLICT', () => evidence((o) => ({ ...o, index: OTHER }))],
  ['a changed part', 'CONFLICT', () => evidence((o) => ({ ...o, partsOther: ['p'] }))],
  ['a receipt of other bytes', 'CONFLICT', () => evidence(withReceipt({ artifact_digest: digestText('other') }))],
  ['a receipt of another scope', 'CONFLICT', () => evidence(withReceipt({ scope: outputScope(PINS, 'labels') }))],
  ['a receipt of a narrower scope', 'CONFLICT', () => evidence(withReceipt({ scope: { output_id: 'rings' } }))],
  ['a seal of another world', 'CONFLICT', () => evidence(undefined, { pins: { ...PINS, seed: '8' as Seed } })],
  ['a seal of another kind', 'CONFLICT', () => evidence(undefined, { kind: 'import' })],
  ['an index of another world', 'CONFLICT', () => evidence(withIndex({ pins: { ...PINS, seed: '8' as Seed } }))],
  ['an index of another output', 'CONFLICT', () => evidence(withIndex({ output_id: 'labels' }))],
  ['an index of another role', 'CONFLICT', () => evidence(withIndex({ role: 'business_traffic' }))],
  ['an index that counts other rows', 'CONFLICT', () => evidence(withIndex({ parts: [] }))],
  ['another seal before', 'CONFLICT', () => ({ ...evidence(), sealSeen: [digestText('other')] })],
];

describe('the verdict over the evidence', () => {
  it('is COMPLETE where everything is there and agrees', () => {
    const whole = evidence();
    const seen = whole.sealRef === null ? [] : [whole.sealRef.digest.hex];
    const verdict = judgeEvidence(plan(), { ...whole, sealSeen: seen });
    expect(verdict).toMatchObject({ verdict: 'COMPLETE', proven: { receipts: [{}, {}], outputs: [{}, {}] } });
  });

  it.each(FAULTS)('%s is %s', (_name, expected, make) => {
    expect(judgeEvidence(plan(), make()).verdict).toBe(expected);
  });

  it('never says COMPLETE with any fault among any others, and a contradiction outweighs a refusal outweighs a wait', () => {
    const RANK = { CONFLICT: 3, FAIL: 2, WAITING: 1, COMPLETE: 0 };
    // Faults of outputs that can stand side by side, each on an output of its own.
    const some = FAULTS.filter(([, , make]) => make().outputs.length === 2);
    fc.assert(
      fc.property(fc.subarray([...some], { minLength: 1 }), (faults) => {
        const seals = faults.map(([, , make]) => make());
        const [first] = seals;
        if (first === undefined || first.seal.found !== 'YES') return;
        const outputs = seals.flatMap((each, index) =>
          each.outputs.map((o) => ({ ...o, sealed: { ...o.sealed, output_id: `${o.sealed.output_id}${index}` } })),
        );
        // Renamed outputs contradict their indexes: put those right, unless that is the fault.
        const renamed = outputs.map((o, place) => {
          const index = Math.floor(place / 2);
          const rename = (id: string): string => `${id}${index}`;
          const fixedIndex: OutputEvidence['index'] =
            o.index.found === 'YES' ? yes({ ...o.index.value, output_id: rename(o.index.value.output_id) }) : o.index;
          const fixedReceipt: OutputEvidence['receipt'] =
            o.receipt.found === 'YES'
              ? yes({
                  ...o.receipt.value,
                  scope: { ...o.receipt.value.scope, output_id: rename(o.receipt.value.scope['output_id'] ?? '') },
                })
              : o.receipt;
          return { ...o, index: fixedIndex, receipt: fixedReceipt };
        });
        const merged = Object.assign(
          {},
          ...seals.map(({ seal }) => (seal.found === 'YES' ? differing(seal.value) : {})),
        ) as Partial<WorldSeal>;
        const seal = { ...first.seal.value, ...merged, outputs: renamed.map(({ sealed }) => sealed) };
        const sealSeen = seals.flatMap((each) => each.sealSeen);
        const { verdict } = judgeEvidence(plan(), {
          seal: yes(seal),
          sealRef: first.sealRef,
          sealSeen,
          outputs: renamed,
        });
        const worst = Math.max(...faults.map(([, expected]) => RANK[expected]));
        expect(RANK[verdict]).toBe(worst);
      }),
    );
  });

  it('demands every gate of the policy, and the gate of outputs although the policy does not name it', () => {
    expect(judgeEvidence(plan([OUTPUT_GATE, 'engine.audit']), evidence())).toMatchObject({ verdict: 'WAITING' });
    expect(
      judgeEvidence(plan(['engine.old']), evidence(withReceipt({ gate_id: 'engine.old' as GateId }))),
    ).toMatchObject({
      verdict: 'WAITING',
    });
  });

  it('binds what is wanted and no more', () => {
    const whole = evidence();
    if (whole.seal.found !== 'YES') throw new Error('sealed');
    const wanted = plan([OUTPUT_GATE], ['labels']);
    expect(wantedOutputs(wanted, whole.seal.value).map(({ output_id }) => output_id)).toEqual(['labels']);
    const missing = judgeEvidence(plan([OUTPUT_GATE], ['nowhere']), { ...whole, outputs: [] });
    expect(missing).toMatchObject({ verdict: 'FAIL', reason: 'UNBINDABLE_OUTPUT' });
  });

  it('does not bind traffic that says no event type', () => {
    const untyped = evidence((o) => ({
      ...withIndex({ role: 'business_traffic' })(o),
      sealed: { ...o.sealed, role: 'business_traffic' },
    }));
    expect(judgeEvidence(plan(), untyped)).toMatchObject({ verdict: 'FAIL', reason: 'UNBINDABLE_OUTPUT' });
  });
});

/** What a fault changed about the seal itself. */
function differing(seal: WorldSeal): Partial<WorldSeal> {
  return {
    ...(seal.status === 'SEALED_OK' ? {} : { status: seal.status }),
    ...(seal.kind === 'generate' ? {} : { kind: seal.kind }),
    ...(seal.pins.seed === PINS.seed ? {} : { pins: seal.pins }),
  };
}
