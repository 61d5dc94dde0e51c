import { defineErrors } from './error.js';

export const FEATURE_ERRORS = defineErrors({
  OFP_GROUP_UNKNOWN: {
    status: 422,
    retryable: false,
    title: 'There is no feature group of this name in the definitions in force.',
    remedy: 'Ask for groups that GET /v1/features/definitions lists.',
  },
  OFP_SUPERSEDED: {
    status: 503,
    retryable: true,
    title: 'Another process has taken over the feature plane.',
    remedy: 'Ask the process that runs the role now; this one serves nothing any more and may be stopped.',
  },
  OFP_CHECKPOINT_DAMAGED: {
    status: 503,
    retryable: false,
    title: 'A checkpoint of the feature state cannot be read.',
    remedy: 'Empty the tables of the schema ofp: the next start rebuilds the state from the bus.',
  },
});
