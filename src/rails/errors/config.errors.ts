import { defineErrors } from './error.js';

/** Faults of what an operator wrote: each ends the program with exit code 2, the place of the fault and a remedy. */
export const CONFIG_ERRORS = defineErrors({
  CONFIG_UNREADABLE: {
    status: 500,
    retryable: false,
    title: 'A file of the profile cannot be read.',
    remedy: 'Check that the file exists, is readable and is YAML.',
  },
  CONFIG_INVALID: {
    status: 500,
    retryable: false,
    title: 'A file of the profile does not have the shape that its schema asks for.',
    remedy: 'Correct the named line; `probity check-config` shows all faults at once.',
  },
  CONFIG_KEY_UNKNOWN: {
    status: 500,
    retryable: false,
    title: 'A file of the profile has a key that no unit reads.',
    remedy: 'Correct its spelling or remove it.',
  },
  CONFIG_SECRET_INLINE: {
    status: 500,
    retryable: false,
    title: 'A secret stands in the profile in clear.',
    remedy: 'Write {env: NAME} or {file: PATH} in its place and change the secret: it has been seen.',
  },
  CONFIG_SECRET_MISSING: {
    status: 500,
    retryable: false,
    title: 'A secret that the profile refers to is not there.',
    remedy: 'Set the named environment variable or provide the named file.',
  },
  CONFIG_ROLE_UNKNOWN: {
    status: 500,
    retryable: false,
    title: 'No unit has this role.',
    remedy: 'Choose from `probity roles`.',
  },
  CONFIG_COMBINATION_REFUSED: {
    status: 500,
    retryable: false,
    title: 'These roles cannot run so with this profile.',
    remedy: 'The detail says what is missing.',
  },
  CONFIG_POLICY_CHANGED: {
    status: 500,
    retryable: false,
    title: 'A policy file was changed after its digest was taken.',
    remedy: 'Undo the change, or raise the revision and take the digest again with `probity policy seal`.',
  },
  CONFIG_PORT_IN_USE: {
    status: 500,
    retryable: false,
    title: 'The HTTP port is taken by another program.',
    remedy: 'Choose another with --port, or 0 for any free one.',
  },
  CONFIG_DATA_FOLDER: {
    status: 500,
    retryable: false,
    title: 'The data folder cannot be used.',
    remedy: 'Choose another with --data; the detail says what is wrong with this one.',
  },
});
