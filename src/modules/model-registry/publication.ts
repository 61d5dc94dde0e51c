import { Injectable } from '@nestjs/common';
import { canonicalJson } from '../../rails/canonical-json.js';
import type { Digest } from '../../rails/digest.js';
import { ProbityError } from '../../rails/errors/probity-error.js';
import type { BundleManifest } from '../../rails/events/registry-fact.schema.js';
import { type Bundle, bundleDigest, bundleFaults, BundleSchema } from '../../rails/model/bundle.schema.js';
import { objectKey, type Ref } from '../../rails/ref.js';
import { ModelGateReceiptSchema } from '../../rails/registry/gate-receipt.schema.js';
import { validatorOf } from '../../rails/validator.js';
import { Objects } from '../../substrate/objects/objects.port.js';

/** A bundle with an ONNX file in it is the largest. */
const BUNDLE_BYTES_MAX = 12 * 1024 * 1024;
const RECEIPT_BYTES_MAX = 1024 * 1024;
const REPORT_BYTES_MAX = 64 * 1024 * 1024;

const bundles = validatorOf(BundleSchema, 'the bundle');
const receipts = validatorOf(ModelGateReceiptSchema, 'the receipt');

export type Evidence = BundleManifest['evidence'];

/** A bundle that is sound and stands among the registry's objects, with what speaks against putting it forward. */
export interface Registrable {
  readonly bundle: Bundle;
  readonly digest: Digest;
  readonly ref: Ref;
  readonly ineligible: readonly string[];
}

/** Looks a bundle and its evidence over before a version is registered. Whatever is refused here leaves no version behind. */
@Injectable()
export class Publication {
  constructor(private readonly objects: Objects) {}

  /** @throws MPR_BUNDLE_INVALID, OBJECTS_NOT_FOUND, OBJECTS_DIGEST_MISMATCH */
  async read(ref: Ref): Promise<unknown> {
    if (ref.size > BUNDLE_BYTES_MAX)
      throw new ProbityError('MPR_BUNDLE_INVALID', `a bundle has at most ${BUNDLE_BYTES_MAX} bytes, not ${ref.size}`);
    const bytes = await this.objects.read(ref, { bytesMax: BUNDLE_BYTES_MAX });
    try {
      return JSON.parse(bytes.toString('utf8')) as unknown;
    } catch (cause) {
      throw new ProbityError('MPR_BUNDLE_INVALID', 'it is no JSON', { cause });
    }
  }

  /**
   * Bytes first, then whatever names them: a crash in between leaves an object that nobody asks for.
   * @throws MPR_BUNDLE_INVALID, MPR_EVIDENCE_INVALID, OBJECTS_…
   */
  async take(raw: unknown, lineage: BundleManifest['lineage'], evidence: Evidence): Promise<Registrable> {
    const checked = bundles.check(raw);
    if (!checked.ok) throw new ProbityError('MPR_BUNDLE_INVALID', `${checked.fault.at || '/'} ${checked.fault.says}`);
    const bundle = checked.value;
    const [fault] = bundleFaults(bundle);
    if (fault !== undefined) throw new ProbityError('MPR_BUNDLE_INVALID', `${fault.pointer}: ${fault.sentence}`);
    const digest = bundleDigest(bundle);
    const ineligible = await this.#ineligible(digest, lineage, evidence);
    const { ref } = await this.objects.putIfAbsent(
      objectKey(`registry/bundles/${digest}`),
      Buffer.from(canonicalJson(bundle)),
      { mediaType: 'application/json', expect: digest },
    );
    return { bundle, digest, ref, ineligible };
  }

  /** Reads what stands there, so that a byte that was changed since is found before anybody relies on it. */
  async verify(ref: Ref): Promise<void> {
    await this.objects.read(ref, { bytesMax: BUNDLE_BYTES_MAX });
  }

  async #ineligible(
    digest: Digest,
    { train_run_id, dataset_manifests }: BundleManifest['lineage'],
    { eval_report, gate_receipt, shipped_by }: Evidence,
  ): Promise<readonly string[]> {
    if (eval_report !== undefined) await this.objects.read(eval_report, { bytesMax: REPORT_BYTES_MAX });
    const result = gate_receipt === undefined ? null : await this.#gates(gate_receipt, digest);
    if (shipped_by !== undefined) return [];
    return [
      ...(eval_report === undefined ? ['INELIGIBLE_EVAL_EVIDENCE_MISSING'] : []),
      ...(result === null ? ['INELIGIBLE_RECEIPT_MISSING'] : []),
      ...(result === 'FAIL' ? ['INELIGIBLE_POLICY_GATE_FAILED'] : []),
      ...(train_run_id === undefined || dataset_manifests.length === 0 ? ['INELIGIBLE_LINEAGE_MISSING'] : []),
    ];
  }

  async #gates(ref: Ref, digest: Digest): Promise<'PASS' | 'FAIL'> {
    const bytes = await this.objects.read(ref, { bytesMax: RECEIPT_BYTES_MAX });
    const checked = receipts.check(jsonOf(bytes));
    if (!checked.ok)
      throw new ProbityError('MPR_EVIDENCE_INVALID', `the receipt${checked.fault.at} ${checked.fault.says}`);
    const { bundle_digest, result, criteria } = checked.value;
    if (bundle_digest !== digest)
      throw new ProbityError('MPR_EVIDENCE_INVALID', `the receipt is of the bundle ${bundle_digest}, not of ${digest}`);
    if (result === 'PASS' && criteria.some(({ passed }) => !passed))
      throw new ProbityError('MPR_EVIDENCE_INVALID', 'the receipt says PASS, and one of its criteria did not');
    return result;
  }
}

function jsonOf(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8')) as unknown;
  } catch {
    return undefined;
  }
}
