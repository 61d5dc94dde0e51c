import { type Brand } from './brand.js';
import { digestCanonical, inOrder } from './canonical-json.js';
import { ProbityError } from './errors/probity-error.js';

/**
 * How an id is derived from what it identifies: sha-256 over the canonical JSON of
 * `{"recipe": "<name>.v<version>", …fields}`, as 64 hex digits.
 *
 * Ids are never joined strings. With `a:b` + `c` and `a` + `b:c` joined by colons two different things get one id, and
 * then the second is taken for a duplicate of the first and its evidence is dropped. In canonical JSON every field is
 * quoted under its own name, so that different fields are different texts.
 *
 * Name and version are part of what is hashed: the same fields under two recipes are two ids, and a changed recipe
 * never collides with what the old one made.
 */
export interface IdentityRecipe<Fields extends object, IdName extends string> {
  /** `ig.receipt.v1` */
  readonly name: string;
  /**
   * @throws ProbityError VALUE_INVALID when a field is missing or unknown, CANONICAL_FORM_INVALID for a value that is
   * not JSON. What is absent by design is `null`, so that it is hashed, too.
   */
  derive(fields: Fields): Brand<string, IdName>;
}

/** The id type of a recipe: `IdOf<typeof receiptId>`. */
export type IdOf<Recipe> = Recipe extends IdentityRecipe<never, infer IdName> ? Brand<string, IdName> : never;

/**
 * @param name the owner and the thing: `df.decision`
 * @param version from 1; raised with every change of the fields or of what they mean
 * @param fields each field's name with `true`: the compiler demands all of them and no others, and so does `derive`
 */
export function defineRecipe<Fields extends object & { recipe?: never }, IdName extends string = 'DerivedId'>(
  name: string,
  version: number,
  fields: { readonly [Name in keyof Fields]-?: true },
): IdentityRecipe<Fields, IdName> {
  if (!/^[a-z][a-z0-9_]*([.][a-z][a-z0-9_]*)+$/.test(name)) {
    throw new ProbityError('VALUE_INVALID', 'a recipe is named <owner>.<thing> in lower case');
  }
  if (!Number.isSafeInteger(version) || version < 1) {
    throw new ProbityError('VALUE_INVALID', `the version of recipe ${name} is a whole number from 1`);
  }
  const names = new Set(Object.keys(fields));
  if (names.size === 0 || names.has('recipe')) {
    throw new ProbityError('VALUE_INVALID', `recipe ${name} needs fields, and none of them may be called "recipe"`);
  }
  const recipe = `${name}.v${version}`;

  return {
    name: recipe,
    derive(values) {
      demandExactly(names, values, recipe);
      return digestCanonical(inOrder({ ...values, recipe })) as string as Brand<string, IdName>;
    },
  };
}

/** An optional field that is left out and one that is unknown would both make a second id for the same thing. */
function demandExactly(names: ReadonlySet<string>, values: object, recipe: string): void {
  const given = Object.keys(values);
  const missing = [...names].filter((name) => !Object.hasOwn(values, name));
  const unknown = given.filter((name) => !names.has(name));
  if (missing.length === 0 && unknown.length === 0) return;
  const faults = [...missing.map((name) => `lacks ${name}`), ...unknown.map((name) => `does not know ${name}`)];
  throw new ProbityError('VALUE_INVALID', `recipe ${recipe} ${faults.join(', ')}`);
}
