import { randomBytes } from 'node:crypto';
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { parse } from 'yaml';
import { CALL_SLACK_MS } from '../../src/modules/decision-fabric/contexts.js';
import type { DecisionAnswer } from '../../src/modules/decision-fabric/decision-fabric.service.js';
import { type CapabilityMask, type MaskField, MOST_RESTRICTIVE } from '../../src/rails/capability-mask.js';
import type { DecisionPolicy } from '../../src/rails/decision/policy.schema.js';
import type { Posture } from '../../src/rails/events/posture.schema.js';
import type { RunStatus } from '../../src/modules/scenario-runner/scenario-runner.port.js';
import { fromEpochMs } from '../../src/rails/time.js';
import { cli } from '../support/cli.js';
import { scratchDataFolder } from '../support/data-folder.js';
import { eventually } from '../support/eventually.js';
import { Http } from '../support/http.js';
import { ScratchProfile } from '../support/profiles.js';
import { Program } from '../support/program.js';
import { type ProxyMode, RpcProxy } from '../support/rpc-proxy.js';

const OTHERS = 'engine,sr,wsp,ig,edge,labels,ofp,ieg,dl,al,mpr';

type Json = Record<string, unknown>;
/** What each result of the answer tells, changed. */
const changedResult =
  (member: 'snapshot' | 'context') =>
  (change: (told: Json) => Json): ProxyMode => ({
    kind: 'changed',
    change: (answer) => ({
      results: (answer as { results: Json[] }).results.map((one) => ({
        ...one,
        [member]: change(one[member] as Json),
      })),
    }),
  });
const changedSnapshot = changedResult('snapshot');
const changedContext = changedResult('context');
const changedPostureBy = (changeOf: (posture: Posture) => object): ProxyMode => ({
  kind: 'changed',
  change: (answer) => {
    const { posture } = answer as { posture: Posture };
    return { posture: { ...posture, ...changeOf(posture) } };
  },
});
const changedPosture = (change: Json): ProxyMode => changedPostureBy(() => change);
const narrowedMask = (change: Partial<CapabilityMask>): ProxyMode =>
  changedPostureBy(({ mask }) => ({ mask: { ...mask, ...change } }));

interface Resolutions {
  readonly resolutions: readonly { readonly slot: string; readonly bundle?: object; readonly ref?: object }[];
}
const otherSlot = (answer: unknown): object => ({
  ...(answer as Resolutions),
  resolutions: (answer as Resolutions).resolutions.map((one) => ({ ...one, slot: 'elsewhere' })),
});
const otherDigest = (answer: unknown): object => ({
  ...(answer as Resolutions),
  resolutions: (answer as Resolutions).resolutions.map((one) =>
    one.bundle === undefined
      ? one
      : {
          ...one,
          bundle: { ...one.bundle, digest: 'f'.repeat(64) },
          ref: { ...one.ref, digest: { algo: 'sha256', hex: 'f'.repeat(64) } },
        },
  ),
});
const noneActive = (answer: unknown): object => ({
  ...(answer as Resolutions),
  resolutions: (answer as Resolutions).resolutions.map(({ slot }) => ({ slot, status: 'NO_ACTIVE' })),
});

const SICK: readonly (readonly [string, ProxyMode])[] = [
  ['down', { kind: 'down' }],
  ['slow, beyond what a decision waits', { kind: 'slow', byMs: 3_000 }],
  ['answering with an error', { kind: 'text', status: 500, text: '{"code":"INTERNAL","status":500}' }],
  ['answering what is no JSON', { kind: 'text', text: '<html>It works!</html>' }],
  [
    'answering JSON of another shape',
    { kind: 'text', text: '{"results":[{"status":"FINE"}],"posture":{"mode":"NORMAL"}}' },
  ],
  ['cut off in the middle of its answer', { kind: 'truncated' }],
];

/**
 * The decision fabric in a process of its own, and a proxy between it and whoever it asks. Whatever comes of the question, the payer gets a
 * verdict within the deadline, it is the safe one, and it says why.
 */
describe('whoever a decision asks is down, slow or answers nonsense', () => {
  const data = scratchDataFolder('contexts');
  const profile = new ScratchProfile();
  let [others, fabric]: (Program | undefined)[] = [];
  let [ofp, dl, ieg, mpr]: (RpcProxy | undefined)[] = [];
  let df: Http;
  let payments = 0;

  const proxies = (): readonly RpcProxy[] => [ofp, dl, ieg, mpr].filter((one) => one !== undefined);

  beforeAll(async () => {
    const address = async (): Promise<string> => (await others?.url()) ?? '';
    [ofp, dl] = [await RpcProxy.open(address), await RpcProxy.open(address)];
    [ieg, mpr] = [await RpcProxy.open(address), await RpcProxy.open(address)];
    const endpoints = `{ ofp: '${ofp.url}', dl: '${dl.url}', ieg: '${ieg.url}', mpr: '${mpr.url}' }`;
    profile.edit(profile.wiring, 'endpoints: {}', `endpoints: ${endpoints}`);
    // Waits that a busy machine does not end by itself: what ends one here is the fault.
    const policy = join(profile.folder, 'policy', 'df.decision.yaml');
    profile.edit(policy, 'features_ms: 500', 'features_ms: 1000');
    profile.edit(policy, 'graph_ms: 500', 'graph_ms: 1000');
    profile.edit(policy, 'posture_ms: 200', 'posture_ms: 1500');
    profile.edit(policy, 'registry_ms: 1000', 'registry_ms: 1500');
    expect((await cli(['policy', 'seal', policy])).code).toBe(0);
    others = new Program({ role: OTHERS, data, main: 'product', words: ['--no-demo'] });
    const url = await others.url();
    fabric = new Program({ role: 'df', data, profile: profile.folder, main: 'product', words: ['--no-demo'] });
    const key = readFileSync(join(data, 'keys', 'operator.key'), 'utf8').trim();
    const there = new Http(url, key);
    df = new Http(await fabric.url(), key);
    const asked = await there.post('/v1/runs', {
      run_equivalence_key: 'live',
      world: {
        kind: 'live',
        scenario_id: `live-${randomBytes(4).toString('hex')}`,
        traffic: [{ event_type: 'transaction', schema_version: 'v1' }],
      },
      strategy: 'AUTO',
    });
    const { run_id } = asked.body as RunStatus;
    await eventually(
      async () => ((await there.get(`/v1/runs/${run_id}`)).body as RunStatus).state,
      (state) => state === 'READY',
      60_000,
    );
    await eventually(
      async () => ((await there.get('/v1/posture')).body as { posture: Posture | null }).posture?.mode,
      (mode) => mode === 'NORMAL',
      60_000,
    );
  }, 120_000);
  afterAll(async () => {
    await Promise.all([fabric?.end('SIGKILL'), others?.end('SIGKILL')]);
    await Promise.all(proxies().map((proxy) => proxy.close()));
    profile.remove();
    rmSync(data, { recursive: true, force: true });
  });
  beforeEach(() => {
    for (const proxy of proxies()) proxy.mode = { kind: 'pass' };
  });

  async function decided(): Promise<DecisionAnswer> {
    payments += 1;
    const { status, body, text } = await df.post('/v1/decisions', {
      transaction: {
        transaction_id: `payment-${payments}`,
        occurred_at: '2026-01-31T12:00:00Z',
        amount: '12.30',
        currency: 'EUR',
        card_id: `card-${payments}`,
      },
      deadline_ms: 10_000,
    });
    if (status !== 200) throw new Error(`${status}: ${text}`);
    return body as DecisionAnswer;
  }

  const sound = async (): Promise<void> => {
    expect(await decided()).toMatchObject({
      outcome: 'APPROVE',
      timed_out: false,
      decision: {
        reason_codes: [],
        posture: { status: 'USED', mode: 'NORMAL' },
        features: { status: 'USED' },
        graph: { status: 'USED' },
      },
    });
  };

  it('and where they are well it is approved, through the same proxies: the twin', async () => {
    const before = proxies().map(({ calls }) => calls);
    await sound();
    expect(proxies().every(({ calls }, at) => calls > (before[at] ?? 0))).toBe(true);
  });

  it.each([
    ...SICK,
    [
      'telling of another event',
      changedSnapshot((snapshot) => ({ ...snapshot, trigger: { event_id: 'another', event_type: 'transaction' } })),
    ],
    [
      'telling of another run',
      changedSnapshot((snapshot) => ({ ...snapshot, pins: { ...(snapshot['pins'] as Json), run_id: 'f'.repeat(32) } })),
    ],
    [
      'telling of what it was not asked',
      changedSnapshot((snapshot) => ({
        ...snapshot,
        groups: [
          ...(snapshot['groups'] as Json[]),
          { name: 'unasked', version: 1, status: 'OK', age_s: null, missing: 0, values: {} },
        ],
      })),
    ],
    ['answering fewer than it was asked', { kind: 'text', text: '{"results":[]}' }],
  ] as const)('the feature plane is %s', async (_, mode) => {
    if (ofp !== undefined) ofp.mode = mode;
    expect(await decided()).toMatchObject({
      outcome: 'STEP_UP',
      timed_out: false,
      decision: {
        reason_codes: ['FEATURES_UNAVAILABLE'],
        posture: { status: 'USED', mode: 'NORMAL' },
        features: { status: 'UNAVAILABLE' },
      },
    });
    expect((await decided()).decision?.features).not.toHaveProperty('feature_snapshot_hash');
  });

  it.each([
    ...SICK,
    [
      'telling of another event',
      changedContext((context) => ({ ...context, trigger: { ...(context['trigger'] as Json), event_id: 'another' } })),
    ],
    [
      'telling of another run',
      changedContext((context) => ({ ...context, pins: { ...(context['pins'] as Json), run_id: 'f'.repeat(32) } })),
    ],
    ['answering fewer than it was asked', { kind: 'text', text: '{"results":[]}' }],
  ] as const)('the graph is %s', async (_, mode) => {
    if (ieg !== undefined) ieg.mode = mode;
    const { outcome, timed_out, decision } = await decided();
    expect([outcome, timed_out]).toEqual(['STEP_UP', false]);
    expect(decision).toMatchObject({
      reason_codes: ['GRAPH_UNAVAILABLE'],
      posture: { status: 'USED', mode: 'NORMAL' },
      features: { status: 'USED' },
      graph: { status: 'UNAVAILABLE' },
    });
    expect(decision?.graph).not.toHaveProperty('graph_version');
  });

  // The ladder narrows one field at a time: what it forbids is not called, what it does not forbid still is.
  it.each<
    [MaskField, Partial<CapabilityMask>, { readonly ofp: boolean; readonly ieg: boolean; readonly model: boolean }]
  >([
    ['allow_ieg', { allow_ieg: false }, { ofp: true, ieg: false, model: true }],
    ['allowed_feature_groups', { allowed_feature_groups: [] }, { ofp: false, ieg: true, model: false }],
    ['allow_model_primary', { allow_model_primary: false }, { ofp: true, ieg: true, model: false }],
    ['allow_fallback_heuristics', { allow_fallback_heuristics: false }, { ofp: true, ieg: true, model: true }],
    ['action_posture', { action_posture: 'STEP_UP_ONLY' }, { ofp: true, ieg: true, model: true }],
  ])('what %s forbids is not called, and the decision says so', async (field, change, called) => {
    if (dl !== undefined) dl.mode = narrowedMask(change);
    const before = [ofp?.calls ?? 0, ieg?.calls ?? 0];
    const { outcome, decision } = await decided();
    expect([(ofp?.calls ?? 0) > (before[0] ?? 0), (ieg?.calls ?? 0) > (before[1] ?? 0)]).toEqual([
      called.ofp,
      called.ieg,
    ]);
    expect(decision?.model.score_e6 !== undefined).toBe(called.model);
    expect(outcome).toBe('STEP_UP');
    expect(decision?.posture).toMatchObject({ status: 'USED', mode: 'NORMAL', mask: change });
    expect(decision?.reason_codes).toContain(`CAPABILITY_BLOCK:${field}`);
  });

  it.each([
    ...SICK,
    ['telling of another scope', changedPosture({ scope_key: 'ELSEWHERE' })],
    ['not knowing any posture', { kind: 'text', text: '{"posture":null}' }],
  ] as const)('the degrade ladder is %s', async (_, mode) => {
    const before = [ofp?.calls, ieg?.calls];
    if (dl !== undefined) dl.mode = mode;
    const { outcome, timed_out, decision } = await decided();
    expect([outcome, timed_out]).toEqual(['STEP_UP', false]);
    expect(decision).toMatchObject({
      posture: { status: 'UNAVAILABLE', mode: 'FAIL_CLOSED', mask: MOST_RESTRICTIVE },
      features: { status: 'FORBIDDEN_BY_MASK' },
      graph: { status: 'FORBIDDEN_BY_MASK' },
    });
    expect(decision?.posture).not.toHaveProperty('posture_seq');
    expect(decision?.reason_codes).toContain('DL_UNAVAILABLE_FAIL_CLOSED');
    // Under the mask that holds then, nobody is asked for features or the graph.
    expect([ofp?.calls, ieg?.calls]).toEqual(before);
  });

  it.each([
    ...SICK,
    ['telling of another slot', { kind: 'changed', change: otherSlot }],
    ['telling of nothing', { kind: 'text', text: '{"resolutions":[],"registry_seq":0}' }],
  ] as const)('the registry is %s', async (_, mode) => {
    if (mpr !== undefined) mpr.mode = mode;
    const { outcome, timed_out, decision } = await decided();
    expect([outcome, timed_out]).toEqual(['STEP_UP', false]);
    expect(decision?.bundle).toEqual({ status: 'ABSENT', reason: 'REGISTRY_UNAVAILABLE' });
    expect(decision?.model).toEqual({ skipped: 'REGISTRY_UNAVAILABLE' });
    expect(decision?.reason_codes).toContain('REGISTRY_UNAVAILABLE');
  });

  it('the registry names a bundle of which the store has other bytes', async () => {
    if (mpr !== undefined) mpr.mode = { kind: 'changed', change: otherDigest };
    const { outcome, decision } = await decided();
    expect(outcome).toBe('STEP_UP');
    expect(decision?.bundle).toMatchObject({ status: 'ACTIVE', digest: 'f'.repeat(64) });
    expect(decision?.model.skipped).toMatch(/^BUNDLE_UNREADABLE:/);
    expect(decision?.reason_codes).toContain(decision?.model.skipped);
  });

  it('the registry has nothing active, which is an answer: rules alone decide, and nothing is missing', async () => {
    if (mpr !== undefined) mpr.mode = { kind: 'changed', change: noneActive };
    const { outcome, decision } = await decided();
    expect(outcome).toBe('APPROVE');
    expect(decision).toMatchObject({ bundle: { status: 'ABSENT', reason: 'NO_ACTIVE' }, reason_codes: [] });
  });

  it.each([
    ['old', -3_600_000],
    ['of a time to come', 3_600_000],
  ])('the degrade ladder tells of a posture that is %s', async (_, byMs) => {
    const decided_at_utc = fromEpochMs(Date.now() + byMs);
    if (dl !== undefined) dl.mode = changedPosture({ decided_at_utc });
    const { outcome, decision } = await decided();
    expect(outcome).toBe('STEP_UP');
    expect(decision).toMatchObject({ posture: { status: 'STALE', mode: 'FAIL_CLOSED', mask: MOST_RESTRICTIVE } });
    expect(decision?.reason_codes).toContain('POSTURE_STALE');
  });

  it('all are down, and when they are back it is approved again', async () => {
    for (const proxy of proxies()) proxy.mode = { kind: 'down' };
    expect((await decided()).outcome).toBe('STEP_UP');
    for (const proxy of proxies()) proxy.mode = { kind: 'pass' };
    await sound();
  });

  it.each(['local', 'dev', 'prod'])('in the profile %s all waits together end before the default deadline', (name) => {
    const text = readFileSync(join(process.cwd(), 'profiles', name, 'policy', 'df.decision.yaml'), 'utf8');
    const { waits, deadlines } = (parse(text) as { body: DecisionPolicy }).body;
    const longest =
      Math.max(waits.posture_ms, waits.registry_ms) + Math.max(waits.features_ms, waits.graph_ms) + CALL_SLACK_MS;
    expect(longest).toBeLessThan(deadlines.default_ms);
  });
});
