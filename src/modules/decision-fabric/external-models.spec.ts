import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { parse } from 'yaml';
import { asMask, unrestricted } from '../../rails/capability-mask.js';
import { supposed } from '../../rails/decision/artifacts.js';
import { DecisionEngine } from '../../rails/decision/engine.js';
import type { DecisionPlan, DecisionTrigger, PostureUse } from '../../rails/decision/inputs.js';
import type { Bundles } from '../../rails/decision/policy.schema.js';
import { digestBytes, digestText } from '../../rails/digest.js';
import { asOffset } from '../../rails/eb-ref.js';
import { ProbityError } from '../../rails/errors/probity-error.js';
import { type Bundle, bundleDigest, type OnnxModel } from '../../rails/model/bundle.schema.js';
import type { Inputs } from '../../rails/model/score.js';
import { asPins, type RunPins } from '../../rails/pins.js';
import { sealPolicy } from '../../rails/policy-rev.js';
import { asUtcMicros, toEpochMicros } from '../../rails/time.js';
import { ExternalModels } from './external-models.js';
import { ModelRuntime, type ModelSession } from '../../substrate/models/model-runtime.js';

const shipped = (policy: string) => {
  const text = readFileSync(join(process.cwd(), 'profiles', 'local', 'policy', `${policy}.yaml`), 'utf8');
  return sealPolicy(policy, 1, (parse(text) as { body: never }).body);
};

const about = {
  bundle_version: 1,
  compatibility: { feature_groups: [], input_contract: 'transaction.v1' },
  lineage: { trained_on: 'nothing', recipe: 'by hand', dataset_digest: digestText('nothing') },
} as const;

/** Its "file" is its name, by which the runtime of this test knows it. */
function onnx(name: string): Bundle {
  const file = Buffer.from(name);
  return {
    ...about,
    bundle_id: name,
    model: {
      format: 'probity.onnx.v1',
      inputs: [{ source: 'event', name: 'amount_minor' }],
      missing: 'NaN',
      file: { base64: file.toString('base64'), sha256: digestBytes(file) },
      input_tensor: 'x',
      output_tensor: 'p',
    },
  };
}

/** Says what the test wants, and remembers what it was asked. */
class FakeRuntime extends ModelRuntime {
  readonly opened: string[] = [];
  readonly asked: { readonly name: string; readonly inputs: Inputs }[] = [];

  constructor(private readonly says: Readonly<Record<string, (amount: number) => number | 'FAILED'>>) {
    super();
  }

  open({ file }: OnnxModel): Promise<ModelSession> {
    const name = Buffer.from(file.base64, 'base64').toString();
    this.opened.push(name);
    const say = this.says[name];
    if (say === undefined) return Promise.reject(new ProbityError('DF_MODEL_REFUSED', `no ${name}`));
    return Promise.resolve({
      scoreE6: (inputs) => {
        this.asked.push({ name, inputs });
        return Promise.resolve(say(inputs[0] ?? -1));
      },
    });
  }
}

const named = (bundle: Bundle) => ({ digest: bundleDigest(bundle), bundle });

function scene(bundles: Bundles, says: ConstructorParameters<typeof FakeRuntime>[0]) {
  const [decision, rules, features, graph] = ['df.decision', 'df.rules', 'ofp.features', 'ieg.graph'].map(shipped);
  const engine = new DecisionEngine({ decision, rules, features, graph, bundles: supposed(bundles) } as never);
  const runtime = new FakeRuntime(says);
  return { engine, runtime, models: new ExternalModels(runtime) };
}

const pins = asPins({
  manifest_fingerprint: 'a'.repeat(64),
  parameter_hash: 'b'.repeat(64),
  seed: '7',
  scenario_id: 'test',
  run_id: 'c'.repeat(32),
}) as RunPins;
const T0 = asUtcMicros('2018-04-01T10:00:00.000000Z');

const questionOf = (amount_minor: number) => ({
  trigger: {
    pins,
    eventId: `e-${amount_minor}`,
    eventType: 'transaction',
    ts: toEpochMicros(T0),
    tsUtc: T0,
    partition: 0,
    offset: asOffset(amount_minor),
    ebRef: { topic: 'fp.bus.traffic.v1', partition: 0, offset: asOffset(amount_minor) },
    payloadHash: digestText('payload'),
    entityKey: 'card-1',
    payload: { transaction_id: `t-${amount_minor}`, amount_minor, currency: 'EUR', card_id: 'card-1' },
  } as unknown as DecisionTrigger,
  features: { status: 'UNAVAILABLE' } as const,
  graph: { status: 'UNAVAILABLE' } as const,
});

function planOf(engine: DecisionEngine, change: object = {}): DecisionPlan {
  const mask = asMask({ ...unrestricted([]), ...change });
  return engine.plan({
    status: 'USED',
    posture: {
      scope_key: 'GLOBAL',
      mode: 'NORMAL',
      mask,
      posture_seq: 1,
      policy_rev: sealPolicy('dl.ladder', 1, {}).policy_rev,
      decided_at_utc: T0,
    },
  } as unknown as PostureUse);
}

describe('bundles that are scored outside of the engine', () => {
  it('are asked once for each row, all rows of a batch between two passes, and their scores stand in the decisions', async () => {
    const { engine, runtime, models } = scene(
      { active: named(onnx('first')), shadow: [named(onnx('watched'))] },
      { first: (amount) => amount, watched: (amount) => amount + 1 },
    );
    await models.ready(engine);
    const amounts = [10, 20, 20, 30];
    const decisions = await models.decide(engine, planOf(engine), amounts.map(questionOf));
    expect(decisions.map(({ model }) => model)).toEqual(amounts.map((amount) => ({ score_e6: amount })));
    expect(decisions.map(({ shadow_bundles: [shadow] }) => shadow?.score_e6)).toEqual([11, 21, 21, 31]);
    expect([...runtime.opened].sort()).toEqual(['first', 'watched']);
    expect(runtime.asked.map(({ name, inputs }) => `${name} ${inputs.join()}`).sort()).toEqual([
      'first 10',
      'first 20',
      'first 30',
      'watched 10',
      'watched 20',
      'watched 30',
    ]);
  });

  it('are asked as a second stage for those alone whose first score lies in the band', async () => {
    const { engine, runtime, models } = scene(
      {
        active: named(onnx('first')),
        stage2: { ...named(onnx('second')), from_score_e6: 20, to_score_e6: 29 },
        shadow: [],
      },
      { first: (amount) => amount, second: () => 999_999 },
    );
    const decisions = await models.decide(engine, planOf(engine), [10, 20, 30].map(questionOf));
    expect(decisions.map(({ model }) => model.stage2?.score_e6 ?? model.stage2?.skipped)).toEqual([
      'OUTSIDE_BAND',
      999_999,
      'OUTSIDE_BAND',
    ]);
    expect(runtime.asked.filter(({ name }) => name === 'second')).toEqual([{ name: 'second', inputs: [20] }]);
  });

  it('are not asked under a mask that forbids them', async () => {
    const bundles = {
      active: named(onnx('first')),
      stage2: { ...named(onnx('second')), from_score_e6: 0, to_score_e6: 1_000_000 },
      shadow: [],
    };
    const says = { first: () => 500_000, second: () => 1 };
    const without = scene(bundles, says);
    const plan = planOf(without.engine, { allow_model_stage2: false });
    const [second] = await without.models.decide(without.engine, plan, [questionOf(1)]);
    expect(second?.model).toMatchObject({
      score_e6: 500_000,
      stage2: { skipped: 'CAPABILITY_BLOCK:allow_model_stage2' },
    });
    expect(without.runtime.asked.map(({ name }) => name)).toEqual(['first']);
    const none = scene(bundles, says);
    await none.models.decide(none.engine, planOf(none.engine, { allow_model_primary: false }), [questionOf(1)]);
    expect(none.runtime.asked).toEqual([]);
  });

  it('leave a reason and the safe outcome where they say no probability, and never PENDING', async () => {
    const { engine, models } = scene(
      { active: named(onnx('first')), shadow: [] },
      { first: (amount) => (amount === 20 ? 'FAILED' : 1) },
    );
    const policy = engine.artifacts.decision.body;
    const decisions = await models.decide(engine, planOf(engine), [10, 20].map(questionOf));
    expect(decisions.map(({ model }) => model)).toEqual([{ score_e6: 1 }, { skipped: 'MODEL_FAILED' }]);
    expect(decisions[0]?.reason_codes).not.toContain('MODEL_FAILED');
    expect(decisions[1]?.reason_codes).toContain('MODEL_FAILED');
    expect(decisions[1]?.outcome).toBe(policy.safe_outcome);
    expect(JSON.stringify(decisions)).not.toContain('PENDING');
  });

  it('are refused where somebody makes ready what cannot be opened; in a decision that is a reason like any other failure', async () => {
    const { engine, models } = scene({ active: named(onnx('first')), shadow: [] }, {});
    await expect(models.ready(engine)).rejects.toMatchObject({ code: 'DF_MODEL_REFUSED' });
    const [decision] = await models.decide(engine, planOf(engine), [questionOf(1)]);
    expect(decision?.model).toEqual({ skipped: 'MODEL_FAILED' });
  });

  it('stay open while they are asked, however many others are meanwhile; what failed to open is tried again', async () => {
    const others = Array.from({ length: 20 }, (_, n) => `other-${n}`);
    const says: Record<string, () => number> = { first: () => 1 };
    for (const name of others) says[name] = () => 2;
    const { engine, runtime, models } = scene({ active: named(onnx('first')), shadow: [] }, says);
    const ready = async (name: string): Promise<void> => {
      const { bundle, digest } = named(onnx(name));
      await models.ready({ external: [{ digest, model: bundle.model as OnnxModel }] });
    };
    for (const name of others) {
      await models.decide(engine, planOf(engine), [questionOf(1)]);
      await ready(name);
    }
    expect(runtime.opened.filter((name) => name === 'first')).toHaveLength(1);
    await ready('other-0');
    expect(runtime.opened.filter((name) => name === 'other-0')).toHaveLength(2);
    for (let time = 0; time < 2; time += 1) await expect(ready('unknown')).rejects.toThrow('no unknown');
    expect(runtime.opened.filter((name) => name === 'unknown')).toHaveLength(2);
  });

  it('cost a batch without them nothing: nobody is asked, and the engine passes once', async () => {
    const { engine, runtime, models } = scene({ shadow: [] }, {});
    await models.ready(engine);
    const [decision] = await models.decide(engine, planOf(engine), [questionOf(1)]);
    expect(decision?.model).toEqual({ skipped: 'NO_ACTIVE' });
    expect([runtime.opened, runtime.asked]).toEqual([[], []]);
  });
});
