import { beforeEach, describe, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { TrainFactsController } from '../../src/modules/model-factory/train-facts.controller.js';
import { TrainFactsStore } from '../../src/modules/model-factory/train-facts.store.js';
import { LeaseLost } from '../../src/substrate/lease/held-work.js';
import type { TrainRequest } from '../../src/modules/model-factory/train-run.schema.js';
import type { ModelRegistryPort } from '../../src/modules/model-registry/model-registry.port.js';
import { datasetKey } from '../../src/modules/offline-feature-shadow/dataset-build.js';
import type { Digest } from '../../src/rails/digest.js';
import { digestText } from '../../src/rails/digest.js';
import { isProbityError, ProbityError } from '../../src/rails/errors/probity-error.js';
import { type GovernanceFact, GovernanceFactSchema } from '../../src/rails/events/governance-fact.schema.js';
import { bundleDigest } from '../../src/rails/model/bundle.schema.js';
import type { BundleSlot } from '../../src/rails/registry/scope.js';
import { fromEpochMs } from '../../src/rails/time.js';
import { validatorOf } from '../../src/rails/validator.js';
import { About } from '../../src/substrate/about.js';
import { ManualClock } from '../../src/substrate/clock/manual.clock.js';
import { ANALYST } from './label-store.kit.js';
import {
  datasetOf,
  type FactoryGround,
  openFactory,
  POLICY,
  portOf,
  recipeNamed,
  registryOn,
  requestOf,
  shadowOf,
  ToldLearner,
} from './model-factory.kit.js';
import { bundleOf, MIA, RON } from './model-registry.kit.js';

const DAY_MS = 86_400_000;
const governance = validatorOf(GovernanceFactSchema, 'the fact');

/** Runs of the factory over a database and objects, with the real registry and the real reader of datasets beside it. */
export function modelFactorySuite(open: () => FactoryGround): void {
  let ground: FactoryGround;
  let clock: ManualClock;
  let learner: ToldLearner;
  let factory: ReturnType<typeof openFactory>;
  let name = '';
  let dataset: Digest;

  beforeEach(async () => {
    ground = open();
    clock = new ManualClock(Date.parse('2026-06-01T00:00:00Z'));
    learner = new ToldLearner(clock);
    factory = openFactory(ground, { clock, learner });
    name = `m-${randomUUID().slice(0, 8)}`;
    dataset = await datasetOf(ground.objects, name);
  });

  const ask = (change: Partial<TrainRequest> = {}) => factory.ask(dataset, { recipe: recipeNamed(name), ...change });
  const settled = (change: Partial<TrainRequest> = {}) =>
    factory.settled(dataset, { recipe: recipeNamed(name), ...change });
  const code = async (work: Promise<unknown>): Promise<string | undefined> =>
    await work.then(
      () => undefined,
      (error: unknown) => (isProbityError(error) ? error.code : String(error)),
    );
  const statesOf = async (id: Digest) => (await factory.store.history(id)).map(({ state }) => state);
  const versionsOf = async (bundle_id: string) =>
    await factory.registry.store.factsOf({ bundle_id, bundle_version: 1 });

  describe('a run that passes its gates', () => {
    it('goes its way once, and is a version of the registry with all that speaks for it; nothing becomes active', async () => {
      const run = await settled();
      expect(run).toMatchObject({ state: 'PUBLISHED', detail: { result: 'PASS' }, at_rest: true, trainings: 1 });
      expect(await statesOf(run.train_run_id)).toEqual([
        ...['QUEUED', 'RESOLVING', 'TRAINING', 'EVAL_READY', 'GATED', 'PUBLISH_PENDING', 'PUBLISHED'],
      ]);
      const [fact, ...others] = await versionsOf(name);
      expect(others).toEqual([]);
      expect(fact).toMatchObject({
        ...{ event_id: run.published?.event_id, action: 'BUNDLE_PUBLISHED', to_state: 'REGISTERED_ELIGIBLE' },
        bundle: { bundle_id: name, digest: bundleDigest(bundleOf(name)) },
        manifest: {
          lineage: {
            train_run_id: run.train_run_id,
            dataset_manifests: run.plan.datasets.map((each) => each.manifest),
          },
          evidence: { eval_report: run.trained?.artifacts.report, gate_receipt: run.trained?.artifacts.gate_receipt },
        },
      });
      const { resolutions } = await factory.registry.service.resolve({ slots: ['primary' as BundleSlot] });
      expect(resolutions.map((each) => (each.status === 'ACTIVE' ? each.bundle.bundle_id : each.status))).not.toContain(
        name,
      );
      expect(await factory.metricsText()).toMatch(/mf_runs_total\{.*state="PUBLISHED".*\} 1/);
    });

    it('is given the rows that the manifest names, and nothing that it was not asked for with', async () => {
      const run = await settled();
      const [task] = learner.tasks;
      expect(task).toMatchObject({
        ...{ kind: 'train', candidate: null, recipe: recipeNamed(name), code_release: '1.0.0' },
        datasets: [{ role: 'train', manifest_digest: run.plan.datasets[0]?.manifest.digest.hex }],
        policy: { policy_rev: { policy_id: 'mf.factory', revision: 1 } },
        decided_at_utc: run.resolved?.decided_at_utc,
      });
    });

    it('rests at its gates where nobody wants it published, and goes on without training where somebody does', async () => {
      const resting = await settled({ publish: false });
      expect(resting).toMatchObject({ state: 'GATED', detail: { result: 'PASS' }, at_rest: true, published: null });
      expect(await versionsOf(name)).toEqual([]);
      expect(await factory.store.idle(1_000)).not.toContain(resting.train_run_id);
      const { outcome, run } = await ask();
      expect([outcome, run.train_run_id]).toEqual(['ACCEPTED', resting.train_run_id]);
      await factory.advance(resting.train_run_id);
      expect(await factory.service.status(resting.train_run_id)).toMatchObject({ state: 'PUBLISHED', trainings: 1 });
      expect(learner.trainings).toBe(1);
    });
  });

  describe('a run that does not', () => {
    it('is an ordinary result: its receipt is kept, and the registry is not asked', async () => {
      learner.verdict = 'FAIL';
      const run = await settled();
      expect(run).toMatchObject({
        ...{ state: 'FAILED_GATES', published: null },
        detail: { result: 'FAIL', says: 'MF_GATE_AVERAGE_PRECISION' },
      });
      const receipt = await factory.results.receipt(run.trained?.artifacts.gate_receipt as never);
      expect(receipt).toMatchObject({ result: 'FAIL', bundle_digest: run.trained?.bundle.digest });
      expect(await versionsOf(name)).toEqual([]);
      // The gates judge the same bytes in the same way for ever: asked again, nothing is done again.
      const { outcome } = await ask();
      await factory.advance(run.train_run_id);
      expect([outcome, learner.trainings]).toEqual(['ALREADY_DONE', 1]);
    });
  });

  describe('identity', () => {
    it('is one run and one training for the same inputs, whoever asks and however often', async () => {
      const first = await settled({ request_id: `r-${name}` });
      const again = await ask({ request_id: `r-${name}` });
      const other = await ask();
      expect([again.outcome, other.outcome]).toEqual(['DUPLICATE', 'ALREADY_DONE']);
      expect([again.run.train_run_id, other.run.train_run_id]).toEqual([first.train_run_id, first.train_run_id]);
      expect(learner.trainings).toBe(1);
    });

    it('refuses something else under a request id, and leaves the first', async () => {
      const first = await ask({ request_id: `r-${name}` });
      expect(await code(ask({ request_id: `r-${name}`, slot: 'stage2' as BundleSlot }))).toBe('MF_REQUEST_CONFLICT');
      expect(await code(ask({ request_id: `r-${name}`, publish: false }))).toBe('MF_REQUEST_CONFLICT');
      expect(await statesOf(first.run.train_run_id)).toEqual(['QUEUED']);
    });

    it('is another one with each thing that has a meaning, and with no time', async () => {
      const id = async (process: ReturnType<typeof openFactory>, set = dataset, change: Partial<TrainRequest> = {}) =>
        (await process.ask(set, { recipe: recipeNamed(name), ...change })).run.train_run_id;
      const first = await id(factory);
      const others = [
        await id(factory, await datasetOf(ground.objects, `${name}-other`)),
        await id(factory, dataset, { recipe: { ...recipeNamed(name), seed: 2 } }),
        await id(factory, dataset, { slot: 'stage2' as BundleSlot }),
        await id(openFactory(ground, { clock, version: '1.0.1' })),
        await id(openFactory(ground, { clock, policy: { ...POLICY, alert_shares_ppm: [5_000] } })),
      ];
      expect(new Set([first, ...others]).size).toBe(others.length + 1);
      await clock.advance(DAY_MS);
      expect(await id(factory)).toBe(first);
    });

    it('does not depend on the order in which datasets are named', async () => {
      const judged = await datasetOf(ground.objects, `${name}-judged`);
      const two = [
        { role: 'train', dataset_manifest_id: dataset },
        { role: 'eval', dataset_manifest_id: judged },
      ] as const;
      const one = await ask({ datasets: [...two] });
      const other = await ask({ datasets: [...two].reverse() });
      expect(other.run.train_run_id).toBe(one.run.train_run_id);
      const roles = await ask({
        datasets: [
          { role: 'eval', dataset_manifest_id: dataset },
          { role: 'train', dataset_manifest_id: judged },
        ],
      });
      expect(roles.run.train_run_id).not.toBe(one.run.train_run_id);
    });

    it('is refused where it makes no sense', async () => {
      expect(await code(factory.ask(dataset, { kind: 'candidate_eval' }))).toBe('MF_REQUEST_INVALID');
      const both = { kind: 'candidate_eval', recipe: recipeNamed(name) } as const;
      expect(await code(factory.ask(dataset, both, bundleOf(name)))).toBe('MF_REQUEST_INVALID');
      expect(await code(factory.ask(dataset, {}, bundleOf(name)))).toBe('MF_REQUEST_INVALID');
      const twice = requestOf(dataset).datasets;
      expect(await code(ask({ datasets: [...twice, ...twice] }))).toBe('MF_REQUEST_INVALID');
      expect(await code(ask({ datasets: [{ role: 'eval', dataset_manifest_id: dataset }] }))).toBe(
        'MF_REQUEST_INVALID',
      );
    });
  });

  describe('inputs are read behind their PASS alone', () => {
    const file = (rest: string): string => datasetKey(dataset, rest);
    const receiptKey = async (): Promise<string> => {
      const ref = await ground.objects.head(file('manifest.json') as never);
      return file(`receipts/${ref?.digest.hex ?? ''}.json`);
    };

    it('a flipped byte in rows, manifest or receipt is refused by name, and nothing is trained', async () => {
      for (const [key, expected] of [
        [file('rows.parquet'), 'MF_MATERIALIZATION_DIGEST_MISMATCH'],
        [file('manifest.json'), 'MF_MANIFEST_DIGEST_MISMATCH'],
        [await receiptKey(), 'MF_MISSING_DATASET_PASS_PROOF'],
      ] as const) {
        await ground.tamper(key, { how: 'flip', offset: 40 });
        const run = await settled({ recipe: recipeNamed(`${name}-${expected.length}`) });
        expect([key, run.state, run.detail.code, run.trained]).toEqual([key, 'REJECTED_INPUTS', expected, null]);
        await ground.tamper(key, { how: 'flip', offset: 40 });
      }
      expect(learner.trainings).toBe(0);
      expect(await factory.metricsText()).toMatch(/mf_rejects_total\{.*code="MF_MANIFEST_DIGEST_MISMATCH".*\} 1/);
      expect((await settled()).state).toBe('PUBLISHED');
    });

    it('what is changed between the look and the copy is refused, too', async () => {
      const shadow = shadowOf(ground.objects, async (reading) => {
        await ground.tamper(file('rows.parquet'), { how: 'flip', offset: 40 });
        return reading;
      });
      const late = openFactory(ground, { clock, learner, shadow });
      const run = await late.settled(dataset, { recipe: recipeNamed(name) });
      expect([run.state, run.detail.code]).toEqual(['REJECTED_INPUTS', 'MF_MATERIALIZATION_DIGEST_MISMATCH']);
      expect(learner.trainings).toBe(0);
    });

    it('a receipt of other bytes, of another dataset, or that says FAIL, opens nothing', async () => {
      const stands = shadowOf(ground.objects);
      const { receipt } = await stands.dataset({ dataset_manifest_id: dataset }, undefined as never);
      for (const [change, expected] of [
        [{ artifact_digest: digestText('other') }, 'MF_PASS_PROOF_DOES_NOT_BIND_MANIFEST'],
        [{ scope: { dataset_manifest_id: digestText('other') } }, 'MF_MISSING_DATASET_PASS_PROOF'],
        [{ status: 'FAIL' }, 'MF_MISSING_DATASET_PASS_PROOF'],
        [{}, undefined],
      ] as const) {
        const shadow = shadowOf(ground.objects, (reading) =>
          Promise.resolve({ ...reading, receipt: { ...receipt, ...change } }),
        );
        const process = openFactory(ground, { clock, learner, shadow });
        const run = await process.settled(dataset, { recipe: recipeNamed(`${name}-${JSON.stringify(change).length}`) });
        expect([run.state, run.detail.code]).toEqual([
          expected === undefined ? 'PUBLISHED' : 'REJECTED_INPUTS',
          expected,
        ]);
      }
    });

    it('another manifest than the run was asked for with is refused, whatever receipt it has', async () => {
      const other = digestText('other');
      const shadow = shadowOf(ground.objects, (reading) =>
        Promise.resolve({
          ...reading,
          manifest_ref: { ...reading.manifest_ref, digest: { algo: 'sha256', hex: other } },
          receipt: { ...reading.receipt, artifact_digest: other },
        }),
      );
      const run = await openFactory(ground, { clock, learner, shadow }).settled(dataset, { recipe: recipeNamed(name) });
      expect([run.state, run.detail.code]).toEqual(['REJECTED_INPUTS', 'MF_MANIFEST_DIGEST_MISMATCH']);
      expect(learner.trainings).toBe(0);
    });

    it('a dataset that nobody made, or with another manifest than was named, is refused at the door', async () => {
      const nobody = [{ role: 'train', dataset_manifest_id: digestText('nobody') }] as const;
      expect(await code(ask({ datasets: [...nobody] }))).toBe('MF_REF_NOT_FOUND');
      const named = { role: 'train', dataset_manifest_id: dataset, manifest_digest: digestText('other') } as const;
      expect(await code(ask({ datasets: [named] }))).toBe('MF_MANIFEST_DIGEST_MISMATCH');
      const ref = await ground.objects.head(file('manifest.json') as never);
      const right = { ...named, manifest_digest: ref?.digest.hex ?? digestText('none') };
      expect((await ask({ datasets: [right] })).outcome).toBe('ACCEPTED');
    });

    it('asked for again after it was put right, a rejected run is taken up again', async () => {
      await ground.tamper(file('rows.parquet'), { how: 'flip', offset: 40 });
      expect((await settled()).state).toBe('REJECTED_INPUTS');
      await ground.tamper(file('rows.parquet'), { how: 'flip', offset: 40 });
      expect(await settled()).toMatchObject({ state: 'PUBLISHED', trainings: 1 });
    });
  });

  describe('what it is compared with', () => {
    it('is what is active when it starts, by ref and digest, and stays so', async () => {
      const one = `${name}-active`;
      const process = openFactory(ground, { clock, learner });
      await process.registry.publish(bundleOf(one), { actor: MIA, key: `publish ${one}` });
      const did = async (action: 'approve' | 'promote') => {
        const bundle = { bundle_id: one, bundle_version: 1 };
        const { rows } = await process.registry.store.active(['primary']);
        const expected_seq = rows[0]?.seq ?? 0;
        const command =
          action === 'approve'
            ? ({ action, bundle } as const)
            : ({ action, bundle, slot: 'primary' as BundleSlot, expected_seq } as const);
        return await process.registry.service.command(command, {
          ...{ actor: RON, reason: 'better', key: `${action} ${one}` },
        });
      };
      await did('approve');
      const { fact } = await did('promote');
      const run = await settled();
      expect(run.resolved?.active).toMatchObject({
        ...{ bundle: { bundle_id: one }, activation: { event_id: fact.event_id } },
      });
      expect(learner.tasks[0]?.active).toEqual(bundleOf(one));
      await ground.tamper(run.resolved?.active?.ref.locator ?? '', { how: 'flip', offset: 20 });
      const late = await settled({ recipe: recipeNamed(`${name}-late`) });
      expect([late.state, late.detail.code]).toEqual(['REJECTED_INPUTS', 'MF_BUNDLE_INVALID']);
      await ground.tamper(run.resolved?.active?.ref.locator ?? '', { how: 'flip', offset: 20 });
    });
  });

  describe('a candidate of others', () => {
    it('is judged as it is, and published under its own name', async () => {
      const candidate = bundleOf(name, 1, -3);
      const evaluation = { kind: 'candidate_eval' } as const;
      const run = await factory.settled(dataset, evaluation, candidate);
      expect(run).toMatchObject({ state: 'PUBLISHED', kind: 'candidate_eval', plan: { recipe: null } });
      expect(learner.tasks[0]).toMatchObject({ kind: 'evaluate', candidate });
      expect((await versionsOf(name))[0]?.bundle.digest).toBe(bundleDigest(candidate));
      const other = await factory.ask(dataset, evaluation, bundleOf(name, 1, -4));
      expect(other.run.train_run_id).not.toBe(run.train_run_id);
    });
  });

  describe('publication', () => {
    /** Answers as told, one call after the other; then as the registry does. */
    function withRegistry(answers: readonly ('away' | 'lost')[]) {
      const stands = portOf(registryOn(ground, clock));
      const left = [...answers];
      const calls: string[] = [];
      const registry = {
        resolve: (...asked: Parameters<ModelRegistryPort['resolve']>) => stands.resolve(...asked),
        publish: async (...asked: Parameters<ModelRegistryPort['publish']>) => {
          const answer = left.shift();
          calls.push(answer ?? 'answered');
          const away = new ProbityError('RPC_UNAVAILABLE', 'nobody listens');
          if (answer === 'away') throw away;
          const done = await stands.publish(...asked);
          if (answer === 'lost') throw away;
          return done;
        },
      };
      return { process: openFactory(ground, { clock, learner, registry }), calls };
    }

    it('waits for a registry that is away, longer and longer, and trains nothing again; there is one version', async () => {
      const { process, calls } = withRegistry(['away', 'away', 'lost']);
      const { train_run_id: id } = await process.settled(dataset, { recipe: recipeNamed(name) });
      const waits: number[] = [];
      for (let n = 0; n < 3; n += 1) {
        expect(await process.service.status(id)).toMatchObject({
          ...{ state: 'PUBLISH_PENDING', tries: n + 1, last_code: 'RPC_UNAVAILABLE', at_rest: false },
        });
        let waited = 0;
        while (!(await process.store.idle(1_000)).includes(id)) {
          await clock.advance(500);
          waited += 500;
        }
        waits.push(waited);
        await process.advance(id);
      }
      expect(waits).toEqual([1_000, 2_000, 4_000]);
      expect(calls).toEqual(['away', 'away', 'lost', 'answered']);
      expect(await process.service.status(id)).toMatchObject({ state: 'PUBLISHED', trainings: 1, tries: 0 });
      expect([learner.trainings, (await versionsOf(name)).length]).toEqual([1, 1]);
      expect(await process.metricsText()).toMatch(
        /mf_retries_total\{.*state="PUBLISH_PENDING",code="RPC_UNAVAILABLE".*\} 3/,
      );
    });

    it('gives up after so many tries, and goes on from there where somebody asks again', async () => {
      const { process } = withRegistry(Array.from({ length: 6 }, () => 'away' as const));
      const { train_run_id: id } = await process.settled(dataset, { recipe: recipeNamed(name) });
      for (let n = 0; n < 5; n += 1) await process.advance(id);
      expect(await process.service.status(id)).toMatchObject({
        ...{ state: 'FAILED_RETRY_EXHAUSTED', detail: { code: 'RPC_UNAVAILABLE' } },
      });
      expect((await process.settled(dataset, { recipe: recipeNamed(name) })).state).toBe('PUBLISHED');
      expect(learner.trainings).toBe(1);
    });

    it('of another content under the same name is a conflict, and the first stands', async () => {
      await settled();
      const other = await settled({ recipe: { ...recipeNamed(name), seed: 7 } });
      expect([other.state, other.detail.code]).toEqual(['FAILED_CONFLICT', 'MPR_IDENTITY_CONFLICT']);
      expect(await versionsOf(name)).toHaveLength(1);
    });

    it('is not asked for where a result was changed since: a flipped byte in bundle, report or receipt', async () => {
      for (const which of ['bundle', 'report', 'gate_receipt'] as const) {
        const run = await settled({ recipe: recipeNamed(`${name}-${which.length}`), publish: false });
        const key = run.trained?.artifacts[which].locator ?? '';
        await ground.tamper(key, { how: 'flip', offset: 20 });
        const late = await settled({ recipe: recipeNamed(`${name}-${which.length}`) });
        expect([which, late.state, late.detail.code]).toEqual([which, 'FAILED_CONFLICT', 'MF_ARTIFACT_TAMPERED']);
        expect(await versionsOf(`${name}-${which.length}`)).toEqual([]);
      }
    });
  });

  describe('who works on it', () => {
    it('is one at a time; two processes at once make one training', async () => {
      const { run } = await ask();
      let open: () => void = () => undefined;
      learner.gate = new Promise<void>((resolve) => (open = resolve));
      const other = openFactory(ground, { clock, learner });
      const works = factory.advance(run.train_run_id);
      while (learner.trainings === 0) await new Promise((resolve) => setImmediate(resolve));
      expect(await other.advance(run.train_run_id)).toBe(false);
      open();
      expect(await works).toBe(true);
      expect(await factory.service.status(run.train_run_id)).toMatchObject({ state: 'PUBLISHED', trainings: 1 });
    });

    it('a holder whose lease was taken over writes nothing any more', async () => {
      const { run } = await ask();
      const id = run.train_run_id;
      const old = await factory.store.acquire(id, 'old', 1);
      if (old === null) throw new Error('nobody held it');
      let young = await factory.store.acquire(id, 'young', 60_000);
      while (young === null) young = await factory.store.acquire(id, 'young', 60_000);
      expect(young.token).toBe(old.token + 1);
      await expect(factory.store.advance(old, 'RESOLVING')).rejects.toBeInstanceOf(LeaseLost);
      await expect(factory.store.keep(old, 'PUBLISHED', {} as never)).rejects.toBeInstanceOf(LeaseLost);
      await expect(factory.store.postpone(old, 'INTERNAL', 1)).rejects.toBeInstanceOf(LeaseLost);
      await expect(factory.store.renew(old, 1_000)).rejects.toBeInstanceOf(LeaseLost);
      expect(await statesOf(id)).toEqual(['QUEUED']);
    });

    it('a thread that crashes is begun again, and after three times the run has failed', async () => {
      const crash = new ProbityError('MF_RUNTIME_CRASH', 'it is gone');
      learner.failures.push(crash);
      const once = await settled();
      expect(once).toMatchObject({ state: 'TRAINING', tries: 1, last_code: 'MF_RUNTIME_CRASH', trainings: 1 });
      await factory.advance(once.train_run_id);
      expect(await factory.service.status(once.train_run_id)).toMatchObject({ state: 'PUBLISHED', trainings: 2 });
      learner.failures.push(crash, crash, crash);
      const recipe = recipeNamed(`${name}-again`);
      const { train_run_id: id } = await settled({ recipe });
      await factory.advance(id);
      await factory.advance(id);
      expect(await factory.service.status(id)).toMatchObject({
        ...{ state: 'FAILED_RETRY_EXHAUSTED', detail: { code: 'MF_RUNTIME_CRASH' }, trainings: 3 },
      });
    });

    it('what no second try changes ends the run by its name', async () => {
      for (const [failure, state] of [
        ['MF_LEAKAGE_GUARD_VIOLATION', 'REJECTED_INPUTS'],
        ['MF_RESOURCE_EXHAUSTED', 'REJECTED_INPUTS'],
      ] as const) {
        learner.failures.push(new ProbityError(failure, 'so it is'));
        const run = await settled({ recipe: recipeNamed(`${name}-${failure.length}`) });
        expect([run.state, run.detail]).toEqual([state, { code: failure, says: 'so it is' }]);
      }
    });

    it('is cancelled while it trains, and no training is kept', async () => {
      const quick = openFactory(ground, { clock, learner, leaseMs: 30 });
      const { run } = await quick.ask(dataset, { recipe: recipeNamed(name) });
      learner.gate = new Promise<void>(() => undefined);
      const works = quick.advance(run.train_run_id);
      while (learner.trainings === 0) await new Promise((resolve) => setImmediate(resolve));
      expect((await quick.service.cancel(run.train_run_id, RON)).state).toBe('CANCELLED');
      await clock.advance(10);
      expect(await works).toBe(false);
      expect(await quick.service.status(run.train_run_id)).toMatchObject({ state: 'CANCELLED', trained: null });
      expect(await code(quick.service.cancel(run.train_run_id, RON))).toBe('MF_NOT_CANCELLABLE');
      expect(await code(quick.service.cancel(digestText('nobody'), RON))).toBe('MF_RUN_NOT_FOUND');
    });

    it('another release does not go on with a training, and asked itself makes its own run', async () => {
      const { run } = await ask();
      const next = openFactory(ground, { clock, learner, version: '2.0.0' });
      await next.advance(run.train_run_id);
      expect(await next.service.status(run.train_run_id)).toMatchObject({
        ...{ state: 'REJECTED_INPUTS', detail: { code: 'MF_CODE_RELEASE_GONE' } },
      });
      expect((await next.settled(dataset, { recipe: recipeNamed(name) })).state).toBe('PUBLISHED');
    });
  });

  it('who asked, what the gates said and how it ended are facts that are the same whenever they are read', async () => {
    // Facts of all tests stand in one database: these have times of their own.
    await clock.advance(400 * DAY_MS);
    const from = fromEpochMs(clock.nowMs());
    const next = async () => await clock.advance(1_000);
    const passed = await settled({ request_id: `${name}-1` });
    await next();
    learner.verdict = 'FAIL';
    const failed = await settled({ request_id: `${name}-2`, recipe: recipeNamed(`${name}-f`) });
    await next();
    learner.failures.push(new ProbityError('MF_LEAKAGE_GUARD_VIOLATION', 'so it is'));
    const rejected = await settled({ request_id: `${name}-3`, recipe: recipeNamed(`${name}-r`) });
    await next();
    const { run: unwanted } = await ask({ request_id: `${name}-4`, recipe: recipeNamed(`${name}-u`) });
    await next();
    await factory.service.cancel(unwanted.train_run_id, RON);
    const told = new TrainFactsController(new TrainFactsStore(ground.database('mf')), new About('1.0.0', 'test', 1));
    const facts: GovernanceFact[] = [];
    let cursor: string | undefined;
    do {
      const page = await told.facts({ limit: '3', from, ...(cursor === undefined ? {} : { cursor }) });
      facts.push(...page.changes.map(({ fact }) => governance.demand(JSON.parse(JSON.stringify(fact)))));
      cursor = page.next_cursor;
    } while (cursor !== undefined);
    const by = ANALYST.actor_id;
    expect(facts.map(({ kind, subject, actor, op_id }) => [kind, subject, actor.actor_id, op_id]).reverse()).toEqual([
      ['MF_TRAIN_REQUESTED', passed.train_run_id, by, `${name}-1`],
      ['MF_TRAIN_PASSED', passed.train_run_id, 'SYSTEM::mf', passed.train_run_id],
      ['MF_TRAIN_REQUESTED', failed.train_run_id, by, `${name}-2`],
      ['MF_TRAIN_FAILED', failed.train_run_id, 'SYSTEM::mf', failed.train_run_id],
      ['MF_TRAIN_REQUESTED', rejected.train_run_id, by, `${name}-3`],
      ['MF_TRAIN_REJECTED', rejected.train_run_id, 'SYSTEM::mf', rejected.train_run_id],
      ['MF_TRAIN_REQUESTED', unwanted.train_run_id, by, `${name}-4`],
      ['MF_TRAIN_CANCELLED', unwanted.train_run_id, RON.actor_id, unwanted.train_run_id],
    ]);
    const of = (run: { readonly train_run_id: string }) => facts.find(({ op_id }) => op_id === run.train_run_id);
    const { bundle, gate_receipt, report } = passed.trained?.artifacts ?? {};
    expect(of(passed)).toMatchObject({ after: bundle, evidence: [gate_receipt, report] });
    expect(of(failed)).toMatchObject({
      ...{ reason: 'gates: MF_GATE_AVERAGE_PRECISION', evidence: [failed.trained?.artifacts.gate_receipt, {}] },
    });
    expect(of(rejected)).toMatchObject({ reason: 'MF_LEAKAGE_GUARD_VIOLATION: so it is', evidence: [] });
    expect((await told.facts({ from })).changes.map(({ fact }) => fact)).toEqual(facts);
    expect((await told.facts({ from, to: from })).changes).toEqual([]);
  });

  it('the record is never edited: the database refuses it', async () => {
    const run = await settled();
    const database = ground.database('mf');
    for (const table of ['requests', 'runs', 'states', 'stages']) {
      await expect(database.query(`update ${table} set at = at`)).rejects.toThrow();
      await expect(database.query(`delete from ${table}`)).rejects.toThrow();
    }
    expect((await factory.service.status(run.train_run_id)).state).toBe('PUBLISHED');
  });

  it('is taken up by a round, and the meters know what waits', async () => {
    const { run } = await ask();
    const waiting = async () => /mf_pending\{.*state="QUEUED".*\} (\d+)/.exec(await factory.metricsText())?.[1];
    while ((await factory.service.status(run.train_run_id)).state === 'QUEUED') await factory.jobs.round();
    expect(Number(await waiting())).toBeGreaterThan(0);
    expect(await factory.service.status(run.train_run_id)).toMatchObject({ state: 'PUBLISHED' });
    await factory.jobs.onModuleDestroy();
    expect(await factory.jobs.round()).toBe(0);
  });

  it('is listed youngest first, page by page', async () => {
    const ids: string[] = [];
    for (let n = 0; n < 3; n += 1) ids.unshift((await ask({ recipe: recipeNamed(`${name}-${n}`) })).run.train_run_id);
    const [first, second] = await factory.store.list({ limit: 2 });
    expect([first?.run.train_run_id, second?.run.train_run_id]).toEqual(ids.slice(0, 2));
    const [third] = await factory.store.list({ limit: 1, before: second?.number ?? 0 });
    expect(third?.run).toMatchObject({ train_run_id: ids[2], requested_by: { actor_id: ANALYST.actor_id } });
  });
}
