import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { factoryPolicy, learningTask, plantedDataset } from '../../../../test/support/learning-dataset.js';
import { SystemClock } from '../../../substrate/clock/system.clock.js';
import { learn } from './learn.js';
import type { LearningProgress, LearningTask } from './learning-task.js';
import { DEFAULT_RECIPE } from './recipe.schema.js';
import { learningThreads } from './run-learning.js';

/** `npm run build:test` compiles it. */
const PROGRAM = join(process.cwd(), '.build/src/modules/model-factory/learning/learning.worker.js');
const clock = new SystemClock();
const threads = learningThreads(clock, PROGRAM);
const recipe = { ...DEFAULT_RECIPE, learner: { kind: 'boosted_trees' as const, rounds: 20 } };
const never = new AbortController().signal;

/** A thread that does as it is told by a line of code. */
function playing(code: string) {
  const program = join(mkdtempSync(join(tmpdir(), 'probity-thread-')), 'thread.mjs');
  writeFileSync(program, code);
  return learningThreads(clock, program);
}

async function task(change: Partial<LearningTask> = {}): Promise<LearningTask> {
  const dataset = await plantedDataset({ rows: 1_500, seed: 1, splits: [0.6, 0.2, 0.2] });
  return learningTask([dataset], { recipe, ...change });
}

describe('a thread of learning', () => {
  it('comes to what the same work comes to here, and tells how far it is', async () => {
    const wanted = await task();
    const told: LearningProgress[] = [];
    const there = await threads(wanted, { signal: never, onProgress: (progress) => told.push(progress) });
    const here = await learn(wanted, {
      monotonicMs: () => clock.monotonicMs(),
      onProgress: () => undefined,
      scoreExternal: () => Promise.reject(new Error('not asked')),
    });
    const { durations: _, ...rest } = there;
    const { durations: __, ...same } = here;
    expect(rest).toEqual(same);
    const stages = [...new Set(told.map(({ stage }) => stage))];
    expect(stages).toEqual(['reading', 'searching', 'training', 'retraining', 'evaluating', 'reporting']);
  });

  it('says what is wrong by the code that it met', async () => {
    const wanted = await task();
    const nowhere = { ...wanted, datasets: wanted.datasets.map((each) => ({ ...each, role: 'eval' as const })) };
    await expect(threads(nowhere, { signal: never })).rejects.toMatchObject({
      code: 'MF_SCHEMA_INCOMPATIBLE_WITH_RECIPE',
    });
    const gone = { ...wanted, datasets: wanted.datasets.map((each) => ({ ...each, file: '/nowhere/rows.parquet' })) };
    await expect(threads(gone, { signal: never })).rejects.toMatchObject({ code: 'MF_RUNTIME_CRASH' });
  });

  it('ends at once when it is told to, for the reason that it was told', async () => {
    const stop = new AbortController();
    const searching = { ...recipe, search: { trials: 100, seconds: 900 } };
    const policy = factoryPolicy({ search: { trials_max: 100, seconds_max: 900 } });
    const running = threads(await task({ recipe: searching, policy }), {
      signal: stop.signal,
      onProgress: ({ stage }) => {
        if (stage === 'searching') stop.abort(new Error('the lease is lost'));
      },
    });
    await expect(running).rejects.toThrow('the lease is lost');
    await expect(threads(await task(), { signal: stop.signal })).rejects.toThrow('the lease is lost');
  });

  it('that takes too long, too much, or ends without a word is named', async () => {
    const limits = { ...factoryPolicy().body.limits, seconds_max: 1, memory_mb: 64 };
    const policy = factoryPolicy({ limits });
    const wanted = await task({ policy });
    await expect(playing('setInterval(() => undefined, 1000)')(wanted, { signal: never })).rejects.toMatchObject({
      code: 'MF_RESOURCE_EXHAUSTED',
      detail: expect.stringMatching(/more than 1 seconds/),
    });
    const greedy = 'const all = []; for (;;) all.push(new Array(1000).fill({}))';
    const roomy = await task({ policy: factoryPolicy({ limits: { ...limits, seconds_max: 60 } }) });
    await expect(playing(greedy)(roomy, { signal: never })).rejects.toMatchObject({
      code: 'MF_RESOURCE_EXHAUSTED',
      detail: expect.stringMatching(/64 MB/),
    });
    await expect(playing('process.exit(3)')(roomy, { signal: never })).rejects.toMatchObject({
      code: 'MF_RUNTIME_CRASH',
      detail: expect.stringMatching(/ended with 3/),
    });
    await expect(playing('throw new Error("a defect")')(roomy, { signal: never })).rejects.toMatchObject({
      code: 'MF_RUNTIME_CRASH',
      detail: 'a defect',
    });
  });
});
