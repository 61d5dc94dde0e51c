import { defineErrors } from './error.js';

export const REGISTRY_ERRORS = defineErrors({
  MPR_BUNDLE_UNKNOWN: {
    status: 404,
    retryable: false,
    title: 'No such version of a bundle was published.',
    remedy: 'List the bundles, or publish it first.',
  },
  MPR_BUNDLE_INVALID: {
    status: 422,
    retryable: false,
    title: 'The bundle cannot be registered.',
    remedy: 'Correct what the detail names. Nothing was stored.',
  },
  MPR_EVIDENCE_INVALID: {
    status: 422,
    retryable: false,
    title: 'The evidence does not belong to the bundle, or cannot be read.',
    remedy: 'Send the receipt of the gates that judged these very bytes.',
  },
  MPR_IDENTITY_CONFLICT: {
    status: 409,
    retryable: false,
    title: 'Other content stands under this bundle id and version.',
    remedy: 'A version never changes: publish the bundle under another version.',
  },
  MPR_IDEMPOTENCY_CONFLICT: {
    status: 409,
    retryable: false,
    title: 'Something else was asked for under this idempotency key.',
    remedy: 'Use a key of its own for each command.',
  },
  MPR_STATE_FORBIDS: {
    status: 409,
    retryable: false,
    title: 'The state of the bundle does not allow this.',
    remedy: 'See probity registry show for its state and why.',
  },
  MPR_FOUR_EYES: {
    status: 403,
    retryable: false,
    title: 'Whoever published a bundle does not approve it.',
    remedy: 'Ask somebody else who has the permission to approve.',
  },
  MPR_CONFLICT: {
    status: 412,
    retryable: false,
    title: 'Somebody else changed what is active since it was looked at.',
    remedy: 'Look again (probity registry explain), and decide by what is active now.',
  },
  MPR_SLOT_UNKNOWN: {
    status: 422,
    retryable: false,
    title: 'There is no such slot.',
    remedy: 'Name one of slots in the policy mpr.registry.',
  },
  MPR_NO_ROLLBACK_TARGET: {
    status: 409,
    retryable: false,
    title: 'There is nothing to go back to.',
    remedy: 'Promote an approved version instead.',
  },
  MPR_PERSON_NEEDED: {
    status: 403,
    retryable: false,
    title: 'Only a person decides what is active.',
    remedy: 'Use the key or the token of a person.',
  },
  MPR_CURSOR_UNKNOWN: {
    status: 422,
    retryable: false,
    title: 'The registry has no fact of this number yet.',
    remedy: 'Ask as of a number that an answer named.',
  },
  MPR_AS_OF_IN_FUTURE: {
    status: 422,
    retryable: false,
    title: 'Nobody can say yet what will be active then.',
    remedy: 'Ask as of a time that has passed.',
  },
});
