import { digestCanonical } from '../../rails/canonical-json.js';
import type { Digest } from '../../rails/digest.js';
import { isProbityError, ProbityError } from '../../rails/errors/probity-error.js';
import { type ErrorCode, ERRORS } from '../../rails/errors/registry.js';
import { defineRecipe } from '../../rails/identity-recipe.js';
import type { RunState, TrainPlan, TrainRequest } from './train-run.schema.js';

const trainRunRecipe = defineRecipe<
  {
    kind: string;
    dataset_manifests: object;
    recipe_digest: Digest;
    gate_policy_digest: Digest;
    code_release: object;
    scope: object;
  },
  'TrainRunId'
>('mf.train_run', 1, {
  kind: true,
  dataset_manifests: true,
  recipe_digest: true,
  gate_policy_digest: true,
  code_release: true,
  scope: true,
});

/** Two runs with one id are one run: everything that has a meaning is in it, and no time. What is active is not: a run pins it when it starts. */
export function trainRunIdOf({ kind, datasets, recipe, candidate, policy, slot, code_release }: TrainPlan): Digest {
  return trainRunRecipe.derive({
    kind,
    dataset_manifests: datasets.map(({ role, manifest }) => ({ role, digest: manifest.digest.hex })),
    recipe_digest: candidate === null ? digestCanonical(recipe) : candidate.bundle.digest,
    gate_policy_digest: policy.policy_rev.content_digest,
    code_release,
    scope: { slot },
  }) as string as Digest;
}

/** Under one request id there is one of these. The id itself is not part of it. @param candidate digest of a bundle that came with it */
export function requestDigest({ request_id: _, ...request }: TrainRequest, candidate: Digest | null): Digest {
  return digestCanonical({ recipe_name: 'mf.request.v1', request, candidate });
}

/** Learn before judge, whatever the order of the request. */
export function inRoles<Each extends { readonly role: 'train' | 'eval' }>(datasets: readonly Each[]): readonly Each[] {
  return (['train', 'eval'] as const).flatMap((role) => datasets.filter((each) => each.role === role));
}

/** @throws MF_REQUEST_INVALID */
export function demandSound({ kind, datasets, recipe }: TrainRequest, hasCandidate: boolean): void {
  const fault = (says: string): never => {
    throw new ProbityError('MF_REQUEST_INVALID', says);
  };
  const roles = datasets.map(({ role }) => role);
  if (new Set(roles).size < roles.length) fault('of two datasets one is learnt from, and one is judged on');
  if (kind === 'baseline_train' && !roles.includes('train')) fault('a training needs a dataset to learn from');
  if (kind === 'baseline_train' && hasCandidate) fault('a training makes its own bundle: no candidate comes with it');
  if (kind === 'candidate_eval' && !hasCandidate) fault('an evaluation needs the bundle that is to be judged');
  if (kind === 'candidate_eval' && recipe !== undefined)
    fault('a candidate is judged as it is: no recipe comes with it');
}

const ENDED: ReadonlySet<RunState> = new Set([
  ...(['PUBLISHED', 'REJECTED_INPUTS', 'FAILED_GATES', 'FAILED_CONFLICT'] as const),
  ...(['FAILED_RETRY_EXHAUSTED', 'CANCELLED'] as const),
]);

export function hasEnded(state: RunState): boolean {
  return ENDED.has(state);
}

/** Nothing more happens by itself. */
export function isAtRest(state: RunState, publish: boolean): boolean {
  return hasEnded(state) || (state === 'GATED' && !publish);
}

/** Ends that asking again may change: what was in the way may be gone. The gates judge the same bytes in the same way for ever. */
export function mayBeTriedAgain(state: RunState): boolean {
  return state === 'REJECTED_INPUTS' || state === 'FAILED_RETRY_EXHAUSTED' || state === 'CANCELLED';
}

/** Nobody knows any more whether the registry has it, so it ends by itself. */
export function isCancellable(state: RunState): boolean {
  return !hasEnded(state) && state !== 'PUBLISH_PENDING';
}

const ON_THE_WAY: readonly RunState[] = [
  ...(['QUEUED', 'RESOLVING', 'TRAINING', 'EVAL_READY', 'GATED', 'PUBLISH_PENDING'] as const),
];

/** Whether a run goes on to that state: one that is taken up again does not go back. */
export function isForward(from: RunState, to: RunState): boolean {
  return hasEnded(to) || ON_THE_WAY.indexOf(to) > ON_THE_WAY.indexOf(from);
}

/** What the shadow refuses, by the name that the factory has for it (law R3). */
const REJECTS: Partial<Readonly<Record<ErrorCode, ErrorCode>>> = {
  OFS_DATASET_NOT_FOUND: 'MF_REF_NOT_FOUND',
  OFS_NO_PASS_NO_READ: 'MF_MISSING_DATASET_PASS_PROOF',
  OFS_MANIFEST_TAMPERED: 'MF_MANIFEST_DIGEST_MISMATCH',
  OFS_MATERIALISATION_TAMPERED: 'MF_MATERIALIZATION_DIGEST_MISMATCH',
};

/** @returns the error as the factory names it; every other one as it is */
export function asReject(error: unknown): unknown {
  if (!isProbityError(error)) return error;
  const code = REJECTS[error.code];
  return code === undefined ? error : new ProbityError(code, error.detail, { cause: error });
}

/** How a run goes on after a failure: later, or not at all. */
export type Consequence =
  | { readonly kind: 'later'; readonly code: string }
  | { readonly kind: 'end'; readonly state: RunState; readonly code: string };

/** Failures in a row of a thread, and of other kinds than the named ones, before nobody believes any more that they pass. */
const TRIES_OF_DEFECTS = 3;

/**
 * @param tries that came to nothing before this one, in a row
 * @param triesMax how often what may pass is tried
 */
export function consequenceOf(error: unknown, state: RunState, tries: number, triesMax: number): Consequence {
  const code = isProbityError(error) ? error.code : 'INTERNAL';
  const mayPass = !isProbityError(error) || ERRORS[error.code].retryable;
  if (mayPass) {
    const most = code === 'INTERNAL' || code === 'MF_RUNTIME_CRASH' ? Math.min(TRIES_OF_DEFECTS, triesMax) : triesMax;
    return tries + 1 < most ? { kind: 'later', code } : { kind: 'end', state: 'FAILED_RETRY_EXHAUSTED', code };
  }
  const isTrained = state === 'EVAL_READY' || state === 'GATED' || state === 'PUBLISH_PENDING';
  return { kind: 'end', state: isTrained ? 'FAILED_CONFLICT' : 'REJECTED_INPUTS', code };
}

/** Doubling from the first to the most. */
export function backOffMs(tries: number, firstMs: number, mostMs: number): number {
  return Math.min(firstMs * 2 ** Math.min(tries, 20), mostMs);
}
