import { defineErrors } from './error.js';

export const GOVERNANCE_ERRORS = defineErrors({
  OPS_POLICY_UNKNOWN: {
    status: 404,
    retryable: false,
    title: 'No unit reads a policy of this id.',
    remedy: 'List the policies (probity policy list) and name one of them.',
  },
  OPS_POLICY_INVALID: {
    status: 422,
    retryable: false,
    title: 'The policy would not be sound in force.',
    remedy: 'Correct the place that the detail names, and seal it again. What was in force stays.',
  },
  OPS_REVISION_USED: {
    status: 409,
    retryable: false,
    title: 'The revision does not follow on the highest one that is known.',
    remedy: 'Raise the revision above the one that the detail names, and seal it again.',
  },
  OPS_REVISION_UNKNOWN: {
    status: 404,
    retryable: false,
    title: 'This revision of the policy was never proposed or in force.',
    remedy: 'See probity policy history for the revisions that there are.',
  },
  OPS_STATE_FORBIDS: {
    status: 409,
    retryable: false,
    title: 'The state of the revision does not allow this.',
    remedy: 'The detail says who brought it there; see probity policy history.',
  },
  OPS_SELF_APPROVAL: {
    status: 403,
    retryable: false,
    title: 'Whoever proposed a revision does not approve it.',
    remedy: 'Ask somebody else who has the permission to approve.',
  },
  OPS_HEAD_MOVED: {
    status: 412,
    retryable: false,
    title: 'Somebody else changed what is in force since it was looked at.',
    remedy: 'Look again (probity policy show), and decide by what is in force now.',
  },
  OPS_NO_ROLLBACK_TARGET: {
    status: 409,
    retryable: false,
    title: 'There is nothing to go back to.',
    remedy: 'Name a revision that was in force before, or propose a new one.',
  },
  OPS_IDEMPOTENCY_CONFLICT: {
    status: 409,
    retryable: false,
    title: 'Something else was asked for under this idempotency key.',
    remedy: 'Use a key of its own for each command.',
  },
  OPS_ARTIFACT_UNKNOWN: {
    status: 404,
    retryable: false,
    title: 'The artifact of this revision was never kept.',
    remedy: 'Start the role ops once on the profile that holds it.',
  },
  OPS_ARTIFACT_TAMPERED: {
    status: 500,
    retryable: false,
    title: 'The bytes of a policy are not the ones that its digest names.',
    remedy:
      'Restore the object from a copy. Until then the revision cannot come into force; a higher revision in the profile takes its place.',
  },
  OPS_CHAIN_BROKEN: {
    status: 500,
    retryable: false,
    title: 'An activation does not follow on the one before it.',
    remedy: 'Restore the object that the detail names. Until then nothing that was activated later comes into force.',
  },
});
