import { Injectable } from '@nestjs/common';
import { canonicalJson, digestCanonical } from '../../rails/canonical-json.js';
import { type Digest, digestBytes } from '../../rails/digest.js';
import { type ErrorCode } from '../../rails/errors/registry.js';
import { isProbityError, ProbityError } from '../../rails/errors/probity-error.js';
import { asGateReceipt, demandPass, type GateReceipt } from '../../rails/gate.js';
import type { Ref } from '../../rails/ref.js';
import { validatorOf } from '../../rails/validator.js';
import { Objects } from '../../substrate/objects/objects.port.js';
import { planIdOf } from './build-plan.core.js';
import { datasetKey } from './dataset-build.js';
import {
  type Built,
  type BuildPlan,
  DATASET_GATE,
  type DatasetManifest,
  DatasetManifestSchema,
  type DatasetReading,
} from './dataset.schema.js';

const manifests = validatorOf(DatasetManifestSchema, 'the manifest');
const JSON_TYPE = { mediaType: 'application/json' } as const;

/** The objects that a dataset is: receipts under the digest that they are about, and one manifest, which is the moment at which it exists. */
@Injectable()
export class DatasetObjects {
  constructor(private readonly objects: Objects) {}

  /**
   * Publishes once: what stands already is the dataset, if it is whole.
   * @throws OFS_COMMIT_CONFLICT where what stands is of another content
   */
  async publish(planId: Digest, plan: BuildPlan, built: Built): Promise<Ref> {
    const content = {
      dataset_manifest_id: planId,
      plan,
      join: { key: 'event_id', order: 'ts_utc, event_id' } as const,
      built,
    };
    const manifest: DatasetManifest = { ...content, dataset_fingerprint: fingerprintOf(content) };
    const bytes = Buffer.from(canonicalJson(manifest));
    const digest = digestBytes(bytes);
    const receipt: GateReceipt = {
      gate_id: DATASET_GATE as GateReceipt['gate_id'],
      status: 'PASS',
      scope: scopeOf(planId),
      artifact_digest: digest,
      evidence: built.materialisations.map(({ ref }) => ref),
      reason_codes: [`PARITY_${built.parity.outcome}`],
    };
    await this.objects.putIfAbsent(receiptKey(planId, digest), Buffer.from(canonicalJson(receipt)), JSON_TYPE);
    const { outcome, ref } = await this.objects.putIfAbsent(datasetKey(planId, 'manifest.json'), bytes, JSON_TYPE);
    if (outcome !== 'CONFLICT') return ref;
    // Another builder was first. Its labels may stand on a later number of the ledger, which says the same; its rows are these, or one of us is wrong.
    const { manifest: standing } = await this.read(planId);
    const rows = ({ built: { materialisations } }: DatasetManifest): string => canonicalJson(materialisations);
    if (rows(standing) === rows(manifest)) return ref;
    throw new ProbityError('OFS_COMMIT_CONFLICT', 'another builder published other rows under this plan');
  }

  /**
   * @param published what the record of builds names, where it is at hand
   * @throws OFS_DATASET_NOT_FOUND, OFS_MANIFEST_TAMPERED, OFS_NO_PASS_NO_READ
   */
  async read(planId: Digest, published?: Ref): Promise<DatasetReading> {
    const ref = published ?? (await this.objects.head(datasetKey(planId, 'manifest.json')));
    if (ref === null) throw new ProbityError('OFS_DATASET_NOT_FOUND', 'no manifest stands under this id');
    const bytes = await named('OFS_MANIFEST_TAMPERED', async () => await this.objects.read(ref));
    const manifest = manifestIn(bytes);
    const { dataset_fingerprint, ...content } = manifest;
    if (planIdOf(manifest.plan) !== planId || manifest.dataset_manifest_id !== planId)
      throw new ProbityError('OFS_MANIFEST_TAMPERED', 'the manifest is that of another plan');
    if (fingerprintOf(content) !== dataset_fingerprint)
      throw new ProbityError('OFS_MANIFEST_TAMPERED', 'the manifest is not what its fingerprint names');
    const receipt = await this.#receiptOf(planId, ref);
    return {
      manifest,
      manifest_ref: ref,
      receipt,
    };
  }

  /** And the digest of every file of it. @throws OFS_MATERIALISATION_TAMPERED beside the above */
  async verified(planId: Digest, published?: Ref): Promise<DatasetReading> {
    const reading = await this.read(planId, published);
    for (const { ref } of reading.manifest.built.materialisations)
      await named('OFS_MATERIALISATION_TAMPERED', async () => {
        // Nothing to do with a piece: the store takes the digest, and says so at the end.
        for await (const _piece of this.objects.open(ref));
      });
    return reading;
  }

  open(ref: Ref): AsyncIterable<Uint8Array> {
    return this.objects.open(ref);
  }

  async #receiptOf(planId: Digest, ref: Ref): Promise<GateReceipt> {
    try {
      const at = await this.objects.head(receiptKey(planId, ref.digest.hex));
      const receipt = at === null ? null : asGateReceipt(JSON.parse((await this.objects.read(at)).toString('utf8')));
      demandPass(receipt, ref, { gate_id: DATASET_GATE, scope: scopeOf(planId) });
      if (receipt !== null) return receipt;
    } catch (error) {
      if (isProbityError(error, 'OBJECTS_UNAVAILABLE')) throw error;
      throw new ProbityError(
        'OFS_NO_PASS_NO_READ',
        error instanceof Error ? error.message : 'the receipt is no receipt',
        {
          cause: error,
        },
      );
    }
    throw new ProbityError('OFS_NO_PASS_NO_READ', 'there is no receipt');
  }
}

function fingerprintOf(content: Omit<DatasetManifest, 'dataset_fingerprint'>): Digest {
  return digestCanonical({ recipe: 'ofs.dataset.v1', ...content });
}

function scopeOf(planId: Digest): GateReceipt['scope'] {
  return { dataset_manifest_id: planId };
}

function receiptKey(planId: Digest, digest: string) {
  return datasetKey(planId, `receipts/${digest}.json`);
}

function manifestIn(bytes: Buffer): DatasetManifest {
  try {
    return manifests.demand(JSON.parse(bytes.toString('utf8')));
  } catch (cause) {
    throw new ProbityError('OFS_MANIFEST_TAMPERED', 'what stands there is no manifest', { cause });
  }
}

async function named<Result>(code: ErrorCode, work: () => Promise<Result>): Promise<Result> {
  try {
    return await work();
  } catch (cause) {
    if (isProbityError(cause, 'OBJECTS_DIGEST_MISMATCH') || isProbityError(cause, 'OBJECTS_NOT_FOUND'))
      throw new ProbityError(code, cause.detail, { cause });
    throw cause;
  }
}
