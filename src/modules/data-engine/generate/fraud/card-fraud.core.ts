import { CASH_CATEGORY, CATEGORIES, RESOLD_CATEGORIES } from '../categories.js';
import { DAY_MS, MINUTE_MS } from '../calendar.core.js';
import { type Traits } from '../customers.core.js';
import { poisson } from '../exact-math.core.js';
import { lockerOf, priced } from '../habits.core.js';
import { exitAddress, homeAddress } from '../names.core.js';
import { type Draft } from '../payload.core.js';
import { type Random, STREAM } from '../random.core.js';
import { type FraudParts, FraudProcess, type Instance, type Opening, type Phase, within } from './process.core.js';

/** What somebody without a trade of their own buys: department stores. */
const ANYTHING = CATEGORIES.findIndex(({ mcc }) => mcc === '5311');
const GAMES = CATEGORIES.findIndex(({ mcc }) => mcc === '5816');

const perDay = (parts: FraudParts, enabled: boolean, per1000: number): number =>
  enabled ? (per1000 * parts.customers.count) / 1_000 : 0;

/** One payment far above what the customer usually pays. */
export class LargeAmount extends FraudProcess<number> {
  constructor(parts: FraudParts) {
    const { enabled, starts_per_1000_customers_day: rate } = parts.pack.fraud.large_amount;
    super('large_amount', parts, perDay(parts, enabled, rate));
  }

  protected open(random: Random, _ordinal: number, day: number): Opening<number> | undefined {
    const customer = this.victim(random, day);
    if (customer < 0) return undefined;
    return { state: customer, times: [day * DAY_MS + random.below(DAY_MS)] };
  }

  fill(instance: Instance<number>, step: number, draft: Draft, traits: Traits, day: number): Phase {
    const { customers, habits, pack } = this.parts;
    const random = this.rowRandom(instance, step);
    customers.describe(instance.state, traits);
    const trip = customers.trip(instance.state, day);
    const purpose = customers.purpose(traits.lifestyle, random.unit());
    const category = purpose < CASH_CATEGORY ? purpose : ANYTHING;
    const { amount_factor_min: low, amount_factor_max: high } = pack.fraud.large_amount;
    const factor = within(random, low, high);
    if (CATEGORIES[category]?.online === 1 || random.chance(0.5)) {
      habits.order(draft, random, traits, category, day, trip, factor);
    } else habits.visit(draft, random, traits, category, day, trip, factor);
    this.identify(draft, instance, step);
    return 'fraud';
  }
}

interface StolenCardState {
  readonly customer: number;
  readonly slot: number;
  readonly card: number;
}

/** A card's data are in other hands: for some days they order what can be sold, from a device and an address of their own. */
export class StolenCard extends FraudProcess<StolenCardState> {
  constructor(parts: FraudParts) {
    const { enabled, starts_per_1000_customers_day: rate } = parts.pack.fraud.stolen_card;
    super('stolen_card', parts, perDay(parts, enabled, rate));
  }

  protected open(random: Random, _ordinal: number, day: number): Opening<StolenCardState> | undefined {
    const { customers, cards, pack } = this.parts;
    const customer = this.victim(random, day);
    if (customer < 0) return undefined;
    const slot = random.chance(pack.customers.second_card_share * 0.3) ? 1 : 0;
    const { days_min, days_max, transactions_per_day } = pack.fraud.stolen_card;
    const days = random.between(days_min, days_max);
    // One at least: a card that nobody uses was not stolen as far as anybody could tell.
    const count = Math.max(1, poisson(random, transactions_per_day * days));
    const times = Array.from({ length: count }, () => day * DAY_MS + Math.floor(random.unit() * days * DAY_MS));
    const ownSlot = customers.hasSecondCard(customer) ? slot : 0;
    return { state: { customer, slot: ownSlot, card: cards.card(customer, ownSlot) }, times };
  }

  protected override goesOn({ state }: Instance<StolenCardState>): boolean {
    return this.parts.cards.card(state.customer, state.slot) === state.card;
  }

  fill(instance: Instance<StolenCardState>, step: number, draft: Draft, traits: Traits, day: number): Phase {
    const { customers, habits, pack, fixed } = this.parts;
    const { customer, slot, card } = instance.state;
    const random = this.rowRandom(instance, step);
    customers.describe(customer, traits);
    const category = RESOLD_CATEGORIES[random.below(RESOLD_CATEGORIES.length)] ?? ANYTHING;
    const { amount_factor_min: low, amount_factor_max: high } = pack.fraud.stolen_card;
    habits.order(draft, random, traits, category, day, -1, within(random, low, high));
    this.identify(draft, instance, step);
    draft.card = card;
    draft.cardSlot = slot;
    draft.device = this.thing(instance.ordinal, random.below(2));
    const word = fixed.word(STREAM.network, this.thing(instance.ordinal, 0), 0);
    draft.ip = random.chance(0.5) ? exitAddress(random.next()) : homeAddress(word);
    if (draft.shipping >= 0) {
      const drop = random.unit();
      if (drop < 0.55) draft.shipping = this.thing(instance.ordinal, 0);
      else if (drop < 0.85) draft.shipping = lockerOf(traits.place, random.next());
    }
    if (draft.channel === 'mobile_app') draft.channel = 'ecommerce';
    // Who has the number but not the telephone does not pass the second factor often.
    if (draft.entry === 'three_ds' && random.chance(0.8)) draft.entry = 'manual';
    return 'fraud';
  }
}

interface CardTestingState {
  readonly customers: Int32Array;
  readonly merchant: number;
}

/** Lists of card numbers are tried out with next to nothing, at one shop page, within minutes. */
export class CardTesting extends FraudProcess<CardTestingState> {
  constructor(parts: FraudParts) {
    const { enabled, starts_per_1000_customers_day: rate } = parts.pack.fraud.card_testing;
    super('card_testing', parts, perDay(parts, enabled, rate));
  }

  protected open(random: Random, _ordinal: number, day: number): Opening<CardTestingState> | undefined {
    const { merchants, pack, places } = this.parts;
    const { cards_min, cards_max, minutes_max } = pack.fraud.card_testing;
    const wanted = random.between(cards_min, cards_max);
    const victims = new Set<number>();
    for (let attempt = 0; attempt < wanted * 2 && victims.size < wanted; attempt += 1) {
      const customer = this.victim(random, day);
      if (customer >= 0) victims.add(customer);
    }
    if (victims.size === 0) return undefined;
    const shelf = merchants.pagesIn(GAMES, places.home(random.unit()));
    const merchant = shelf[random.below(Math.max(shelf.length, 1))] ?? 0;
    const start = day * DAY_MS + random.below(DAY_MS);
    const length = random.between(1, minutes_max) * MINUTE_MS;
    const times = Array.from(victims, () => start + random.below(length));
    return { state: { customers: Int32Array.from(victims), merchant }, times };
  }

  fill(instance: Instance<CardTestingState>, step: number, draft: Draft, traits: Traits, day: number): Phase {
    const { customers, habits, pack, merchants, places } = this.parts;
    const { merchant } = instance.state;
    const random = this.rowRandom(instance, step);
    const customer = instance.state.customers[step] ?? 0;
    customers.describe(customer, traits);
    habits.order(draft, random, traits, GAMES, day, -1, 1);
    this.identify(draft, instance, step);
    const place = places.at(merchants.place(merchant));
    const { zero_amount_share, amount_max_cents } = pack.fraud.card_testing;
    draft.merchant = merchant;
    draft.terminal = merchants.terminal(merchant, 0);
    draft.currency = place.currency;
    const nothing = random.chance(zero_amount_share);
    draft.type = nothing ? 'verification' : 'purchase';
    const amount = priced(random.unit() * amount_max_cents * place.priceLevel, place, false, 1);
    draft.amount = nothing ? 0 : amount;
    draft.channel = 'ecommerce';
    draft.entry = random.chance(0.9) ? 'manual' : 'credential_on_file';
    draft.device = this.thing(instance.ordinal, random.below(4));
    draft.ip = exitAddress(random.next());
    draft.shipping = -1;
    return 'fraud';
  }
}
