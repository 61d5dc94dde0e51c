import type { TSchema } from '@sinclair/typebox';
import type { JsonObject } from '../../../rails/canonical-json.js';
import { ProbityError } from '../../../rails/errors/probity-error.js';
import { type Validator, validatorOf } from '../../../rails/validator.js';
import type { Told } from '../operation-facts.js';

/** Thrown by a job that has to wait for others: it is looked at again with the next round, and holds up nobody meanwhile. */
export class JobWaits extends Error {}

export interface JobWork {
  readonly opId: string;
  /** Aborts when the job was cancelled, its lease is lost, or the process stops. */
  readonly signal: AbortSignal;
}

export interface JobFault {
  readonly code: string;
  readonly says: string;
}

/**
 * One kind of job. It may be run again from its beginning after a crash, so its effects are those of running it once. What it throws for good is a code
 * that is not retryable; everything else is tried again.
 */
export interface JobKind {
  readonly kind: string;
  /** One sentence for people. */
  readonly summary: string;
  readonly scope: TSchema;
  run(scope: JsonObject, work: JobWork): Promise<JsonObject>;
  /** Looks at what was done once more, by other means than those that did it. */
  verify(scope: JsonObject, outputs: JsonObject, work: JobWork): Promise<JsonObject>;
  /** Why a scope of the right form is not to be run; null when it may. */
  refuses?(scope: JsonObject): string | null;
  /** What it tells beside that it was done: facts in the transaction of its last step. */
  tells?(outputs: JsonObject, verified: JsonObject): readonly Told[];
  /** The same of one that failed. */
  tellsFailure?(scope: JsonObject, fault: JobFault): readonly Told[];
}

/** The kinds that there are. */
export class JobKinds {
  readonly #kinds: ReadonlyMap<string, { readonly kind: JobKind; readonly scope: Validator<JsonObject> }>;

  constructor(kinds: readonly JobKind[]) {
    this.#kinds = new Map(
      kinds.map((kind) => [
        kind.kind,
        { kind, scope: validatorOf<TSchema>(kind.scope, 'the scope') as Validator<JsonObject> },
      ]),
    );
  }

  list(): readonly { readonly kind: string; readonly summary: string; readonly scope: TSchema }[] {
    return [...this.#kinds.values()].map(({ kind: { kind, summary, scope } }) => ({ kind, summary, scope }));
  }

  find(name: string): JobKind | undefined {
    return this.#kinds.get(name)?.kind;
  }

  /** @throws OPS_JOB_INVALID for a kind or scope that is none: what is not declared in full is not run */
  demand(name: string, scope: JsonObject): JobKind {
    const found = this.#kinds.get(name);
    if (found === undefined)
      throw new ProbityError(
        'OPS_JOB_INVALID',
        `there is no job of this kind; there are ${[...this.#kinds.keys()].join(', ')}`,
      );
    const verdict = found.scope.check(scope);
    const why = verdict.ok ? (found.kind.refuses?.(scope) ?? null) : `${verdict.fault.at} ${verdict.fault.says}`;
    if (why === null) return found.kind;
    throw new ProbityError('OPS_JOB_INVALID', `scope${why}`);
  }
}
