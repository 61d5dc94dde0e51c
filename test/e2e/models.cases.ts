import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import type { RunsPage, ShownRun } from '../../src/app/client/model-api.js';
import type { Explained } from '../../src/app/client/registry-api.js';
import type { DecisionAnswer } from '../../src/modules/decision-fabric/decision-fabric.service.js';
import type { RegistryDone } from '../../src/modules/model-registry/model-registry.port.js';
import { type Bundle, bundleDigest } from '../../src/rails/model/bundle.schema.js';
import type { ModelGateReceipt } from '../../src/rails/registry/gate-receipt.schema.js';
import { bundleOf } from '../contract/model-registry.kit.js';
import { ModelGround } from './models.kit.js';

type Judged = ShownRun & { readonly receipt: ModelGateReceipt };

/** From payments that were decided to a model that decides the next ones, wherever the roles run. */
export function modelsSuite(flavour: 'embedded' | 'real', groups: readonly string[]): void {
  describe(`models, ${groups.length === 1 ? 'all roles in one process' : 'the factory in a process of its own'}`, () => {
    let ground: ModelGround;
    let dataset = '';
    let trained: Judged;

    beforeAll(async () => {
      ground = await ModelGround.open(flavour, groups);
      dataset = await ground.dataset();
    }, 300_000);
    afterAll(() => ground.close());

    it('a known signal is learnt: every gate passes, and the registry has a version that may be approved', async () => {
      const asked = ['model', 'train', '--dataset', dataset, '--recipe', ground.recipeFile('signal-trees')];
      trained = await ground.command<Judged>(...asked, '--request-id', 'r-1');
      expect(trained.receipt.criteria.filter(({ passed }) => !passed)).toEqual([]);
      expect(trained).toMatchObject({
        run: {
          ...{ state: 'PUBLISHED', trainings: 1, detail: { result: 'PASS' } },
          published: { state: 'REGISTERED_ELIGIBLE', bundle: { bundle_id: 'signal-trees' } },
          resolved: { active: { bundle: { bundle_id: 'default-linear' } } },
        },
        receipt: { result: 'PASS', bundle_digest: trained.run.trained?.bundle.digest },
      });
      expect(await ground.command(...asked, '--request-id', 'r-1')).toMatchObject({ outcome: 'DUPLICATE' });
      const again = await ground.command<ShownRun>(...asked);
      expect(again).toMatchObject({
        ...{ outcome: 'ALREADY_DONE', run: { train_run_id: trained.run.train_run_id, trainings: 1 } },
      });
    }, 180_000);

    it('the report is one file for a browser, and the same figures for machines', async () => {
      const id = trained.run.train_run_id;
      const [html, json] = [join(ground.scratch, 'report.html'), join(ground.scratch, 'report.json')];
      await ground.command('model', 'report', id, '--to', html);
      await ground.command('model', 'report', id, '--to', json);
      const page = readFileSync(html, 'utf8');
      expect(page).toMatch(/^<!doctype html>/i);
      expect(page).toContain('signal-trees');
      expect(page).not.toMatch(/<script|https?:\/\/(?!www\.w3\.org)/);
      const report = JSON.parse(readFileSync(json, 'utf8')) as { quality?: object };
      expect(Object.keys(report).length).toBeGreaterThan(5);
      const mf = await ground.door.client('mf');
      const url = `${await ground.door.urlOf('mf')}/v1/training-runs/${id}/report.html`;
      const answer = await fetch(url, { headers: { authorization: `Bearer ${ground.door.key()}` } });
      expect([answer.status, answer.headers.get('content-type'), await answer.text()]).toEqual([
        ...[200, 'text/html; charset=utf-8', page],
      ]);
      expect(answer.headers.get('content-security-policy')).toMatch(/^default-src 'none'/);
      expect((await mf.get(`/v1/training-runs/${id}/receipt`)).body).toEqual(trained.receipt);
      expect((await ground.ran('model', 'report', id, '--to', html)).code).toBe(2);
    });

    it('the bundle leaves as it is, and as a model that other programs run', async () => {
      const id = trained.run.train_run_id;
      const [json, onnx] = [join(ground.scratch, 'out.json'), join(ground.scratch, 'out.onnx')];
      await ground.command('model', 'export', id, '--to', json);
      await ground.command('model', 'export', id, '--to', onnx, '--precision', 'single');
      const bundle = JSON.parse(readFileSync(json, 'utf8')) as Bundle;
      expect(bundleDigest(bundle)).toBe(trained.run.trained?.bundle.digest);
      expect(readFileSync(onnx).length).toBeGreaterThan(1_000);
      expect((await ground.ran('model', 'export', id, '--to', json)).code).toBe(2);
    });

    it('somebody approves it and puts it in force, and the next decision cites it', async () => {
      const reason = ['--reason', 'the report was read'];
      await ground.command('registry', 'approve', 'signal-trees@1', ...reason);
      const { fact } = await ground.command<RegistryDone>('registry', 'promote', 'signal-trees@1', ...reason);
      expect((await ground.command<Explained>('registry', 'explain')).resolution).toMatchObject({
        bundle: { bundle_id: 'signal-trees', digest: trained.run.trained?.bundle.digest },
      });
      const df = await ground.door.client('df');
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
      await ground.shuffleTruth(dataset);
      const shuffled = await ground.dataset();
      const { code, stdout } = await ground.ran(
        'model',
        'train',
        '--dataset',
        shuffled,
        '--recipe',
        ground.recipeFile('noise'),
      );
      const shown = JSON.parse(stdout) as Judged;
      expect([code, shown.run.state, shown.run.published]).toEqual([1, 'FAILED_GATES', null]);
      expect(shown.receipt.result).toBe('FAIL');
      expect(shown.receipt.criteria.filter(({ passed }) => !passed).map(({ name }) => name)).not.toEqual([]);
      const list = await ground.command<RunsPage>('model', 'list');
      expect(list.runs[0]).toMatchObject({ train_run_id: shown.run.train_run_id, trained: { result: 'FAIL' } });
      const { stdout: bundles } = await ground.ran('registry', 'list');
      expect(bundles).not.toContain('noise');
    }, 240_000);

    it('a bundle that others made is judged on the same rows, and is told what it lacks', async () => {
      const file = join(ground.scratch, 'theirs.json');
      // It thinks the smallest payments the worst: no gate of quality opens for it.
      const { model, ...rest } = bundleOf('theirs', 1, 0);
      const inputs = (model as unknown as { inputs: object[] }).inputs.map((input) => ({
        ...{ ...input, mean: 10_000, deviation: 10_000, weight: -1, reason_code: 'AMOUNT' },
      }));
      const compatibility = { feature_groups: [{ name: 'core_card', version: 1 }], input_contract: 'transaction.v1' };
      writeFileSync(file, JSON.stringify({ ...rest, compatibility, model: { ...model, inputs } }));
      const { code, stdout } = await ground.ran(
        'model',
        'train',
        '--dataset',
        dataset,
        '--evaluate',
        file,
        '--no-publish',
      );
      const shown = JSON.parse(stdout) as Judged;
      expect([code, shown.run.kind, shown.run.state]).toEqual([1, 'candidate_eval', 'FAILED_GATES']);
      expect(shown.run.trained?.bundle.bundle_id).toBe('theirs');
    }, 120_000);

    it('what cannot be asked for is refused by name', async () => {
      const nobody = await ground.ran('model', 'train', '--dataset', 'f'.repeat(64));
      expect([nobody.code, nobody.stderr]).toEqual([1, expect.stringContaining('MF_REF_NOT_FOUND')]);
      const word = await ground.ran('model', 'train', '--dataset', 'all');
      expect([word.code, word.stderr]).toEqual([2, expect.stringContaining('is no id of a dataset')]);
      const unknown = await ground.ran('model', 'show', 'f'.repeat(64));
      expect([unknown.code, unknown.stderr]).toEqual([1, expect.stringContaining('MF_RUN_NOT_FOUND')]);
      const ended = await ground.ran('model', 'cancel', trained.run.train_run_id);
      expect([ended.code, ended.stderr]).toEqual([1, expect.stringContaining('MF_NOT_CANCELLABLE')]);
    });
  });
}
