import { Type, type ObjectOptions, type Static, type TObject, type TProperties, type TSchema } from '@sinclair/typebox';
import { type TInteger, type TUnsafe } from '@sinclair/typebox';

/**
 * A schema is the single source of three things: the TypeScript type (`Sealed`), the compiled validator
 * (validator.ts) and the JSON Schema under contracts/. These helpers keep the three in step.
 */
export type Frozen<T> = T extends string | number | boolean | null | undefined
  ? T
  : T extends readonly (infer Element)[]
    ? readonly Frozen<Element>[]
    : T extends object
      ? { readonly [Key in keyof T]: Frozen<T[Key]> }
      : T;

/** The type of the values that a schema accepts, readonly all the way down: rails never change what they are given. */
export type Sealed<Schema extends TSchema> = Frozen<Static<Schema>>;

export interface TextOptions {
  readonly pattern: string;
  readonly description: string;
  readonly format?: string;
  readonly maxLength?: number;
  readonly not?: object;
}

/**
 * A branded text. Patterns keep to the subset that ECMAScript, RE2, Python and Java read alike (no look-around, no \d,
 * which is Unicode-wide in some of them), because others validate with the published schema.
 */
export function brandedText<Text extends string>(options: TextOptions): TUnsafe<Text> {
  return Type.Unsafe<Text>({ type: 'string', ...options });
}

/** An object that has the named members and no others. */
export function closed<Properties extends TProperties>(
  properties: Properties,
  options: ObjectOptions = {},
): TObject<Properties> {
  return Type.Object(properties, { ...options, additionalProperties: false });
}

/**
 * A whole number from `minimum` to 2^53 − 1. Beyond that JSON numbers are read differently by different programs, so that
 * two readers could disagree about which record an offset names.
 */
export function safeInteger(minimum: number, description: string): TInteger {
  return Type.Integer({ minimum, maximum: Number.MAX_SAFE_INTEGER, description });
}
