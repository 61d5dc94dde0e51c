import { defineErrors } from './error.js';

/** Refusals of the pure laws: values that are not what their type promises. */
export const RAILS_ERRORS = defineErrors({
  VALUE_INVALID: {
    status: 400,
    retryable: false,
    title: 'A value is not of the form that its type demands.',
    remedy: 'Correct the value; the detail names the form.',
  },
  CANONICAL_FORM_INVALID: {
    status: 400,
    retryable: false,
    title: 'The value has no canonical JSON form.',
    remedy: 'Use only finite numbers, well-formed Unicode and plain objects.',
  },
  BASIS_INCOMPARABLE: {
    status: 409,
    retryable: false,
    title: 'Two bases of different topics cannot be compared or joined.',
    remedy: 'Compare bases of the same topics only.',
  },
  BASIS_REGRESSED: {
    status: 409,
    retryable: false,
    title: 'A watermark would go back.',
    remedy: 'Offsets are applied in order: load the stored basis again and go on from there.',
  },
  GATE_NOT_PASSED: {
    status: 409,
    retryable: false,
    title:
      'The artifact may not be read: its gate receipt is missing, is about another gate or scope, does not say PASS, or names other bytes.',
    remedy:
      'Read artifacts only with a PASS receipt of their own gate, scope and digest; the detail says which of them failed.',
  },
  MONEY_INVALID: {
    status: 400,
    retryable: false,
    title: 'The amount is not a whole number of minor units of a known currency.',
    remedy: 'Give the amount in minor units and the currency as its ISO 4217 code.',
  },
});
