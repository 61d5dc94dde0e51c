import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { digestBytes, digestText } from '../../src/rails/digest.js';
import { type Bundle, bundleDigest } from '../../src/rails/model/bundle.schema.js';
import type { Bundles } from '../../src/rails/decision/policy.schema.js';
import type { Outside } from './door.js';

/** A bundle that reads the amount of a payment, and how many payments its card made within the hour. */
export function onnxBundle(file: Buffer, input_tensor = 'x'): Bundle {
  return {
    bundle_id: 'of-others',
    bundle_version: 1,
    compatibility: { feature_groups: [{ name: 'core_card', version: 1 }], input_contract: 'transaction.v1' },
    lineage: { trained_on: 'nothing', recipe: 'by hand', dataset_digest: digestText('nothing') },
    model: {
      format: 'probity.onnx.v1',
      inputs: [
        { source: 'event', name: 'amount_minor' },
        { source: 'features', name: 'card_count_1h' },
      ],
      missing: 0,
      file: { base64: file.toString('base64'), sha256: digestBytes(file) },
      input_tensor,
      output_tensor: 'probability',
    },
  };
}

export function activeBundle(bundle: Bundle): Bundles {
  return { active: { digest: bundleDigest(bundle), bundle }, shadow: [] };
}

/** A platform that ships this bundle, and with the package that scores it where its folder is given. */
export function scoredBy(bundle: Bundle, packages: string | null): Outside {
  return {
    introduce: (profile) => {
      const policy = join(profile.folder, 'policy', 'mpr.registry.yaml');
      const slots = ['primary', 'challenger'].map((name) => ({ name, needs: 'APPROVED' }));
      const shipped = [{ slot: 'primary', digest: bundleDigest(bundle), bundle }];
      const body = JSON.stringify({ four_eyes: false, slots, shipped });
      writeFileSync(
        policy,
        `policy_id: mpr.registry\nrevision: 1\ncontent_digest: '${'0'.repeat(64)}'\nbody: ${body}\n`,
      );
      return [policy];
    },
    env: packages === null ? {} : { NODE_PATH: packages },
  };
}
