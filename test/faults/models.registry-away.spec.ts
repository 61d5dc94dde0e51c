import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { ShownRun } from '../../src/app/client/model-api.js';
import type { RunStatus } from '../../src/modules/model-factory/train-run.schema.js';
import type { RegistryFact } from '../../src/rails/events/registry-fact.schema.js';
import { ModelGround } from '../e2e/models.kit.js';
import { DECISION_ROLES } from '../support/door.js';
import { eventually } from '../support/eventually.js';

const OTHERS = DECISION_ROLES.filter((role) => role !== 'mpr' && role !== 'mf').join(',');

describe('a factory and a registry in processes of their own', () => {
  let ground: ModelGround;
  let dataset = '';

  beforeAll(async () => {
    ground = await ModelGround.open('embedded', [OTHERS, 'mpr', 'mf']);
    dataset = await ground.dataset();
  }, 300_000);
  afterAll(() => ground.close());

  const asked = async (...words: readonly string[]): Promise<ShownRun> =>
    await ground.command('model', 'train', '--dataset', dataset, ...words);
  /** Asked through processes that come and go. */
  const until = async (id: string, done: (run: RunStatus) => boolean): Promise<RunStatus | undefined> =>
    await eventually(
      async () => {
        const mf = await ground.door.client('mf');
        const { body } = await mf.get(`/v1/training-runs/${id}`).catch(() => ({ body: {} }));
        return (body as { run?: RunStatus }).run;
      },
      (run) => run !== undefined && done(run),
      120_000,
    );
  const published = async (bundleId: string): Promise<readonly RegistryFact[]> => {
    const mpr = await ground.door.client('mpr');
    const { body } = await mpr.get('/v1/registry/facts?limit=200');
    return (body as { facts: readonly RegistryFact[] }).facts.filter(({ bundle }) => bundle.bundle_id === bundleId);
  };

  it('the registry is dead when a bundle has passed: it waits, through a death of its own, and there is one version of one training', async () => {
    const recipe = ['--recipe', ground.recipeFile('waiting')];
    const { run } = await asked(...recipe, '--no-publish');
    expect(run).toMatchObject({ state: 'GATED', trainings: 1 });
    await ground.door.kill('mpr');
    await asked(...recipe, '--no-wait');
    const waiting = await until(run.train_run_id, ({ tries }) => tries >= 1);
    expect(waiting).toMatchObject({ state: 'PUBLISH_PENDING', published: null, trainings: 1 });
    await ground.door.kill('mf');
    await ground.door.start('mf');
    await ground.door.start('mpr');
    expect(await until(run.train_run_id, ({ at_rest }) => at_rest)).toMatchObject({
      ...{ state: 'PUBLISHED', trainings: 1, published: { bundle: { bundle_id: 'waiting' } } },
    });
    expect(await published('waiting')).toHaveLength(1);
  }, 300_000);

  it('the factory is killed while its thread learns: another process begins anew, and there is one version', async () => {
    const { run } = await asked('--recipe', ground.recipeFile('cut-short', 1_000), '--no-wait');
    await until(run.train_run_id, ({ state }) => state === 'TRAINING');
    await ground.door.kill('mf');
    await ground.door.start('mf');
    expect(await until(run.train_run_id, ({ at_rest }) => at_rest)).toMatchObject({
      ...{ state: 'PUBLISHED', trainings: 2 },
    });
    expect(await published('cut-short')).toHaveLength(1);
  }, 300_000);
});
