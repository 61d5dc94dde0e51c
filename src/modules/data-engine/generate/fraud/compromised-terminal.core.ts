import { multiplied } from '../habits.core.js';
import { type Draft } from '../payload.core.js';
import { type Random, STREAM } from '../random.core.js';
import { type FraudParts, FraudProcess, type Instance, type Opening, type Phase } from './process.core.js';

/** A till or cash machine that somebody manipulated: for a time what is paid there is fraud, whoever pays. */
export class CompromisedTerminal extends FraudProcess<number> {
  /** By terminal: the process that holds it. */
  readonly #held = new Map<number, number>();
  readonly #instances = new Map<number, Instance<number>>();

  constructor(parts: FraudParts) {
    const { enabled, starts_per_1000_terminals_day: rate } = parts.pack.fraud.compromised_terminal;
    super('compromised_terminal', parts, enabled ? (rate * parts.merchants.shopTerminals.length) / 1_000 : 0);
  }

  protected open(random: Random, ordinal: number, day: number): Opening<number> | undefined {
    const { merchants, pack } = this.parts;
    const terminal = merchants.shopTerminals[random.below(merchants.shopTerminals.length)];
    if (terminal === undefined || this.#held.has(terminal)) return undefined;
    this.#held.set(terminal, ordinal);
    const { days_min, days_max } = pack.fraud.compromised_terminal;
    return { state: terminal, times: [], lastDay: day + random.between(days_min, days_max) - 1 };
  }

  /** Nothing is planned: it happens to what customers pay anyway. */
  fill(): Phase {
    return 'fraud';
  }

  protected override ended(instance: Instance<number>): void {
    this.#held.delete(instance.state);
    this.#instances.delete(instance.ordinal);
  }

  /** The process that makes this payment a fraud, if its terminal is held; the draft is changed accordingly. */
  affect(draft: Draft): Instance<number> | undefined {
    if (this.#held.size === 0 || draft.form !== 'shop' || draft.type === 'refund') return undefined;
    const ordinal = this.#held.get(draft.terminal);
    if (ordinal === undefined) return undefined;
    const { affected_share, amount_factor, magstripe_share } = this.parts.pack.fraud.compromised_terminal;
    const random = this.parts.random.at(STREAM.terminal, draft.high, draft.low);
    if (!random.chance(affected_share)) return undefined;
    if (random.chance(magstripe_share)) draft.entry = 'magstripe';
    const place = this.parts.places.at(this.parts.merchants.place(draft.merchant));
    if (draft.type === 'purchase') draft.amount = multiplied(draft.amount, amount_factor, place);
    return this.#instance(ordinal);
  }

  #instance(ordinal: number): Instance<number> | undefined {
    const known = this.#instances.get(ordinal);
    if (known !== undefined) return known;
    for (let place = 0; ; place += 1) {
      const instance = this.active(place);
      if (instance === undefined) return undefined;
      if (instance.ordinal !== ordinal) continue;
      this.#instances.set(ordinal, instance);
      return instance;
    }
  }
}
