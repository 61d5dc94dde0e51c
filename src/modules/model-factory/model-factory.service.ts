import { Injectable } from '@nestjs/common';
import type { Static } from '@sinclair/typebox';
import type { Actor } from '../../rails/actor.js';
import { canonicalJson } from '../../rails/canonical-json.js';
import type { Digest } from '../../rails/digest.js';
import { ProbityError } from '../../rails/errors/probity-error.js';
import { type Bundle, bundleDigest } from '../../rails/model/bundle.schema.js';
import type { BundleSlot } from '../../rails/registry/scope.js';
import { About } from '../../substrate/about.js';
import { Policies } from '../../substrate/policy/policy.port.js';
import type { CallContext } from '../../substrate/rpc/rpc.port.js';
import { FACTORY_POLICY } from './learning/gate-policy.schema.js';
import { DEFAULT_RECIPE } from './learning/recipe.schema.js';
import type { ModelFactoryPort, TrainingRequest, TrainingRunQuery } from './model-factory.port.js';
import { ModelFactoryStore, type Standing } from './model-factory.store.js';
import { RunInputs } from './run-inputs.js';
import { RunResults } from './run-results.js';
import { demandSound, inRoles, requestDigest, trainRunIdOf } from './train-run.core.js';
import { RUN_FORMAT, type RunStatus, type TrainAnswer, type TrainPlan, type TrainRequest } from './train-run.schema.js';
import { TrainJobs } from './train.job.js';

/** Accepts runs, once per request id and once per inputs. */
@Injectable()
export class ModelFactoryService implements ModelFactoryPort {
  constructor(
    private readonly store: ModelFactoryStore,
    private readonly inputs: RunInputs,
    private readonly results: RunResults,
    private readonly jobs: TrainJobs,
    private readonly policies: Policies,
    private readonly about: About,
  ) {}

  async request({ request, candidate }: Static<typeof TrainingRequest>, context: CallContext): Promise<TrainAnswer> {
    const bundle = candidate === undefined ? null : await this.inputs.bundle(candidate);
    return await this.accept(request, bundle, context.caller.actor);
  }

  /** @throws as the port says */
  async accept(request: TrainRequest, candidate: Bundle | null, actor: Actor): Promise<TrainAnswer> {
    const digest = requestDigest(request, candidate === null ? null : bundleDigest(candidate));
    const known = await this.store.requested(request.request_id);
    // The policy and the release that were in force when it was asked for first decide for ever what it is.
    if (known !== null) return await this.#answer('DUPLICATE', known, digest);
    demandSound(request, candidate !== null);
    const plan = await this.#planOf(request, candidate);
    const runId = trainRunIdOf(plan);
    const before = await this.store.find(runId);
    const publish = request.publish ?? true;
    const standing = await this.store.accept({ request, digest, runId, plan, publish, actor });
    this.jobs.wake();
    const now = await this.status(standing.runId);
    return await this.#answer(before !== null && now.at_rest ? 'ALREADY_DONE' : 'ACCEPTED', standing, digest);
  }

  async run({ train_run_id }: Static<typeof TrainingRunQuery>): Promise<RunStatus> {
    return await this.status(train_run_id);
  }

  /** @throws MF_RUN_NOT_FOUND */
  async status(runId: Digest): Promise<RunStatus> {
    const found = await this.store.find(runId);
    if (found !== null) return found;
    throw new ProbityError('MF_RUN_NOT_FOUND', 'nobody asked for a run of this id');
  }

  /** @throws MF_RUN_NOT_FOUND, MF_NOT_CANCELLABLE */
  async cancel(runId: Digest, actor: Actor): Promise<RunStatus> {
    await this.status(runId);
    if (!(await this.store.cancel(runId, actor)))
      throw new ProbityError('MF_NOT_CANCELLABLE', 'the run has ended, or may be in the registry already');
    return await this.status(runId);
  }

  async #answer(outcome: TrainAnswer['outcome'], standing: Standing, digest: Digest): Promise<TrainAnswer> {
    if (standing.digest !== digest)
      throw new ProbityError('MF_REQUEST_CONFLICT', 'the request id stands for something else');
    return { outcome, run: await this.status(standing.runId) };
  }

  async #planOf({ kind, datasets, recipe, slot }: TrainRequest, candidate: Bundle | null): Promise<TrainPlan> {
    const { policy_rev, body } = this.policies.inForce(FACTORY_POLICY);
    return {
      kind,
      datasets: await Promise.all(
        inRoles(datasets).map(async ({ role, dataset_manifest_id, manifest_digest }) => {
          const manifest = await this.inputs.manifestOf(dataset_manifest_id);
          if (manifest_digest !== undefined && manifest_digest !== manifest.digest.hex)
            throw new ProbityError(
              'MF_MANIFEST_DIGEST_MISMATCH',
              `the manifest of ${dataset_manifest_id} is ${manifest.digest.hex}, and ${manifest_digest} was named`,
            );
          return { role, dataset_manifest_id, manifest };
        }),
      ),
      recipe: candidate === null ? (recipe ?? DEFAULT_RECIPE) : null,
      candidate: candidate === null ? null : await this.#standing(candidate),
      policy: { policy_rev, body },
      slot: slot ?? ('primary' as BundleSlot),
      code_release: { version: this.about.version, run_format: RUN_FORMAT },
    };
  }

  async #standing(bundle: Bundle): Promise<TrainPlan['candidate']> {
    const { bundle_id, bundle_version } = bundle;
    const ref = await this.results.putCandidate(canonicalJson(bundle));
    return { bundle: { bundle_id, bundle_version, digest: bundleDigest(bundle) }, ref };
  }
}
