import { defineErrors } from './error.js';

export const LABEL_ERRORS = defineErrors({
  LBL_FEED_NOT_FOUND: {
    status: 404,
    retryable: false,
    title: 'Nothing is known of labels of this run.',
    remedy: 'Ask for a run that is READY; its labels are looked for when READY is read from the control topic.',
  },
  LBL_ROW_INVALID: {
    status: 422,
    retryable: false,
    title: 'A sealed row of labels is whole, but not what labels are.',
    remedy: 'This is a defect of what made the world: keep the part as evidence, and make the world anew.',
  },
});
