import { rm } from 'node:fs/promises';
import { Injectable } from '@nestjs/common';
import { isProbityError, ProbityError } from '../../rails/errors/probity-error.js';
import { About } from '../../substrate/about.js';
import { Clock } from '../../substrate/clock/clock.port.js';
import { Cancelled } from '../../substrate/lease/held-work.js';
import { outgoing } from '../../substrate/rpc/outgoing.js';
import { openScratchFolder } from '../../substrate/scratch-folder.js';
import { ModelRegistryPort } from '../model-registry/model-registry.port.js';
import { FactorySignals } from './factory.signals.js';
import { Learner } from './learner.js';
import { DEFAULT_RECIPE } from './learning/recipe.schema.js';
import { type Lease, ModelFactoryStore } from './model-factory.store.js';
import { RunInputs } from './run-inputs.js';
import { RunResults } from './run-results.js';
import {
  type Published,
  RUN_FORMAT,
  type RunDetail,
  type RunState,
  type RunStatus,
  type Trained,
  type TrainPlan,
} from './train-run.schema.js';

/** Of one try: a registry that is away is asked again later, and until then the run says why it waits. */
const PUBLISH_LIMIT_MS = 20_000;

/** Takes a run through its stages under a lease. What a stage came to is kept at once, so that whoever takes the run up goes on from there. */
@Injectable()
export class TrainRun {
  constructor(
    private readonly store: ModelFactoryStore,
    private readonly inputs: RunInputs,
    private readonly results: RunResults,
    private readonly learner: Learner,
    private readonly registry: ModelRegistryPort,
    private readonly signals: FactorySignals,
    private readonly about: About,
    private readonly clock: Clock,
  ) {}

  /**
   * As far as it goes.
   * @returns how it ends; null where it rests at its gates, for nobody wants it published
   * @throws LeaseLost, Cancelled, MF_ and MPR_ codes, and what may pass
   */
  async carryOut(
    lease: Lease,
    { plan, publish, trained: kept }: RunStatus,
    signal: AbortSignal,
  ): Promise<readonly [RunState, RunDetail] | null> {
    const { runId } = lease;
    let trained = kept;
    if (trained === null) {
      // A training whose process died between its last object and the record of it is done all the same.
      const made = (await this.results.standing(runId)) ?? (await this.#train(lease, plan, signal));
      trained = await this.store.keep(lease, 'TRAINED', made);
      this.signals.judged(trained.result);
    }
    await this.#to(lease, 'EVAL_READY');
    const { result } = trained;
    await this.#to(lease, 'GATED', { result });
    if (result === 'FAIL') return ['FAILED_GATES', { result, says: trained.reason_codes.join(', ').slice(0, 2_000) }];
    if (!publish) return null;
    await this.#to(lease, 'PUBLISH_PENDING', { result });
    await this.#timed('publishing', async () => {
      await this.store.keep(lease, 'PUBLISHED', await this.#publish(runId, plan, trained));
    });
    return ['PUBLISHED', { result }];
  }

  async #train(lease: Lease, plan: TrainPlan, signal: AbortSignal): Promise<Trained> {
    this.#demandRelease(plan);
    await this.#to(lease, 'RESOLVING');
    const folder = await openScratchFolder('mf', this.clock.nowMs());
    try {
      const [datasets, resolved] = await this.#timed('resolving', async () => [
        await this.inputs.datasets(plan, folder, signal),
        await this.store.keep(lease, 'RESOLVED', await this.inputs.resolve(plan, this.store.now())),
      ]);
      const { active, decided_at_utc } = resolved;
      const { recipe, candidate, policy } = plan;
      const task = {
        kind: candidate === null ? 'train' : 'evaluate',
        recipe: recipe ?? DEFAULT_RECIPE,
        datasets,
        candidate: candidate === null ? null : await this.inputs.bundle(candidate.ref, candidate.bundle.digest),
        active: active === null ? null : await this.inputs.bundle(active.ref, active.bundle.digest),
        policy,
        code_release: plan.code_release.version,
        decided_at_utc,
      } as const;
      await this.#to(lease, 'TRAINING');
      const result = await this.#timed('training', async () => await this.learner.learn(task, { signal }));
      signal.throwIfAborted();
      return await this.results.keep(lease.runId, result);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  }

  /** Once by the id of the run: a second time finds what the first one did. It never makes anything active. */
  async #publish(runId: RunStatus['train_run_id'], { datasets }: TrainPlan, trained: Trained): Promise<Published> {
    await this.results.demandPass(trained);
    const { bundle, report, gate_receipt } = trained.artifacts;
    const { fact } = await this.registry.publish(
      {
        bundle,
        lineage: { train_run_id: runId, dataset_manifests: datasets.map(({ manifest }) => manifest) },
        evidence: { eval_report: report, gate_receipt },
        reason: `training run ${runId} passed its gates`,
        idempotency_key: runId,
      },
      outgoing(this.clock, PUBLISH_LIMIT_MS),
    );
    const { event_id, registry_seq, to_state: state } = fact;
    return { event_id, registry_seq, bundle: fact.bundle, state };
  }

  /** Another release is another run: what it makes of the same inputs may be another bundle. */
  #demandRelease({ code_release: { version, run_format } }: TrainPlan): void {
    if (version === this.about.version && run_format === RUN_FORMAT) return;
    throw new ProbityError(
      'MF_CODE_RELEASE_GONE',
      `the run was asked of release ${version}, and this is ${this.about.version}`,
    );
  }

  async #to(lease: Lease, state: RunState, detail: RunDetail = {}): Promise<void> {
    if (!(await this.store.advance(lease, state, detail))) throw new Cancelled('the run was cancelled');
  }

  async #timed<Result>(stage: string, work: () => Promise<Result>): Promise<Result> {
    const startedMs = this.clock.monotonicMs();
    try {
      return await work();
    } finally {
      this.signals.took(stage, this.clock.monotonicMs() - startedMs);
    }
  }
}

/** What goes into the record of a failure. */
export function saysOf(error: unknown): string {
  return (isProbityError(error) ? error.detail : error instanceof Error ? error.message : String(error)).slice(
    0,
    1_000,
  );
}
