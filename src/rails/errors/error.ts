/**
 * Every refusal of the platform is a code. A code says once, here and in docs/errors.md, what it means to the
 * caller: which HTTP status it travels as, whether the same call may succeed later, and what a person can do.
 * Units add their codes in a file of their own beside this one; `registry.ts` joins them.
 */
export interface ErrorSpec {
  /** HTTP status when the error crosses HTTP. */
  readonly status: number;
  /** True when the very same call may succeed later, without anybody changing it. */
  readonly retryable: boolean;
  /** One sentence: what happened. */
  readonly title: string;
  /** One sentence in the imperative: what the reader can do about it. */
  readonly remedy: string;
}

export type ErrorFamily = Readonly<Record<string, ErrorSpec>>;

/** Keeps the literal keys of a family, so that an unknown code does not compile. */
export function defineErrors<const Family extends ErrorFamily>(family: Family): Family {
  return family;
}
