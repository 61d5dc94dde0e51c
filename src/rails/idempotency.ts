import { type Digest } from './digest.js';

/**
 * The one table that every writer keeps (law R6). An identity is what makes two offers the same thing; the content digest
 * says whether they say the same.
 *
 * | what stands under the identity | outcome   | what the writer does                                                  |
 * | ------------------------------ | --------- | --------------------------------------------------------------------- |
 * | nothing                        | NEW       | stores it and takes effect, once                                      |
 * | the same content               | DUPLICATE | no effect; answers with the first result                              |
 * | other content                  | CONFLICT  | no effect; the first stands, the second is quarantined with both digests |
 */
export type IdempotencyOutcome = 'NEW' | 'DUPLICATE' | 'CONFLICT';

/** @param standing the content digest that stands under the identity, undefined when nothing does */
export function judge(standing: Digest | undefined, offered: Digest): IdempotencyOutcome {
  if (standing === undefined) return 'NEW';
  return standing === offered ? 'DUPLICATE' : 'CONFLICT';
}

export interface Offer<Identity extends string = string> {
  readonly identity: Identity;
  readonly content: Digest;
}

export type Judgement =
  | { readonly outcome: 'NEW' }
  | {
      readonly outcome: 'DUPLICATE' | 'CONFLICT';
      /** The content that stands. */
      readonly standing: Digest;
      /** Which offer of this batch brought it; null when it stood before the batch. */
      readonly firstIndex: number | null;
    };

/**
 * The same for a whole batch, in its order, with one look-up before it: the outcome of each offer is what it would have been had they
 * come one by one. An offer that comes twice in one batch is NEW once; without that, one insert of the whole batch
 * would take effect twice or fail on its own rows.
 *
 * @param standing content digests of those identities that stand already; others may be left out
 */
export function judgeBatch<Identity extends string>(
  offers: readonly Offer<Identity>[],
  standing: ReadonlyMap<Identity, Digest>,
): readonly Judgement[] {
  const firstIndexes = new Map<Identity, number>();
  return offers.map(({ identity, content }, index) => {
    const firstIndex = firstIndexes.get(identity);
    const stands = standing.get(identity) ?? (firstIndex === undefined ? undefined : offers[firstIndex]?.content);
    const outcome = judge(stands, content);
    if (stands === undefined || outcome === 'NEW') {
      firstIndexes.set(identity, index);
      return { outcome: 'NEW' };
    }
    return { outcome, standing: stands, firstIndex: firstIndex ?? null };
  });
}
