import { defineErrors } from './error.js';

export const EDGE_ERRORS = defineErrors({
  EDGE_UNKNOWN: {
    status: 404,
    retryable: false,
    title: 'There is no edge for this caller.',
    remedy: 'List the caller under http in the policy edge.producers, then seal it: probity policy seal <file>.',
  },
  EDGE_RUN_NOT_LIVE: {
    status: 409,
    retryable: false,
    title: 'The run to which the edge is bound takes no pushed events.',
    remedy: 'Bind the edge to a live run: probity run start --live <equivalence key>.',
  },
  EDGE_POSITION_MOVED: {
    status: 409,
    retryable: true,
    title: 'Another member of the group has gone on with this partition.',
    remedy: 'Nothing is to be done: the batch is read again from the position that stands.',
  },
  EDGE_ANSWERS_TOO_MANY: {
    status: 413,
    retryable: false,
    title: 'The request has more transactions than one answer can list.',
    remedy: 'Send the rest, from the first that was not answered, in another request.',
  },
  EDGE_MAPPING_FAILED: {
    status: 422,
    retryable: false,
    title: 'The message cannot be made into a transaction.',
    remedy: 'Correct the message or the mapping; the detail names the place.',
  },
  EDGE_CLOUDEVENT_INVALID: {
    status: 422,
    retryable: false,
    title: 'The message is no CloudEvent of version 1.0 in JSON.',
    remedy: 'Send specversion 1.0 with id, source, type and data.',
  },
});
