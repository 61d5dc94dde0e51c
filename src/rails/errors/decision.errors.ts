import { defineErrors } from './error.js';

export const DECISION_ERRORS = defineErrors({
  DF_DECISION_NOT_FOUND: {
    status: 404,
    retryable: false,
    title: 'There is no decision of this id yet.',
    remedy: 'Ask again when its event has been admitted and judged; an id follows from pins, event and scope.',
  },
  DF_REQUEST_INVALID: {
    status: 422,
    retryable: false,
    title: 'The request for a decision cannot be understood.',
    remedy: 'Send {"transaction": {…}} or {"envelope": {…}}, and deadline_ms where the default does not fit.',
  },
  DF_NOT_ADMITTED: {
    status: 422,
    retryable: false,
    title: 'The event was not admitted, so there is nothing to decide.',
    remedy: 'The detail says why; see GET /v1/quarantine and docs/errors.md under Ingestion Gate.',
  },
  DF_VERIFICATION_NOT_FOUND: {
    status: 404,
    retryable: false,
    title: 'There is no verification of this id.',
    remedy: 'Start it again: a verification is kept by the process that ran it, for a while.',
  },
  DF_CANDIDATE_REFUSED: {
    status: 422,
    retryable: false,
    title: 'What a dry run is asked about cannot be decided with.',
    remedy: 'Correct what the detail points at; see docs/dry-run.md.',
  },
  DF_DRY_RUN_BUSY: {
    status: 409,
    retryable: true,
    title: 'Another dry run is under way in this process.',
    remedy: 'Wait until it is done: a process makes one at a time, since each holds the features of a run.',
  },
  DF_DRY_RUN_CONTROL_FAILED: {
    status: 500,
    retryable: false,
    title: 'A decision does not come out as it was recorded, with nothing changed.',
    remedy: 'Run probity verify on the run and find out why before anything is concluded from a dry run.',
  },
  DF_DRY_RUN_NOT_FOUND: {
    status: 404,
    retryable: false,
    title: 'There is no dry run of this id.',
    remedy: 'Start it again: a dry run is kept by the process that made it, for a while.',
  },
  DF_NOT_A_TRIGGER: {
    status: 422,
    retryable: false,
    title: 'Events of this type are admitted and not decided.',
    remedy: 'Send a type that the policy df.decision lists.',
  },
  DF_MODEL_RUNTIME_MISSING: {
    status: 422,
    retryable: false,
    title: 'An ONNX model is to score, and there is nothing here that runs it.',
    remedy:
      'Install the optional package where the program is: npm install --no-save onnxruntime-node --onnxruntime-node-install=skip. Or roll back to a bundle of another format: probity registry rollback.',
  },
  DF_MODEL_REFUSED: {
    status: 422,
    retryable: false,
    title: 'The ONNX model of a bundle cannot be used.',
    remedy:
      'The detail says why. It has one input tensor of the shape [rows, inputs] in single precision and an output with a probability; see docs/models.md.',
  },
});
