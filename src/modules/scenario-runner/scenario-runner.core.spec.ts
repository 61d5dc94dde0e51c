import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { systemActor } from '../../rails/actor.js';
import { canonicalJson } from '../../rails/canonical-json.js';
import { digestText } from '../../rails/digest.js';
import type { EventType, SchemaVersion } from '../../rails/envelope.schema.js';
import type { ScenarioId, Seed } from '../../rails/pins.js';
import { sealPolicy } from '../../rails/policy-rev.js';
import { objectKey, refTo } from '../../rails/ref.js';
import { asUtcMicros } from '../../rails/time.js';
import { decodeCursor, encodeCursor } from './runs-cursor.core.js';
import {
  demandSameIntent,
  demandStep,
  factsViewOf,
  failureOf,
  intentOf,
  isPlanOf,
  isTerminal,
  livePinsOf,
  mayGo,
  planOf,
  readyEnvelope,
  readyOf,
  settled,
} from './scenario-runner.core.js';
import { failures, factsViews, intents, plans, readies, type RunIntent } from './scenario-runner.documents.js';
import { runIdOf, type RunReason, type RunRequest, type RunState, RunStateSchema } from './scenario-runner.port.js';
import { worldPinsOf } from './sealed-world.js';

const STATES = RunStateSchema.anyOf.map((each) => each.const) as readonly RunState[];
const RANK: Readonly<Record<RunState, number>> = {
  OPEN: 0,
  PLANNED: 1,
  EXECUTING: 2,
  VERIFYING: 3,
  WAITING_EVIDENCE: 4,
  READY: 5,
  FAILED: 5,
  QUARANTINED: 5,
};
const AT = asUtcMicros('2026-01-01T00:00:00.000000Z');
const POLICY = sealPolicy('sr.gates', 1, {}).policy_rev;
const GATES = { required_gates: ['engine.output', 'a.gate'], attempts_max: 3, evidence_deadline_ms: 1_000 };

const generated = (key: string, seed = '7'): RunRequest => ({
  run_equivalence_key: key,
  world: { kind: 'generate', scenario_id: 'baseline' as ScenarioId, seed: seed as Seed, parameters: { n: 1 } },
  strategy: 'AUTO',
});
const traffic = (...names: readonly string[]) =>
  names.map((name) => ({ event_type: name as EventType, schema_version: 'v1' as SchemaVersion }));
const live = (...names: readonly string[]): RunRequest => ({
  run_equivalence_key: 'live',
  world: { kind: 'live', scenario_id: 'live' as ScenarioId, traffic: traffic(...names) },
  strategy: 'AUTO',
});
function intent(request: RunRequest, at = AT): RunIntent {
  const { world } = request;
  const worldPins = world.kind === 'live' ? livePinsOf(world) : worldPinsOf(world);
  return intentOf(request, { worldPins, at, by: systemActor('test') });
}

describe('the states of a run', () => {
  it('only go forward, and nothing leaves a terminal one', () => {
    fc.assert(
      fc.property(fc.constantFrom(...STATES), fc.constantFrom(...STATES), (from, to) => {
        if (mayGo(from, to)) expect(RANK[to]).toBeGreaterThan(RANK[from]);
        if (isTerminal(from)) expect(mayGo(from, to)).toBe(false);
        else expect(mayGo(from, 'FAILED') && mayGo(from, 'QUARANTINED')).toBe(true);
      }),
    );
  });

  it('reach READY through the proof alone', () => {
    expect(STATES.filter((from) => mayGo(from, 'READY'))).toEqual(['VERIFYING', 'WAITING_EVIDENCE']);
    expect(() => demandStep('EXECUTING', 'READY')).toThrow('does not go from EXECUTING to READY');
  });

  it('end after at most five steps, whatever way is taken', () => {
    fc.assert(
      fc.property(fc.infiniteStream(fc.constantFrom(...STATES)), (wishes) => {
        let state: RunState = 'OPEN';
        let steps = 0;
        for (const wish of wishes) {
          if (isTerminal(state)) break;
          if (mayGo(state, wish)) {
            state = wish;
            steps += 1;
          }
        }
        expect(steps).toBeLessThanOrEqual(5);
      }),
      { numRuns: 200 },
    );
  });
});

describe('an intent', () => {
  it('is the same in whatever order its sets are written, at whatever time, by whomever', () => {
    const outputs = ['labels', 'rings', 'transactions'];
    fc.assert(
      fc.property(fc.shuffledSubarray(outputs, { minLength: 3 }), fc.nat(1_000_000), (ids, micros) => {
        const at = asUtcMicros(`2026-01-01T00:00:00.${String(micros % 1_000_000).padStart(6, '0')}Z`);
        const a = intent(settled({ ...generated('k'), output_ids: ids }), at);
        const b = intent(settled({ ...generated('k'), output_ids: outputs }));
        expect(() => demandSameIntent(a, b)).not.toThrow();
        expect(intents.demand(a)).toEqual(a);
      }),
    );
    const [a, b] = [live('transaction', 'sr.ready'), live('sr.ready', 'transaction')].map((r) => intent(settled(r)));
    expect(a).toEqual(b);
  });

  it.each<[string, Partial<RunRequest>]>([
    ['another seed', { world: generated('k', '8').world }],
    ['another strategy', { strategy: 'FORCE_REUSE' }],
    ['other outputs', { output_ids: ['labels'] }],
    ['another predecessor', { supersedes: { run_id: runIdOf('old'), reason: 'r' } }],
  ])('is another one with %s: the first under the key stands', (_name, change) => {
    const [standing, offered] = [generated('k'), { ...generated('k'), ...change }].map((r) => intent(settled(r)));
    if (standing === undefined || offered === undefined) throw new Error('two intents');
    expect(standing.pins.run_id).toBe(offered.pins.run_id);
    expect(() => demandSameIntent(standing, offered)).toThrow('SR_EQUIV_KEY_COLLISION');
    expect(() => demandSameIntent(standing, standing)).not.toThrow();
  });

  it.each<[string, RunRequest]>([
    ['outputs of a live run', { ...live('transaction'), output_ids: ['transactions'] }],
    ['traffic that is declared twice', live('transaction', 'transaction')],
    ['traffic without a schema', live('unheard.of')],
    ['a run that supersedes itself', { ...generated('k'), supersedes: { run_id: runIdOf('k'), reason: 'r' } }],
  ])('is refused: %s', (_name, request) => {
    expect(() => settled(request)).toThrow('SR_SCENARIO_BINDING_INVALID');
  });
});

describe('the documents of a run', () => {
  const ref = refTo(objectKey('sr/runs/x/plan.json'), digestText('plan'), 4, 'application/json');
  const mine = intent(settled(live('transaction')));

  it('are of their schemas and the same bytes whoever makes them', () => {
    const plan = planOf(mine, GATES, POLICY);
    expect(plans.demand(plan)).toEqual(plan);
    expect(plan.required_gates).toEqual(['a.gate', 'engine.output']);
    const view = factsViewOf(mine, plan, ref, null);
    expect(factsViews.demand(view)).toEqual(view);
    const again = factsViewOf(intent(settled(live('transaction'))), planOf(mine, GATES, POLICY), ref, null);
    expect(canonicalJson(again)).toBe(canonicalJson(view));
    expect(readies.demand(readyOf(mine.pins, ref))).toEqual(readyOf(mine.pins, ref));
  });

  it('a plan is one of its request, also under another policy, and of no other request', () => {
    const later = planOf(mine, { ...GATES, attempts_max: 9 }, sealPolicy('sr.gates', 2, {}).policy_rev);
    expect(isPlanOf(later, mine)).toBe(true);
    expect(isPlanOf(later, intent(generated('other')))).toBe(false);
    expect(isPlanOf({ ...later, outputs: ['x'] }, mine)).toBe(false);
  });

  it('the signal has the pins, the time of the request, and the same id for the same view', () => {
    const ready = readyOf(mine.pins, ref);
    const envelope = readyEnvelope(mine, ready);
    expect(envelope).toMatchObject({ ...mine.pins, ts_utc: AT, event_id: ready.message_id, producer: 'sr' });
    expect(canonicalJson(readyEnvelope(mine, readyOf(mine.pins, ref)))).toBe(canonicalJson(envelope));
    const other = refTo(ref.locator, digestText('other'), 5, 'application/json');
    expect(readyOf(mine.pins, other).message_id).not.toBe(ready.message_id);
  });

  it('a failure cuts what would flood it', () => {
    const reasons: readonly RunReason[] = ['GATE_FAIL'];
    const failure = failureOf(mine.pins, { state: 'FAILED', reasons, detail: 'x'.repeat(9_000) }, null);
    expect(failures.demand(failure).detail).toHaveLength(2_000);
  });

  it('a live world is what it declares', () => {
    const pins = (...names: readonly string[]) => {
      const { world } = settled(live(...names));
      if (world.kind !== 'live') throw new Error('live');
      return livePinsOf(world).manifest_fingerprint;
    };
    expect(pins('transaction', 'sr.ready')).toBe(pins('sr.ready', 'transaction'));
    expect(pins('transaction')).not.toBe(pins('sr.ready'));
  });
});

describe('the cursor of a page', () => {
  it('comes back as it went, and nothing else is taken for one', () => {
    fc.assert(
      fc.property(fc.string(), (key) => {
        const cursor = { at: AT, runId: runIdOf(key) };
        expect(decodeCursor(encodeCursor(cursor))).toEqual(cursor);
        if (key !== '') expect(() => decodeCursor(Buffer.from(key).toString('base64url'))).toThrow('VALUE_INVALID');
      }),
    );
  });
});
