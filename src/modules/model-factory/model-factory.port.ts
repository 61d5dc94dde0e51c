import type { Static } from '@sinclair/typebox';
import { DigestSchema } from '../../rails/digest.js';
import { RefSchema } from '../../rails/ref.js';
import { closed } from '../../rails/schema.js';
import type { CallContext } from '../../substrate/rpc/rpc.port.js';
import { defineContract } from '../../substrate/rpc/rpc-contract.js';
import { Type } from '@sinclair/typebox';
import {
  type RunStatus,
  RunStatusSchema,
  type TrainAnswer,
  TrainAnswerSchema,
  TrainRequestSchema,
} from './train-run.schema.js';

export const TrainingRunQuery = closed({ train_run_id: DigestSchema });
export const TrainingRequest = closed({
  request: TrainRequestSchema,
  /** Of `candidate_eval`: a bundle as JSON, wherever the caller put it. */
  candidate: Type.Optional(RefSchema),
});

/** Bundles made of datasets, judged by gates, and put before the registry where they pass. Nothing here becomes active. */
export abstract class ModelFactoryPort {
  /**
   * Accepts a run, once per request id; the same inputs are one run, whoever asks.
   * @throws MF_REQUEST_INVALID, MF_REQUEST_CONFLICT, MF_REF_NOT_FOUND, MF_MANIFEST_DIGEST_MISMATCH
   */
  abstract request(request: Static<typeof TrainingRequest>, context: CallContext): Promise<TrainAnswer>;
  /** @throws MF_RUN_NOT_FOUND */
  abstract run(request: Static<typeof TrainingRunQuery>, context: CallContext): Promise<RunStatus>;
}

export const MODEL_FACTORY_CONTRACT = defineContract('mf', {
  request: {
    request: TrainingRequest,
    response: TrainAnswerSchema,
    idempotent: true,
    permission: 'rpc.call:mf',
    summary: 'Requests a training or an evaluation, once per request id',
  },
  run: {
    request: TrainingRunQuery,
    response: RunStatusSchema,
    idempotent: true,
    permission: 'rpc.call:mf',
    summary: 'Where a run stands',
  },
});
