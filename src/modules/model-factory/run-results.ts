import { Injectable } from '@nestjs/common';
import { canonicalJson } from '../../rails/canonical-json.js';
import { type Digest, digestBytes } from '../../rails/digest.js';
import { isProbityError, ProbityError } from '../../rails/errors/probity-error.js';
import { type ObjectKey, objectKey, type Ref } from '../../rails/ref.js';
import { type ModelGateReceipt, ModelGateReceiptSchema } from '../../rails/registry/gate-receipt.schema.js';
import { validatorOf } from '../../rails/validator.js';
import { Objects } from '../../substrate/objects/objects.port.js';
import type { LearningResult } from './learning/learning-task.js';
import { type Trained, TrainedSchema } from './train-run.schema.js';

const BYTES_MAX = 64 * 1024 * 1024;
const JSON_TYPE = 'application/json';
const HTML_TYPE = 'text/html';

const trainings = validatorOf(TrainedSchema, 'the record of a training');
const receipts = validatorOf(ModelGateReceiptSchema, 'the receipt');

/**
 * What trainings came to, as objects. Artifacts stand under their digest, so that two trainings of one run never mix; `trained.json` is put last, names them,
 * and is the moment at which a run is trained: whoever puts it first has trained it for everybody.
 */
@Injectable()
export class RunResults {
  constructor(private readonly objects: Objects) {}

  /** @returns what stands: another's, where that was first. @throws MF_ARTIFACT_TAMPERED; what may pass */
  async keep(
    runId: Digest,
    { bundle, bundle_digest, report, html, receipt, durations }: LearningResult,
  ): Promise<Trained> {
    const { bundle_id, bundle_version } = bundle;
    const trained: Trained = {
      train_run_id: runId,
      bundle: { bundle_id, bundle_version, digest: bundle_digest },
      result: receipt.result,
      reason_codes: receipt.reason_codes,
      artifacts: {
        bundle: await this.#put(runId, 'bundle', 'json', canonicalJson(bundle), JSON_TYPE),
        report: await this.#put(runId, 'report', 'json', canonicalJson(report), JSON_TYPE),
        report_html: await this.#put(runId, 'report', 'html', html, HTML_TYPE),
        gate_receipt: await this.#put(runId, 'receipt', 'json', canonicalJson(receipt), JSON_TYPE),
      },
      durations_ms: durations,
    };
    const bytes = Buffer.from(canonicalJson(trained));
    const { outcome } = await this.objects.putIfAbsent(trainedKey(runId), bytes, { mediaType: JSON_TYPE });
    return outcome === 'CONFLICT' ? ((await this.standing(runId)) ?? trained) : trained;
  }

  /** What the run came to before, if it did. @throws MF_ARTIFACT_TAMPERED; what may pass */
  async standing(runId: Digest): Promise<Trained | null> {
    const ref = await this.objects.head(trainedKey(runId));
    if (ref === null) return null;
    const trained = checkedIn(await this.read(ref), (document) => trainings.demand(document));
    if (trained.train_run_id === runId) return trained;
    throw new ProbityError('MF_ARTIFACT_TAMPERED', `${ref.locator} is about another run`);
  }

  /** Whether the receipt says PASS about these very bytes; everything that is going to be published is read again first. @throws MF_ARTIFACT_TAMPERED; what may pass */
  async demandPass({ bundle, artifacts }: Trained): Promise<void> {
    await this.read(artifacts.bundle);
    await this.read(artifacts.report);
    const receipt = await this.receipt(artifacts.gate_receipt);
    if (receipt.result !== 'PASS' || receipt.bundle_digest !== bundle.digest)
      throw new ProbityError('MF_ARTIFACT_TAMPERED', 'the receipt does not say PASS about this bundle');
  }

  async receipt(ref: Ref): Promise<ModelGateReceipt> {
    return checkedIn(await this.read(ref), (document) => receipts.demand(document));
  }

  /** The bytes that the ref names. @throws MF_ARTIFACT_TAMPERED; what may pass */
  async read(ref: Ref): Promise<Buffer> {
    try {
      return await this.objects.read(ref, { bytesMax: BYTES_MAX });
    } catch (cause) {
      if (!isProbityError(cause, 'OBJECTS_DIGEST_MISMATCH') && !isProbityError(cause, 'OBJECTS_NOT_FOUND')) throw cause;
      throw new ProbityError('MF_ARTIFACT_TAMPERED', `${ref.locator}: ${cause.detail}`, { cause });
    }
  }

  /** A bundle that came with a request, once by its bytes. */
  async putCandidate(text: string): Promise<Ref> {
    const bytes = Buffer.from(text);
    const key = objectKey(`mf/candidates/${digestBytes(bytes)}.json`);
    return (await this.objects.putIfAbsent(key, bytes, { mediaType: JSON_TYPE })).ref;
  }

  async #put(runId: Digest, name: string, suffix: string, text: string, mediaType: string): Promise<Ref> {
    const bytes = Buffer.from(text);
    const key = objectKey(`mf/runs/${runId}/${name}-${digestBytes(bytes)}.${suffix}`);
    return (await this.objects.putIfAbsent(key, bytes, { mediaType })).ref;
  }
}

function trainedKey(runId: Digest): ObjectKey {
  return objectKey(`mf/runs/${runId}/trained.json`);
}

function checkedIn<Value>(bytes: Buffer, demand: (document: unknown) => Value): Value {
  try {
    return demand(JSON.parse(bytes.toString('utf8')));
  } catch (cause) {
    throw new ProbityError('MF_ARTIFACT_TAMPERED', 'what stands there is not what it is to be', { cause });
  }
}
