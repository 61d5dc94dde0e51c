import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { DecisionAnswer } from '../../src/modules/decision-fabric/decision-fabric.service.js';
import type { Posture } from '../../src/rails/events/posture.schema.js';
import { digestText } from '../../src/rails/digest.js';
import { type Bundle, bundleDigest } from '../../src/rails/model/bundle.schema.js';
import { Door } from '../support/door.js';
import { eventually } from '../support/eventually.js';
import type { Http } from '../support/http.js';
import { activeBundle, onnxBundle, scoredBy } from '../support/onnx-bundle.js';
import { onnxLogistic } from '../support/onnx-file.js';

const PACKAGES = process.env['PROBITY_TEST_ONNX'];
const [WEIGHTS, BIAS] = [[0.0002, 0.1], -2] as const;
const COUNT = 24;

/** With the real runtime, which `npm ci` does not bring: PROBITY_TEST_ONNX names a node_modules folder that has it. */
describe('decisions that are scored by an ONNX model', () => {
  const bundle = onnxBundle(onnxLogistic(WEIGHTS, BIAS));
  let door: Door;
  let df: Http;
  let run = '';
  const answers: DecisionAnswer[] = [];

  beforeAll(async () => {
    if (PACKAGES === undefined) throw new Error('PROBITY_TEST_ONNX names no folder with onnxruntime-node');
    door = await Door.open('embedded', ['all'], scoredBy(bundle, PACKAGES));
    df = await door.client('df');
    const live = await door.request({
      run_equivalence_key: 'live',
      world: { kind: 'live', scenario_id: 'live', traffic: [{ event_type: 'transaction', schema_version: 'v1' }] },
      strategy: 'AUTO',
    } as never);
    run = live.run_id;
    await door.settled(run);
    const dl = await door.client('dl');
    await eventually(
      async () => ((await dl.get('/v1/posture')).body as { posture: Posture | null }).posture?.mode,
      (mode) => mode === 'NORMAL',
      60_000,
    );
    for (let n = 0; n < COUNT; n += 1) {
      const transaction = {
        transaction_id: `onnx-${n}`,
        occurred_at: new Date(Date.UTC(2026, 0, 1, 12, n)).toISOString(),
        amount: `${n * 4}.50`,
        currency: 'EUR',
        card_id: 'card-1',
        merchant_id: 'merchant-1',
        country: 'FR',
      };
      const { status, body, text } = await df.post('/v1/decisions', { transaction, deadline_ms: 20_000 });
      if (status !== 200) throw new Error(text);
      answers.push(body as DecisionAnswer);
    }
  }, 180_000);
  afterAll(() => door.close());

  it('have the probability that the formula gives, in millionths, and no contributions', () => {
    // One payment a minute: the card has made so many within the hour, this one included.
    answers.forEach(({ decision }, n) => {
      const logOdds = WEIGHTS[0] * (n * 400 + 50) + WEIGHTS[1] * (n + 1) + BIAS;
      const expected = 1e6 / (1 + Math.exp(-logOdds));
      expect(Math.abs((decision?.model.score_e6 ?? -1) - expected)).toBeLessThan(2);
      expect(decision).toMatchObject({ bundle: { status: 'ACTIVE', digest: bundleDigest(bundle) } });
      expect(decision?.model).not.toHaveProperty('contributions');
    });
    expect(new Set(answers.map(({ decision }) => decision?.model.score_e6)).size).toBe(COUNT);
  });

  it('come out the same when they are made again, and others under another model', async () => {
    expect(await door.verified({ run_id: run })).toMatchObject({ state: 'DONE', compared: COUNT, equal: COUNT });
    const other = activeBundle(onnxBundle(onnxLogistic(WEIGHTS, BIAS + 9)));
    const otherwise = await door.verified({ run_id: run, counterfactual: { bundles: other } });
    expect(otherwise).toMatchObject({ state: 'DONE', compared: COUNT, equal: 0 });
    expect(otherwise.first_difference?.at).toMatch(/^\/(bundle|model|outcome|reason_codes|actions)/);
  });

  it('are not made by a model of other inputs, an unreadable one, or one whose file is not the named one', async () => {
    const under = async (file: Buffer, tensor?: string) =>
      await door.verified({ run_id: run, counterfactual: { bundles: activeBundle(onnxBundle(file, tensor)) } });
    const whys = {
      'inputs are x': await under(onnxLogistic(WEIGHTS, BIAS), 'y'),
      'row of 2 numbers cannot be scored': await under(onnxLogistic([1, 2, 3], 0)),
      'cannot be read as an ONNX model': await under(Buffer.from('no model at all')),
    };
    for (const [why, { state, detail }] of Object.entries(whys)) {
      expect(state).toBe('FAILED');
      expect(detail).toContain('DF_MODEL_REFUSED');
      expect(detail).toContain(why);
    }
    const spoilt = onnxBundle(onnxLogistic(WEIGHTS, BIAS));
    const file = onnxLogistic(WEIGHTS, BIAS);
    file[file.length - 1] = (file[file.length - 1] ?? 0) ^ 1;
    if (spoilt.model.format !== 'probity.onnx.v1') throw new Error('not an ONNX bundle');
    const body = activeBundle({
      ...spoilt,
      model: { ...spoilt.model, file: { ...spoilt.model.file, base64: file.toString('base64') } },
    });
    const { status, text } = await df.post('/v1/verifications', { run_id: run, counterfactual: { bundles: body } });
    expect([status, text.includes('the file has another digest')]).toEqual([422, true]);
  });

  describe('come in by a command', () => {
    const folder = mkdtempSync(join(tmpdir(), 'probity-onnx-'));
    afterAll(() => {
      rmSync(folder, { recursive: true, force: true });
    });

    /** A process of its own: the runtime is no guest of the test's. */
    function imported(file: Buffer, out: string, ...more: readonly string[]) {
      const path = join(folder, 'model.onnx');
      writeFileSync(path, file);
      const words = ['model', 'import', path, '--bundle-id', 'of-others', '--group', 'core_card@1', '--out', out];
      const about = ['--trained-on', 'nothing', '--dataset-digest', digestText('nothing'), '--missing', '0'];
      const tensors = ['--input-tensor', 'x', '--output-tensor', 'probability', ...more];
      const { NODE_OPTIONS: _, ...inherited } = process.env;
      return spawnSync(process.execPath, [join('.build', 'src', 'main.js'), ...words, ...about, ...tensors], {
        env: { ...inherited, NODE_PATH: PACKAGES },
        encoding: 'utf8',
      });
    }
    const INPUTS = ['--inputs', 'event.amount_minor,features.card_count_1h'];

    it('which writes the bundle that was active here, but for how it came in', () => {
      const out = join(folder, 'bundle.json');
      const done = imported(onnxLogistic(WEIGHTS, BIAS), out, ...INPUTS);
      expect([done.status, done.stderr]).toEqual([0, '']);
      const made = JSON.parse(readFileSync(out, 'utf8')) as Bundle;
      expect(made.model).toEqual(bundle.model);
      expect(made.lineage.recipe).toMatch(/^probity model import of the file [0-9a-f]{64}$/);
      expect(done.stdout).toContain(bundleDigest(made));
      // What stands there already is not written over.
      expect(imported(onnxLogistic(WEIGHTS, BIAS), out, ...INPUTS).status).toBe(2);
    });

    it('which writes nothing for a model that cannot be used, and says why', () => {
      const out = join(folder, 'never.yaml');
      const cases: readonly (readonly [Buffer, readonly string[], number, string])[] = [
        [Buffer.from('no model'), INPUTS, 1, 'DF_MODEL_REFUSED'],
        [onnxLogistic([1, 2, 3], 0), INPUTS, 1, 'DF_MODEL_REFUSED'],
        [onnxLogistic(WEIGHTS, BIAS), ['--inputs', 'weather.rain,event.amount_minor'], 2, '/model'],
      ];
      for (const [file, words, status, why] of cases) {
        const done = imported(file, out, ...words);
        expect([done.status, done.stderr.includes(why)]).toEqual([status, true]);
        expect(existsSync(out)).toBe(false);
      }
    });
  });
});
