import { readFileSync, writeFileSync } from 'node:fs';
import { canonicalJson } from '../../rails/canonical-json.js';
import { type Bundle, bundleDigest, BundleSchema, type OnnxModel } from '../../rails/model/bundle.schema.js';
import { digestBytes } from '../../rails/digest.js';
import { ProbityError } from '../../rails/errors/probity-error.js';
import { validatorOf } from '../../rails/validator.js';
import { OnnxRuntime } from '../../substrate/models/model-runtime.js';
import { EXIT, type ExitCode } from '../exit-codes.js';
import type { Terminal } from '../terminal.js';

export interface ModelImportFlags {
  readonly bundleId: string;
  readonly bundleVersion: number;
  readonly inputs: string;
  readonly group: readonly string[];
  readonly missing: string;
  readonly inputTensor: string;
  readonly outputTensor: string;
  readonly outputColumn?: number;
  readonly trainedOn: string;
  readonly datasetDigest: string;
  readonly out: string;
}

const bundles = validatorOf(BundleSchema, 'the bundle');

/** Makes a bundle of an ONNX file. The model is asked once before: what cannot be scored here is refused, and nothing is written. */
export async function importModel(file: string, flags: ModelImportFlags, terminal: Terminal): Promise<ExitCode> {
  const bundle = bundleOf(read(file), flags);
  await new OnnxRuntime().open(bundle.model as OnnxModel);
  const digest = bundleDigest(bundle);
  try {
    writeFileSync(flags.out, `${canonicalJson(bundle)}\n`, { flag: 'wx' });
  } catch (cause) {
    throw new ProbityError('CONFIG_INVALID', `${flags.out} cannot be written, or stands already`, { cause });
  }
  terminal.answer({ digest, file: flags.out }, [
    `Wrote ${flags.out}: ${bundle.bundle_id} version ${bundle.bundle_version}, digest ${digest}.`,
    `What it would have decided: probity counterfactual --run live --bundle ${flags.out}`,
    `Let the registry know it:   probity registry publish ${flags.out} --reason TEXT`,
  ]);
  return EXIT.OK;
}

function read(file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (cause) {
    throw new ProbityError('CONFIG_INVALID', `${file} cannot be read`, { cause });
  }
}

function bundleOf(file: Buffer, flags: ModelImportFlags): Bundle {
  const sha256 = digestBytes(file);
  const checked = bundles.check({
    bundle_id: flags.bundleId,
    bundle_version: flags.bundleVersion,
    compatibility: { feature_groups: flags.group.map(groupOf), input_contract: 'transaction.v1' },
    lineage: {
      trained_on: flags.trainedOn,
      recipe: `probity model import of the file ${sha256}`,
      dataset_digest: flags.datasetDigest,
    },
    model: {
      format: 'probity.onnx.v1',
      inputs: flags.inputs.split(',').map(inputOf),
      missing: flags.missing === 'NaN' ? 'NaN' : Number(flags.missing),
      file: { base64: file.toString('base64'), sha256 },
      input_tensor: flags.inputTensor,
      output_tensor: flags.outputTensor,
      ...(flags.outputColumn === undefined ? {} : { output_column: flags.outputColumn }),
    },
  });
  if (checked.ok) return checked.value;
  throw new ProbityError('CONFIG_INVALID', `the bundle${checked.fault.at} ${checked.fault.says}`);
}

/** `core_card@1` */
function groupOf(text: string): object {
  const [name, version] = text.split('@');
  return { name, version: Number(version) };
}

/** `features.card_count_1h`, in the order of the model's columns. */
function inputOf(text: string): object {
  const [source, name] = text.trim().split('.');
  return { source, name };
}
