import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import type { RunsPage, ShownRun } from '../../src/app/client/model-api.js';
import type { Explained } from '../../src/app/client/registry-api.js';
import type { DecisionAnswer } from '../../src/modules/decision-fabric/decision-fabric.service.js';
import type { Recipe } from '../../src/modules/model-factory/learning/recipe.schema.js';
import type { RegistryDone } from '../../src/modules/model-registry/model-registry.port.js';
import type { BuildStatus } from '../../src/modules/offline-feature-shadow/dataset.schema.js';
import type { Posture } from '../../src/rails/events/posture.schema.js';
import type { ModelGateReceipt } from '../../src/rails/registry/gate-receipt.schema.js';
import { bundleOf } from '../contract/model-registry.kit.js';
import { cli } from '../support/cli.js';
import { Door, importedRun, type Outside } from '../support/door.js';
import { eventually } from '../support/eventually.js';
import { seeded } from '../support/kafka-log.js';

const ROWS = 1_800;
const DAYS = 18;
const START_MS = Date.UTC(2018, 3, 1);
const DAY_MS = 86_400_000;
const day = (number: number): string => new Date(START_MS + number * DAY_MS).toISOString().slice(0, 10);

/** Whoever publishes does not approve; and waits that a busy machine does not end by itself. */
export const TWO_PEOPLE: Outside = {
  introduce: (profile) => {
    const registry = join(profile.folder, 'policy', 'mpr.registry.yaml');
    profile.edit(registry, 'four_eyes: false', 'four_eyes: true');
    const decision = join(profile.folder, 'policy', 'df.decision.yaml');
    const waits = 'features_ms: 500, graph_ms: 500, posture_ms: 200, registry_ms: 1000';
    profile.edit(decision, waits, 'features_ms: 5000, graph_ms: 5000, posture_ms: 4000, registry_ms: 10000');
    profile.edit(decision, 'posture_age_max_ms: 15000', 'posture_age_max_ms: 60000');
    return [registry, decision];
  },
  env: {},
};

/** Payments in the layout of the preset `handbook`. Frauds are larger than what people pay; shuffled, the label says nothing. */
function paymentsFile(shuffled: boolean): string {
  const random = seeded(shuffled ? 12 : 11);
  const rows = Array.from({ length: ROWS }, (_, row) => {
    const isFraud = random() < 0.06;
    const seconds = Math.floor(((row + random()) * DAYS * 86_400) / ROWS);
    const amount = isFraud ? 120 + random() * 300 : 1 + random() * 150;
    return { seconds, amount, isFraud, customer: Math.floor(random() * 200), terminal: Math.floor(random() * 100) };
  });
  const truths = rows.map(({ isFraud }) => isFraud);
  if (shuffled)
    for (let at = truths.length - 1; at > 0; at -= 1) {
      const other = Math.floor(random() * (at + 1));
      [truths[at], truths[other]] = [truths[other] ?? false, truths[at] ?? false];
    }
  const lines = rows.map(({ seconds, amount, customer, terminal }, row) => {
    const time = new Date(START_MS + seconds * 1_000).toISOString().slice(0, 19).replace('T', ' ');
    const fraud = truths[row] === true ? 1 : 0;
    return `${row},${time},${customer},${terminal},${amount.toFixed(2)},${seconds},${Math.floor(seconds / 86_400)},${fraud},${fraud}`;
  });
  const header =
    'TRANSACTION_ID,TX_DATETIME,CUSTOMER_ID,TERMINAL_ID,TX_AMOUNT,TX_TIME_SECONDS,TX_TIME_DAYS,TX_FRAUD,TX_FRAUD_SCENARIO';
  return `${[header, ...lines].join('\n')}\n`;
}

/** From payments that were decided to a model that decides the next ones, wherever the roles run. */
export function modelsSuite(groups: readonly string[]): void {
  describe(`models, ${groups.length === 1 ? 'all roles in one process' : 'the factory in a process of its own'}`, () => {
    const scratch = mkdtempSync(join(tmpdir(), 'probity-models-'));
    let door: Door;
    let dataset = '';
    let trained: ShownRun & { readonly receipt: ModelGateReceipt };

    beforeAll(async () => {
      door = await Door.open('embedded', groups, TWO_PEOPLE);
      const dl = await door.client('dl');
      await door.request({
        run_equivalence_key: 'live',
        strategy: 'AUTO',
        world: { kind: 'live', scenario_id: 'live', traffic: [{ event_type: 'transaction', schema_version: 'v1' }] },
      } as never);
      await eventually(
        async () => ((await dl.get('/v1/posture')).body as { posture: Posture | null }).posture?.mode,
        (mode) => mode === 'NORMAL',
        90_000,
      );
      dataset = await datasetOf(false);
    }, 300_000);

    afterAll(async () => {
      await door.close();
      rmSync(scratch, { recursive: true, force: true });
    });

    /** Payments through everything that decides, and a dataset of them with what became known. */
    async function datasetOf(shuffled: boolean): Promise<string> {
      const run = await importedRun(door, paymentsFile(shuffled), shuffled ? 'shuffled' : 'signal');
      expect(await door.settled(run.run_id)).toMatchObject({ state: 'READY' });
      await door.stream(run.run_id);
      await door.streamed(run.run_id);
      await door.decided(run.run_id, ROWS);
      const { build } = await command<{ build: BuildStatus }>(
        ...['dataset', 'build', '--run', run.run_id, '--label', 'fraud_disposition', '--as-of'],
        ...[new Date().toISOString(), '--maturity-days', '0', '--train', `${day(0)}..${day(12)}`],
        ...['--test', `${day(12)}..${day(DAYS)}`],
      );
      expect(build).toMatchObject({ state: 'DONE' });
      return build.dataset_manifest_id;
    }
    const ran = async (...words: readonly string[]) => {
      const key = join(scratch, 'key');
      writeFileSync(key, door.key());
      const role = { dataset: 'ofs', model: 'mf', registry: 'mpr' }[words[0] ?? ''] ?? 'mf';
      return await cli([...words, '--url', await door.urlOf(role), '--key-file', key, '--json']);
    };
    const command = async <Answer>(...words: readonly string[]): Promise<Answer> => {
      const { code, stdout, stderr } = await ran(...words);
      expect({ words, code, says: code === 0 ? '' : stderr + stdout }).toEqual({ words, code: 0, says: '' });
      return JSON.parse(stdout) as Answer;
    };
    const recipeFile = (bundle_id: string): string => {
      const file = join(scratch, `${bundle_id}.json`);
      const recipe: Recipe = {
        ...{ bundle: { bundle_id, bundle_version: 1 }, inputs: 'all', calibration: true, seed: 1 },
        ...{ later_share_ppm: 200_000, learner: { kind: 'boosted_trees', rounds: 40, max_depth: 3 } },
      };
      writeFileSync(file, JSON.stringify(recipe));
      return file;
    };

    it('a known signal is learnt: every gate passes, and the registry has a version that may be approved', async () => {
      const asked = ['model', 'train', '--dataset', dataset, '--recipe', recipeFile('signal-trees')];
      trained = await command<typeof trained>(...asked, '--request-id', 'r-1');
      expect(trained.receipt.criteria.filter(({ passed }) => !passed)).toEqual([]);
      expect(trained).toMatchObject({
        run: {
          ...{ state: 'PUBLISHED', trainings: 1, detail: { result: 'PASS' } },
          published: { state: 'REGISTERED_ELIGIBLE', bundle: { bundle_id: 'signal-trees' } },
          resolved: { active: { bundle: { bundle_id: 'default-linear' } } },
        },
        receipt: { result: 'PASS', bundle_digest: trained.run.trained?.bundle.digest },
      });
      expect(await command(...asked, '--request-id', 'r-1')).toMatchObject({ outcome: 'DUPLICATE' });
      const again = await command<ShownRun>(...asked);
      expect(again).toMatchObject({
        ...{ outcome: 'ALREADY_DONE', run: { train_run_id: trained.run.train_run_id, trainings: 1 } },
      });
    }, 180_000);

    it('the report is one file for a browser, and the same figures for machines', async () => {
      const id = trained.run.train_run_id;
      const [html, json] = [join(scratch, 'report.html'), join(scratch, 'report.json')];
      await command('model', 'report', id, '--to', html);
      await command('model', 'report', id, '--to', json);
      const page = readFileSync(html, 'utf8');
      expect(page).toMatch(/^<!doctype html>/i);
      expect(page).toContain('signal-trees');
      expect(page).not.toMatch(/<script|https?:\/\/(?!www\.w3\.org)/);
      const report = JSON.parse(readFileSync(json, 'utf8')) as { quality?: object };
      expect(Object.keys(report).length).toBeGreaterThan(5);
      const mf = await door.client('mf');
      const url = `${await door.urlOf('mf')}/v1/training-runs/${id}/report.html`;
      const answer = await fetch(url, { headers: { authorization: `Bearer ${door.key()}` } });
      expect([answer.status, answer.headers.get('content-type'), await answer.text()]).toEqual([
        ...[200, 'text/html; charset=utf-8', page],
      ]);
      expect(answer.headers.get('content-security-policy')).toMatch(/^default-src 'none'/);
      expect((await mf.get(`/v1/training-runs/${id}/receipt`)).body).toEqual(trained.receipt);
      expect((await ran('model', 'report', id, '--to', html)).code).toBe(2);
    });

    it('somebody approves it and puts it in force, and the next decision cites it', async () => {
      const reason = ['--reason', 'the report was read'];
      await command('registry', 'approve', 'signal-trees@1', ...reason);
      const { fact } = await command<RegistryDone>('registry', 'promote', 'signal-trees@1', ...reason);
      expect((await command<Explained>('registry', 'explain')).resolution).toMatchObject({
        bundle: { bundle_id: 'signal-trees', digest: trained.run.trained?.bundle.digest },
      });
      const df = await door.client('df');
      const { body, text } = await df.post('/v1/decisions', {
        transaction: {
          ...{ transaction_id: `after-${randomBytes(4).toString('hex')}`, occurred_at: new Date().toISOString() },
          ...{ amount: '12.30', currency: 'EUR', card_id: 'card-1' },
        },
        deadline_ms: 10_000,
      });
      const { decision } = body as DecisionAnswer;
      if (decision === undefined) throw new Error(text);
      expect(decision.bundle).toMatchObject({
        ...{ status: 'ACTIVE', bundle_id: 'signal-trees', activation: { event_id: fact.event_id } },
      });
    }, 60_000);

    it('shuffled labels fail the gates; that is recorded with its receipt, and the registry never hears of it', async () => {
      const shuffled = await datasetOf(true);
      const { code, stdout } = await ran('model', 'train', '--dataset', shuffled, '--recipe', recipeFile('noise'));
      const shown = JSON.parse(stdout) as typeof trained;
      expect([code, shown.run.state, shown.run.published]).toEqual([1, 'FAILED_GATES', null]);
      expect(shown.receipt.result).toBe('FAIL');
      expect(shown.receipt.criteria.filter(({ passed }) => !passed).map(({ name }) => name)).not.toEqual([]);
      const list = await command<RunsPage>('model', 'list');
      expect(list.runs[0]).toMatchObject({ train_run_id: shown.run.train_run_id, trained: { result: 'FAIL' } });
      const { stdout: bundles } = await ran('registry', 'list');
      expect(bundles).not.toContain('noise');
      expect(existsSync(join(scratch, 'noise.json'))).toBe(true);
    }, 240_000);

    it('a bundle that others made is judged on the same rows, and is told what it lacks', async () => {
      const file = join(scratch, 'theirs.json');
      // It thinks the smallest payments the worst: no gate of quality opens for it.
      const { model, ...rest } = bundleOf('theirs', 1, 0);
      const inputs = (model as unknown as { inputs: object[] }).inputs.map((input) => ({
        ...{ ...input, mean: 10_000, deviation: 10_000, weight: -1, reason_code: 'AMOUNT' },
      }));
      const compatibility = { feature_groups: [{ name: 'core_card', version: 1 }], input_contract: 'transaction.v1' };
      writeFileSync(file, JSON.stringify({ ...rest, compatibility, model: { ...model, inputs } }));
      const { code, stdout } = await ran('model', 'train', '--dataset', dataset, '--evaluate', file, '--no-publish');
      const shown = JSON.parse(stdout) as typeof trained;
      expect([code, shown.run.kind, shown.run.state]).toEqual([1, 'candidate_eval', 'FAILED_GATES']);
      expect(shown.run.trained?.bundle.bundle_id).toBe('theirs');
    }, 120_000);

    it('what cannot be asked for is refused by name', async () => {
      const nobody = await ran('model', 'train', '--dataset', 'f'.repeat(64));
      expect([nobody.code, nobody.stderr]).toEqual([1, expect.stringContaining('MF_REF_NOT_FOUND')]);
      const word = await ran('model', 'train', '--dataset', 'all');
      expect([word.code, word.stderr]).toEqual([2, expect.stringContaining('is no id of a dataset')]);
      const unknown = await ran('model', 'show', 'f'.repeat(64));
      expect([unknown.code, unknown.stderr]).toEqual([1, expect.stringContaining('MF_RUN_NOT_FOUND')]);
      const ended = await ran('model', 'cancel', trained.run.train_run_id);
      expect([ended.code, ended.stderr]).toEqual([1, expect.stringContaining('MF_NOT_CANCELLABLE')]);
    });
  });
}
