import { createWriteStream } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { Injectable } from '@nestjs/common';
import type { Digest } from '../../rails/digest.js';
import { isProbityError, ProbityError } from '../../rails/errors/probity-error.js';
import { demandPass } from '../../rails/gate.js';
import { type Bundle, bundleDigest, bundleFaults, BundleSchema } from '../../rails/model/bundle.schema.js';
import type { Ref } from '../../rails/ref.js';
import type { UtcMicros } from '../../rails/time.js';
import { validatorOf } from '../../rails/validator.js';
import { Clock } from '../../substrate/clock/clock.port.js';
import { Objects } from '../../substrate/objects/objects.port.js';
import { outgoing } from '../../substrate/rpc/outgoing.js';
import { ModelRegistryPort } from '../model-registry/model-registry.port.js';
import { OfflineFeatureShadowPort } from '../offline-feature-shadow/offline-feature-shadow.port.js';
import type { LearningDataset } from './learning/learning-task.js';
import { asReject } from './train-run.core.js';
import type { Resolved, TrainPlan } from './train-run.schema.js';

/** A bundle with an ONNX file in it is the largest. */
const BUNDLE_BYTES_MAX = 12 * 1024 * 1024;
/** The shadow takes the digest of every file again before it answers. */
const DATASET_LIMIT_MS = 600_000;
const CALL_LIMIT_MS = 10_000;
const DATASET_GATE = 'ofs.dataset';

const bundles = validatorOf(BundleSchema, 'the bundle');

/** Everything that a run reads, verified: datasets behind their PASS, and bundles by ref (laws R3, R4). */
@Injectable()
export class RunInputs {
  constructor(
    private readonly shadow: OfflineFeatureShadowPort,
    private readonly registry: ModelRegistryPort,
    private readonly objects: Objects,
    private readonly clock: Clock,
  ) {}

  /**
   * The ref of a dataset's manifest, as the shadow's record names it.
   * @throws MF_REF_NOT_FOUND; what may pass
   */
  async manifestOf(dataset_manifest_id: Digest): Promise<Ref> {
    const { state, detail } = await rejecting(
      this.shadow.build({ dataset_manifest_id }, outgoing(this.clock, CALL_LIMIT_MS)),
    );
    if (state === 'DONE' && detail.manifest !== undefined) return detail.manifest;
    throw new ProbityError('MF_REF_NOT_FOUND', `the dataset ${dataset_manifest_id} is ${state}, and has no manifest`);
  }

  /**
   * The datasets of a plan with a local copy of each one's rows.
   * @throws MF_REF_NOT_FOUND, MF_MISSING_DATASET_PASS_PROOF, MF_PASS_PROOF_DOES_NOT_BIND_MANIFEST, MF_MANIFEST_DIGEST_MISMATCH,
   * MF_MATERIALIZATION_DIGEST_MISMATCH; what may pass
   */
  async datasets(plan: TrainPlan, folder: string, signal: AbortSignal): Promise<readonly LearningDataset[]> {
    const datasets: LearningDataset[] = [];
    for (const { role, dataset_manifest_id, manifest: pinned } of plan.datasets) {
      const context = outgoing(this.clock, DATASET_LIMIT_MS, { signal });
      const reading = await rejecting(this.shadow.dataset({ dataset_manifest_id }, context));
      const { manifest, manifest_ref: ref, receipt } = reading;
      if (ref.digest.hex !== pinned.digest.hex)
        throw new ProbityError(
          'MF_MANIFEST_DIGEST_MISMATCH',
          `the manifest of ${dataset_manifest_id} is ${ref.digest.hex}, and the run was asked for with ${pinned.digest.hex}`,
        );
      demandBinding(receipt, ref, dataset_manifest_id);
      const [file] = manifest.built.materialisations;
      if (file === undefined)
        throw new ProbityError('MF_REF_NOT_FOUND', `the dataset ${dataset_manifest_id} has no rows`);
      const copy = join(folder, `${role}.parquet`);
      await this.#copy(file.ref, copy, signal);
      datasets.push({ role, manifest, manifest_digest: ref.digest.hex, file: copy });
    }
    return datasets;
  }

  /** What is active in the slot now. @throws what may pass */
  async resolve({ slot }: TrainPlan, decidedAt: UtcMicros): Promise<Resolved> {
    const { resolutions, registry_seq } = await this.registry.resolve(
      { slots: [slot] },
      outgoing(this.clock, CALL_LIMIT_MS),
    );
    const [found] = resolutions;
    const active =
      found?.status === 'ACTIVE' ? { bundle: found.bundle, ref: found.ref, activation: found.activation } : null;
    return { active, registry_seq, decided_at_utc: decidedAt };
  }

  /** @throws MF_BUNDLE_INVALID where it is not the one that is named, or none; what may pass */
  async bundle(ref: Ref, digest?: Digest): Promise<Bundle> {
    try {
      const bytes = await this.objects.read(ref, { bytesMax: BUNDLE_BYTES_MAX });
      return bundleIn(JSON.parse(bytes.toString('utf8')), digest);
    } catch (cause) {
      if (isProbityError(cause) && (cause.retryable || cause.code === 'MF_BUNDLE_INVALID')) throw cause;
      throw new ProbityError('MF_BUNDLE_INVALID', `${ref.locator}: ${cause instanceof Error ? cause.message : 'no'}`, {
        cause,
      });
    }
  }

  /** Its digest is known only at the end: what was copied is used after that alone. */
  async #copy(ref: Ref, file: string, signal: AbortSignal): Promise<void> {
    try {
      await pipeline(Readable.from(this.objects.open(ref)), createWriteStream(file), { signal });
    } catch (cause) {
      signal.throwIfAborted();
      if (isProbityError(cause, 'OBJECTS_DIGEST_MISMATCH') || isProbityError(cause, 'OBJECTS_NOT_FOUND'))
        throw new ProbityError('MF_MATERIALIZATION_DIGEST_MISMATCH', `${ref.locator}: ${cause.detail}`, { cause });
      throw cause;
    }
  }
}

/** @throws MF_BUNDLE_INVALID */
export function bundleIn(document: unknown, digest?: Digest): Bundle {
  const checked = bundles.check(document);
  if (!checked.ok) throw new ProbityError('MF_BUNDLE_INVALID', `${checked.fault.at || '/'} ${checked.fault.says}`);
  const [fault] = bundleFaults(checked.value);
  if (fault !== undefined) throw new ProbityError('MF_BUNDLE_INVALID', `${fault.pointer}: ${fault.sentence}`);
  const is = bundleDigest(checked.value);
  if (digest === undefined || digest === is) return checked.value;
  throw new ProbityError('MF_BUNDLE_INVALID', `it is the bundle ${is}, and ${digest} was named`);
}

function demandBinding(receipt: Parameters<typeof demandPass>[0], ref: Ref, dataset_manifest_id: Digest): void {
  try {
    demandPass(receipt, ref, { gate_id: DATASET_GATE, scope: { dataset_manifest_id } });
  } catch (cause) {
    if (!isProbityError(cause, 'GATE_NOT_PASSED')) throw cause;
    const binds = cause.data['failure'] === 'TAMPERED';
    const code = binds ? 'MF_PASS_PROOF_DOES_NOT_BIND_MANIFEST' : 'MF_MISSING_DATASET_PASS_PROOF';
    throw new ProbityError(code, cause.detail, { cause });
  }
}

async function rejecting<Result>(work: Promise<Result>): Promise<Result> {
  try {
    return await work;
  } catch (error) {
    throw asReject(error);
  }
}
