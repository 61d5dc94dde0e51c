import { DAY_MS } from './calendar.core.js';
import { type Normal } from './exact-math.core.js';
import { type FraudKind, type Pack } from './pack.core.js';
import { type Draft } from './payload.core.js';
import { type Random, STREAM } from './random.core.js';

/** What became known of a payment. */
export interface Knowledge {
  readonly isFraud: boolean;
  readonly kind: FraudKind | undefined;
  /** Milliseconds from the beginning of the window; never before the payment. */
  readonly atMs: number;
}

/** What a customer who is wrong, or lies, says of a payment of this form. */
const CLAIMS: Readonly<Record<Draft['form'], FraudKind>> = {
  shop: 'compromised_terminal',
  page: 'stolen_card',
  standing: 'stolen_card',
  account: 'account_takeover',
};

/**
 * Labels as a bank has them: late, incomplete, sometimes wrong. A wrong label looks like a right one. Each hangs on its
 * payment's identity alone.
 */
export class Labels {
  readonly #pack: Pack['labels'];
  readonly #random: Random;
  readonly #normal: Normal;

  constructor(pack: Pack['labels'], random: Random, normal: Normal) {
    this.#pack = pack;
    this.#random = random;
    this.#normal = normal;
  }

  /** @param truth the kind of fraud that it really is, or undefined */
  of(draft: Draft, ms: number, truth: FraudKind | undefined): Knowledge | undefined {
    const random = this.#random.at(STREAM.label, draft.high, draft.low);
    const pack = this.#pack;
    const share = random.unit();
    if (truth !== undefined) {
      if (share < pack.missing_share) return undefined;
      if (share < pack.missing_share + pack.dismissed_share) return this.#known(random, ms, undefined);
      return this.#known(random, ms, truth);
    }
    if (share < pack.false_claim_share) return this.#known(random, ms, CLAIMS[draft.form]);
    if (share < pack.false_claim_share + pack.confirmed_share) return this.#known(random, ms, undefined);
    return undefined;
  }

  #known(random: Random, ms: number, kind: FraudKind | undefined): Knowledge {
    const { median_days, sigma, days_max } = this.#pack.delays[kind ?? 'legitimate'];
    const days = Math.min(median_days * this.#normal.factor(random.unit(), sigma), days_max);
    return { isFraud: kind !== undefined, kind, atMs: ms + Math.floor(days * DAY_MS) };
  }
}
