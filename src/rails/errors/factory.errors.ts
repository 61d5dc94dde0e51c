import { defineErrors } from './error.js';

export const FACTORY_ERRORS = defineErrors({
  MF_SCHEMA_INCOMPATIBLE_WITH_RECIPE: {
    status: 422,
    retryable: false,
    title: 'The datasets do not have what the recipe or the bundle reads.',
    remedy:
      'Name inputs that are columns of every dataset, or build the datasets with the feature groups that are missing.',
  },
  MF_LEAKAGE_GUARD_VIOLATION: {
    status: 422,
    retryable: false,
    title: 'The model would learn from what it is judged on, or from the answer itself.',
    remedy:
      'Let all rows that are judged on lie after those that are learnt from, and take no identifier, label or split as an input.',
  },
  MF_FEATURE_PINS_INCONSISTENT_ACROSS_SET: {
    status: 422,
    retryable: false,
    title: 'The datasets were not made by the same feature definitions.',
    remedy: 'Build them under one revision of ofp.features.',
  },
  MF_AS_OF_INCONSISTENT_ACROSS_SET: {
    status: 422,
    retryable: false,
    title: 'The labels of the datasets do not mean the same.',
    remedy:
      'Take one label type, rule and maturity for all, and no training labels that are later than those of the evaluation.',
  },
  MF_MISSING_AS_OF_BOUNDARY: {
    status: 422,
    retryable: false,
    title: 'A dataset has no labels as of a time.',
    remedy: 'Build it with a label specification.',
  },
  MF_MATERIALIZATION_DIGEST_MISMATCH: {
    status: 409,
    retryable: false,
    title: 'A file of a dataset is not the one that its manifest names.',
    remedy: 'Do not use the dataset; keep the file as evidence, and build the dataset anew.',
  },
  MF_TRAINING_ROWS_INSUFFICIENT: {
    status: 422,
    retryable: false,
    title: 'There are too few rows, or too few frauds, to learn from or to judge on.',
    remedy:
      'Take a longer range of time, a later as-of, or a maturity; the detail says how many there were and are wanted.',
  },
  MF_RESOURCE_EXHAUSTED: {
    status: 507,
    retryable: false,
    title: 'The training would take, or took, more than it may.',
    remedy: 'Take fewer rows or a smaller recipe, or raise the limits of the policy mf.factory.',
  },
  MF_RUNTIME_CRASH: {
    status: 503,
    retryable: true,
    title: 'The thread of a training ended before it had answered.',
    remedy: 'It is started again. Where it goes on failing, the detail and the log say what it met.',
  },
  MF_MODEL_UNSCORABLE: {
    status: 422,
    retryable: false,
    title: 'A model does not say a probability for every row, or cannot be opened here.',
    remedy: 'For ONNX models install onnxruntime-node beside the platform; otherwise correct the model.',
  },
  MF_REQUEST_INVALID: {
    status: 422,
    retryable: false,
    title: 'What was asked for is no training.',
    remedy: 'Correct the member that is named; docs/training.md says what each means.',
  },
  MF_REQUEST_CONFLICT: {
    status: 409,
    retryable: false,
    title: 'Something else was asked for under this request id.',
    remedy: 'Use a request id of its own for each request.',
  },
  MF_RUN_NOT_FOUND: {
    status: 404,
    retryable: false,
    title: 'There is no such training run.',
    remedy: 'List the runs: probity model list.',
  },
  MF_NOT_TRAINED: {
    status: 409,
    retryable: false,
    title: 'The run has no result.',
    remedy: 'Wait until it is EVAL_READY; a run that was rejected or cancelled before never has one.',
  },
  MF_NOT_CANCELLABLE: {
    status: 409,
    retryable: false,
    title: 'The run has ended, or is being published.',
    remedy: 'Nothing: what was published stays, and becomes active by nobody but a person.',
  },
  MF_REF_NOT_FOUND: {
    status: 422,
    retryable: false,
    title: 'There is no such dataset, or it has no manifest yet.',
    remedy: 'List the datasets, and wait until the build is DONE.',
  },
  MF_MISSING_DATASET_PASS_PROOF: {
    status: 409,
    retryable: false,
    title: 'The dataset has no receipt that says PASS.',
    remedy: 'Do not use it. Build the dataset anew under a plan of its own.',
  },
  MF_PASS_PROOF_DOES_NOT_BIND_MANIFEST: {
    status: 409,
    retryable: false,
    title: 'The receipt of the dataset is about other bytes than its manifest.',
    remedy: 'Do not use it; keep both as evidence, and build the dataset anew.',
  },
  MF_MANIFEST_DIGEST_MISMATCH: {
    status: 409,
    retryable: false,
    title: 'The manifest of the dataset is not the one that was named.',
    remedy: 'Do not use the dataset; keep the objects as evidence. Name the digest of the manifest that you mean.',
  },
  MF_BUNDLE_INVALID: {
    status: 422,
    retryable: false,
    title: 'A bundle cannot be read, or is not the one that was named.',
    remedy: 'Correct what the detail names; of a bundle that the registry holds, keep the object as evidence.',
  },
  MF_ARTIFACT_TAMPERED: {
    status: 409,
    retryable: false,
    title: 'A result of the run is not the one that was kept.',
    remedy: 'Do not use it; keep the objects as evidence.',
  },
  MF_CODE_RELEASE_GONE: {
    status: 409,
    retryable: false,
    title: 'The run was asked of another release of the program.',
    remedy: 'Ask again: it is a run of its own under this release.',
  },
});
