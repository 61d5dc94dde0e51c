import { Type } from '@sinclair/typebox';
import { type Brand } from './brand.js';
import { DigestSchema, type Digest } from './digest.js';
import { ProbityError } from './errors/probity-error.js';
import { brandedText, closed, safeInteger, type Sealed } from './schema.js';
import { validatorOf } from './validator.js';

/** The key of an object in the platform's object store, prefix included: `ig/quarantine/…`. */
export type ObjectKey = Brand<string, 'ObjectKey'>;

/**
 * One rule that every store can hold, so that a key which works on a laptop works in production:
 * lower case only (a file system may not tell `A` from `a`); 200 bytes per segment (file names end at 255, and the files
 * adapter adds its own suffixes); no segment that begins with a dot (`.`, `..` and hidden files mean something else there);
 * no empty segment (S3 servers drop or refuse `//`); 900 bytes in all (S3 ends at 1,024, less a store's own prefix).
 */
const SEGMENT = '[a-z0-9_=-][a-z0-9._=-]{0,199}';
const OBJECT_KEY = `^${SEGMENT}(/${SEGMENT})*$`;
const OBJECT_KEY_FORM = new RegExp(OBJECT_KEY);
const OBJECT_KEY_BYTES_MAX = 900;

export const ObjectKeySchema = brandedText<ObjectKey>({
  pattern: OBJECT_KEY,
  maxLength: OBJECT_KEY_BYTES_MAX,
  description: 'key of an object: lower-case segments of 1 to 200 bytes, joined by slashes, 900 bytes in all',
});

export const RefSchema = closed(
  {
    locator: ObjectKeySchema,
    digest: closed({ algo: Type.Literal('sha256'), hex: DigestSchema }),
    size: safeInteger(0, 'bytes'),
    media_type: Type.String({
      pattern: '^[a-z0-9][a-z0-9!#$&^_.+-]*/[a-z0-9][a-z0-9!#$&^_.+-]*(; ?[a-z0-9-]+=[A-Za-z0-9._-]+)*$',
      maxLength: 127,
    }),
  },
  {
    description:
      'How a payload-sized thing travels (law R4): where it stands, what its bytes are, how many, which kind.',
  },
);

/** How a payload-sized thing travels (law R4): where it stands, what its bytes are, how many, and of which kind. */
export type Ref = Sealed<typeof RefSchema>;

const refs = validatorOf(RefSchema, 'the ref');

export function isObjectKey(value: unknown): value is ObjectKey {
  return typeof value === 'string' && value.length <= OBJECT_KEY_BYTES_MAX && OBJECT_KEY_FORM.test(value);
}

/** @throws ProbityError OBJECTS_KEY_INVALID */
export function objectKey(text: string): ObjectKey {
  if (isObjectKey(text)) return text;
  // The text may be a stranger's: cut and quoted, so that it cannot forge or flood a log line.
  throw new ProbityError('OBJECTS_KEY_INVALID', `${JSON.stringify(text.slice(0, 100))} is not an object key`);
}

/** @throws ProbityError VALUE_INVALID for a size or media type that no ref can have */
export function refTo(locator: ObjectKey, digest: Digest, size: number, mediaType: string): Ref {
  return refs.demand({ locator, digest: { algo: 'sha256', hex: digest }, size, media_type: mediaType });
}

/** @throws ProbityError VALUE_INVALID that names the place */
export function asRef(value: unknown): Ref {
  return refs.demand(value);
}
