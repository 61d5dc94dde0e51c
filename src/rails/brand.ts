/**
 * Nominal types on top of primitives, so that a digest cannot be passed where an id is wanted.
 * The tag exists for the compiler alone; at run time the value is the bare primitive.
 */
declare const tag: unique symbol;
export type Brand<Primitive, Name extends string> = Primitive & { readonly [tag]: Name };
