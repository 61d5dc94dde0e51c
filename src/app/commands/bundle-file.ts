import { readFileSync } from 'node:fs';
import { ProbityError } from '../../rails/errors/probity-error.js';
import { type Bundle, bundleFaults, BundleSchema } from '../../rails/model/bundle.schema.js';
import { validatorOf } from '../../rails/validator.js';

const bundles = validatorOf(BundleSchema, 'the bundle');

/** A bundle as JSON. @throws CONFIG_INVALID for a file that is none, and says where */
export function readBundle(file: string): Bundle {
  let raw: unknown;
  try {
    raw = JSON.parse(readFileSync(file, 'utf8'));
  } catch (cause) {
    throw new ProbityError('CONFIG_INVALID', `${file} cannot be read as JSON`, { cause });
  }
  const checked = bundles.check(raw);
  if (!checked.ok)
    throw new ProbityError('CONFIG_INVALID', `${file}: ${checked.fault.at || '/'} ${checked.fault.says}`);
  const [fault] = bundleFaults(checked.value);
  if (fault !== undefined) throw new ProbityError('CONFIG_INVALID', `${file}: ${fault.pointer}: ${fault.sentence}`);
  return checked.value;
}
