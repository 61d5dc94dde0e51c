import type { Static } from '@sinclair/typebox';
import { DigestSchema } from '../../rails/digest.js';
import { closed } from '../../rails/schema.js';
import type { CallContext } from '../../substrate/rpc/rpc.port.js';
import { defineContract } from '../../substrate/rpc/rpc-contract.js';
import {
  type BuildAnswer,
  BuildAnswerSchema,
  BuildIntentSchema,
  type BuildStatus,
  BuildStatusSchema,
  type DatasetReading,
  DatasetReadingSchema,
} from './dataset.schema.js';

export const DatasetQuery = closed({ dataset_manifest_id: DigestSchema });
export const BuildRequest = closed({ intent: BuildIntentSchema });
export { type DatasetManifest, type DatasetReading } from './dataset.schema.js';

/** Datasets that were rebuilt from the log, each proven to be what was served. */
export abstract class OfflineFeatureShadowPort {
  /**
   * Accepts a build, once per request id; the same plan is built once, whoever asks.
   * @throws OFS_INTENT_INVALID, OFS_REQUEST_CONFLICT, OFS_RUN_NOT_READY, OFS_BASIS_UNRESOLVED, OFS_FEATURE_PROFILE_UNRESOLVED, OFS_ASOF_SPEC_INVALID
   */
  abstract request(request: Static<typeof BuildRequest>, context: CallContext): Promise<BuildAnswer>;
  /** @throws OFS_DATASET_NOT_FOUND */
  abstract build(request: Static<typeof DatasetQuery>, context: CallContext): Promise<BuildStatus>;
  /**
   * The manifest, behind its PASS, after the digest of every file of the dataset was taken again.
   * @throws OFS_DATASET_NOT_FOUND, OFS_NO_PASS_NO_READ, OFS_MANIFEST_TAMPERED, OFS_MATERIALISATION_TAMPERED
   */
  abstract dataset(request: Static<typeof DatasetQuery>, context: CallContext): Promise<DatasetReading>;
}

export const OFFLINE_FEATURE_SHADOW_CONTRACT = defineContract('ofs', {
  request: {
    request: BuildRequest,
    response: BuildAnswerSchema,
    idempotent: true,
    permission: 'rpc.call:ofs',
    summary: 'Requests a dataset, once per request id',
  },
  build: {
    request: DatasetQuery,
    response: BuildStatusSchema,
    idempotent: true,
    permission: 'rpc.call:ofs',
    summary: 'Where a build stands',
  },
  dataset: {
    request: DatasetQuery,
    response: DatasetReadingSchema,
    idempotent: true,
    permission: 'rpc.call:ofs',
    summary: 'A dataset, verified',
  },
});
