import { defineErrors } from './error.js';

export const GRAPH_ERRORS = defineErrors({
  IEG_SUPERSEDED: {
    status: 503,
    retryable: true,
    title: 'Another process keeps the identity graph now.',
    remedy: 'Run role ieg in one process; the one that started last answers.',
  },
  IEG_CHECKPOINT_DAMAGED: {
    status: 500,
    retryable: false,
    title: 'The checkpoint of the identity graph cannot be read.',
    remedy: 'It is derived: empty the tables of schema ieg, and the graph is rebuilt from the bus.',
  },
  IEG_SCOPE_UNKNOWN: {
    status: 404,
    retryable: false,
    title: 'Nothing of this run was applied to the graph yet.',
    remedy: 'Check the run; what was admitted just now is applied within a second or two.',
  },
  IEG_ENTITY_NOT_FOUND: {
    status: 404,
    retryable: false,
    title: 'No event of the run names this identifier.',
    remedy: 'Check type and id; events older than the horizon of the policy ieg.graph are let go.',
  },
  IEG_LAGGING: {
    status: 503,
    retryable: true,
    title: 'The graph has not reached the version that was asked for.',
    remedy: 'Ask again in a moment; the answer would be older than what you know already.',
  },
});
