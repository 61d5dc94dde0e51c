import { Injectable } from '@nestjs/common';
import type { Static } from '@sinclair/typebox';
import type { Actor } from '../../rails/actor.js';
import { basisRecord } from '../../rails/basis.js';
import type { Digest } from '../../rails/digest.js';
import { ProbityError } from '../../rails/errors/probity-error.js';
import { About } from '../../substrate/about.js';
import { Bus } from '../../substrate/bus/bus.port.js';
import { Objects } from '../../substrate/objects/objects.port.js';
import { Policies } from '../../substrate/policy/policy.port.js';
import type { CallContext } from '../../substrate/rpc/rpc.port.js';
import { FEATURES_POLICY } from '../feature-plane/feature-plane.port.js';
import { readRunFacts } from '../scenario-runner/run-facts.port.js';
import { demandSound, groupsOf, intentDigest, planIdOf } from './build-plan.core.js';
import { BuildJobs } from './build.job.js';
import {
  type BuildAnswer,
  type BuildIntent,
  type BuildPlan,
  type BuildStatus,
  DATASET_FORMAT,
  type DatasetReading,
} from './dataset.schema.js';
import { DatasetObjects } from './dataset-reader.js';
import type { BuildRequest, DatasetQuery, OfflineFeatureShadowPort } from './offline-feature-shadow.port.js';
import { OfflineFeatureShadowStore } from './offline-feature-shadow.store.js';
import { resolveBasis } from './replay-basis.js';

/** Accepts builds, once per request id and once per plan, and hands out what was published. */
@Injectable()
export class OfflineFeatureShadowService implements OfflineFeatureShadowPort {
  constructor(
    private readonly store: OfflineFeatureShadowStore,
    private readonly datasets: DatasetObjects,
    private readonly jobs: BuildJobs,
    private readonly bus: Bus,
    private readonly objects: Objects,
    private readonly policies: Policies,
    private readonly about: About,
  ) {}

  async request({ intent }: Static<typeof BuildRequest>, context: CallContext): Promise<BuildAnswer> {
    return await this.accept(intent, context.caller.actor);
  }

  /** @throws as the port says */
  async accept(intent: BuildIntent, actor: Actor): Promise<BuildAnswer> {
    const digest = intentDigest(intent);
    const known = await this.store.requested(intent.request_id);
    // What a time selected was settled when it was asked for first: the same request is the same plan for ever.
    if (known !== null) return await this.#answer('DUPLICATE', known, digest);
    demandSound(intent, this.store.now());
    const plan = await this.#planOf(intent);
    const planId = planIdOf(plan);
    const before = await this.store.find(planId);
    const standing = await this.store.accept({ intent, digest, planId, plan, actor });
    this.jobs.wake();
    return await this.#answer(before?.state === 'DONE' ? 'ALREADY_PUBLISHED' : 'ACCEPTED', standing, digest);
  }

  async build({ dataset_manifest_id }: Static<typeof DatasetQuery>): Promise<BuildStatus> {
    return await this.status(dataset_manifest_id);
  }

  /** @throws OFS_DATASET_NOT_FOUND */
  async status(planId: Digest): Promise<BuildStatus> {
    const found = await this.store.find(planId);
    if (found !== null) return found;
    throw new ProbityError('OFS_DATASET_NOT_FOUND', 'nobody asked for a dataset of this id');
  }

  async dataset({ dataset_manifest_id }: Static<typeof DatasetQuery>): Promise<DatasetReading> {
    const { detail } = await this.status(dataset_manifest_id);
    return await this.datasets.verified(dataset_manifest_id, detail.manifest);
  }

  /** @throws OFS_DATASET_NOT_FOUND, OFS_NOT_CANCELLABLE */
  async cancel(planId: Digest, actor: Actor): Promise<BuildStatus> {
    await this.status(planId);
    if (!(await this.store.cancel(planId, actor)))
      throw new ProbityError('OFS_NOT_CANCELLABLE', 'the build has ended already');
    return await this.status(planId);
  }

  async #answer(
    outcome: BuildAnswer['outcome'],
    standing: { readonly digest: Digest; readonly planId: Digest },
    digest: Digest,
  ): Promise<BuildAnswer> {
    if (standing.digest !== digest)
      throw new ProbityError('OFS_REQUEST_CONFLICT', 'the request id stands for another intent');
    return { outcome, build: await this.status(standing.planId) };
  }

  async #planOf(intent: BuildIntent): Promise<BuildPlan> {
    const facts = await readRunFacts(this.objects, intent.run_id);
    if (facts === null) throw new ProbityError('OFS_RUN_NOT_READY', `run ${intent.run_id} is not READY`);
    const { policy_rev: definitions, body } = this.policies.inForce(FEATURES_POLICY);
    const { start, end } = await resolveBasis(this.bus, intent.basis);
    return {
      kind: intent.kind,
      pins: facts.view.pins,
      facts_view_digest: facts.ready.facts_view.digest.hex,
      replay_start: start,
      replay_basis: basisRecord(end),
      source: intent.source ?? 'auto',
      label: intent.label ?? null,
      definitions,
      feature_groups: groupsOf(body, intent.feature_groups),
      rows: intent.rows ?? {},
      anchor: intent.kind === 'parity_rebuild' ? 'decision' : (intent.anchor ?? 'auto'),
      sampling: intent.sampling ?? null,
      splits: intent.splits ?? [],
      code_release: { version: this.about.version, dataset_format: DATASET_FORMAT },
    };
  }
}
