import { defineErrors } from './error.js';

export const DATASET_ERRORS = defineErrors({
  OFS_INTENT_INVALID: {
    status: 422,
    retryable: false,
    title: 'What was asked for is no dataset.',
    remedy: 'Correct the member that is named; docs/datasets.md says what each means.',
  },
  OFS_REQUEST_CONFLICT: {
    status: 409,
    retryable: false,
    title: 'Something else was asked for under this request id.',
    remedy: 'Use a request id of its own for each intent.',
  },
  OFS_RUN_NOT_READY: {
    status: 409,
    retryable: true,
    title: 'The run is not READY.',
    remedy: 'Wait until it is, or correct the run.',
  },
  OFS_BASIS_UNRESOLVED: {
    status: 422,
    retryable: false,
    title: 'The basis names offsets that the log does not have.',
    remedy: 'Name offsets at or below the high water of each partition, or ask for the head.',
  },
  OFS_REPLAY_BASIS_GAP: {
    status: 409,
    retryable: false,
    title: 'A part of the log that the basis needs is gone.',
    remedy: 'Begin where the log still begins, knowing that features then miss what came before.',
  },
  OFS_ARCHIVE_GAP: {
    status: 409,
    retryable: false,
    title: 'A part of the log that the basis needs is neither on the bus nor in the archive.',
    remedy:
      'The detail names topic, partition and offsets. Restore the chunk, or begin behind it, knowing what features then miss.',
  },
  OFS_REPLAY_BASIS_MISMATCH: {
    status: 409,
    retryable: false,
    title: 'Bus and archive hold different records at one offset.',
    remedy:
      'The detail names it. Nothing was published; find out which of the two was changed: probity archive verify, probity verify audit.',
  },
  OFS_FEATURE_PROFILE_UNRESOLVED: {
    status: 422,
    retryable: false,
    title: 'The feature definitions or groups that were named are not in force.',
    remedy: 'Name groups of the policy ofp.features, or bring the revision that the plan names into force again.',
  },
  OFS_ASOF_SPEC_INVALID: {
    status: 422,
    retryable: false,
    title: 'The time as of which labels are to be known cannot be asked about.',
    remedy: 'Name a time that has passed.',
  },
  OFS_UNSATISFIABLE: {
    status: 422,
    retryable: false,
    title: 'Nothing in the log is what the dataset is to be made of.',
    remedy: 'Widen the range of time, the basis or the sample.',
  },
  OFS_COVERAGE_BELOW_THRESHOLD: {
    status: 409,
    retryable: false,
    title: 'Too few of the payments have a label.',
    remedy: 'Take a later as-of time or earlier payments, or ask for less coverage.',
  },
  OFS_PARITY_MISMATCH: {
    status: 409,
    retryable: false,
    title: 'What was rebuilt is not what was served.',
    remedy:
      'Nothing was published. The state of the build names decisions and fields; find out which of the two is right.',
  },
  OFS_VALUE_TOO_LARGE: {
    status: 422,
    retryable: false,
    title: 'A value does not fit into 64 bits.',
    remedy: 'Give the feature a smaller scale.',
  },
  OFS_DATASET_NOT_FOUND: {
    status: 404,
    retryable: false,
    title: 'There is no such dataset.',
    remedy: 'List the datasets; a build that has not ended has none yet.',
  },
  OFS_NOT_CANCELLABLE: {
    status: 409,
    retryable: false,
    title: 'The build has ended.',
    remedy: 'Nothing: what was published stays.',
  },
  OFS_NO_PASS_NO_READ: {
    status: 409,
    retryable: false,
    title: 'The artifact has no receipt that says PASS about these bytes.',
    remedy: 'Do not use it. Build the dataset anew under a plan of its own.',
  },
  OFS_MANIFEST_TAMPERED: {
    status: 409,
    retryable: false,
    title: 'The manifest is not the one that was published.',
    remedy: 'Do not use the dataset; keep the objects as evidence.',
  },
  OFS_MATERIALISATION_TAMPERED: {
    status: 409,
    retryable: false,
    title: 'A file of the dataset is not the one that the manifest names.',
    remedy: 'Do not use the dataset; keep the objects as evidence.',
  },
  OFS_COMMIT_CONFLICT: {
    status: 409,
    retryable: false,
    title: 'The same plan came out otherwise than before.',
    remedy: 'This is a defect of the program: keep both as evidence, and report it.',
  },
  OFS_WORKER_FAILED: {
    status: 503,
    retryable: true,
    title: 'A process of the build ended before it had answered.',
    remedy: 'It is started again. Where it goes on failing, look at memory and the temporary folder.',
  },
});
