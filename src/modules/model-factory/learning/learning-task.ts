import type { Digest } from '../../../rails/digest.js';
import type { Bundle } from '../../../rails/model/bundle.schema.js';
import type { PolicyRev } from '../../../rails/policy-rev.js';
import type { ModelGateReceipt } from '../../../rails/registry/gate-receipt.schema.js';
import type { UtcMicros } from '../../../rails/time.js';
import type { DatasetManifest } from '../../offline-feature-shadow/offline-feature-shadow.port.js';
import type { EvalReport } from './eval-report.schema.js';
import type { FactoryPolicy } from './gate-policy.schema.js';
import type { Recipe } from './recipe.schema.js';

/** A dataset whose manifest was read behind its PASS. */
export interface LearningDataset {
  /** `train` alone: its splits train, validation and test are used. With an `eval` beside it: all rows of the one are learnt from, all of the other judged on. */
  readonly role: 'train' | 'eval';
  readonly manifest: DatasetManifest;
  /** Of the manifest's bytes (`manifest_ref.digest.hex`): what receipts and bundles cite. */
  readonly manifest_digest: Digest;
  /** A local copy of the manifest's one materialisation. Its digest is taken again while it is read. */
  readonly file: string;
}

/** One piece of learning, everything that it needs, able to be sent to a thread. */
export interface LearningTask {
  /** `train`: a bundle is made by the recipe and judged. `evaluate`: `candidate` is judged as it is; of the recipe nothing is used. */
  readonly kind: 'train' | 'evaluate';
  readonly recipe: Recipe;
  /** One or two, of different roles; `evaluate` takes an `eval` alone, too. */
  readonly datasets: readonly LearningDataset[];
  /** Of `evaluate`, in any format; null for `train`. */
  readonly candidate: Bundle | null;
  /** What is active in the scope now; null: nothing is. */
  readonly active: Bundle | null;
  readonly policy: { readonly policy_rev: PolicyRev; readonly body: FactoryPolicy };
  readonly code_release: string;
  /** Written into report and receipt; nothing else of either depends on a clock. */
  readonly decided_at_utc: UtcMicros;
}

export const LEARNING_STAGES = ['reading', 'searching', 'training', 'retraining', 'evaluating', 'reporting'] as const;
export type LearningStage = (typeof LEARNING_STAGES)[number];

export interface LearningProgress {
  readonly stage: LearningStage;
  /** Steps of the stage that are done, and how many there may be. */
  readonly done: number;
  readonly of: number;
}

/** Milliseconds by stage; 0 for a stage that was not needed. */
export type LearningDurations = Readonly<Record<LearningStage, number>>;

export interface LearningResult {
  readonly bundle: Bundle;
  /** As the registry takes it (`bundleDigest`). */
  readonly bundle_digest: Digest;
  /** Sound by `EvalReportSchema`, and able to be written as canonical JSON. */
  readonly report: EvalReport;
  /** The report as one page for a browser. */
  readonly html: string;
  /** PASS or FAIL; both are ordinary results. It binds the bundle by its digest. */
  readonly receipt: ModelGateReceipt;
  readonly durations: LearningDurations;
}

export interface LearningSurroundings {
  /** Aborted: the thread is ended at once, and the promise rejects with the reason of the signal. */
  readonly signal: AbortSignal;
  readonly onProgress?: (progress: LearningProgress) => void;
}

/**
 * Does a task in a thread of its own. `learningThreads(clock)` of `run-learning.ts` is the one implementation.
 *
 * @throws ProbityError, of the codes that no second try changes: MF_SCHEMA_INCOMPATIBLE_WITH_RECIPE, MF_LEAKAGE_GUARD_VIOLATION,
 * MF_FEATURE_PINS_INCONSISTENT_ACROSS_SET, MF_AS_OF_INCONSISTENT_ACROSS_SET, MF_MATERIALIZATION_DIGEST_MISMATCH, MF_TRAINING_ROWS_INSUFFICIENT,
 * MF_RESOURCE_EXHAUSTED, MF_MODEL_UNSCORABLE; and MF_RUNTIME_CRASH, which may pass. A training that comes out otherwise the second time is no error:
 * its receipt says FAIL, for the reason NONDETERMINISM_GUARD_TRIGGERED
 * @throws the reason of the signal, once it is aborted
 */
export type RunLearning = (task: LearningTask, around: LearningSurroundings) => Promise<LearningResult>;
