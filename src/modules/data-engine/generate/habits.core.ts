import { type Cards } from './cards.core.js';
import { CASH_CATEGORY, CATEGORIES, SUBSCRIPTION_CATEGORIES } from './categories.js';
import { TOP_UP, TRANSFER, TRANSFER_MEDIAN_CENTS, TRANSFER_SIGMA } from './categories.js';
import { type Customers, type Traits } from './customers.core.js';
import { type Normal } from './exact-math.core.js';
import { type Merchants } from './merchants.core.js';
import { exitAddress, homeAddress, mobileAddress, officeAddress, OUTSIDE } from './names.core.js';
import { type Pack } from './pack.core.js';
import { type Draft } from './payload.core.js';
import { type Place, type Places } from './places.core.js';
import { type Random, STREAM } from './random.core.js';

/** The world's parts that a payment is made of. */
export interface WorldParts {
  readonly pack: Pack;
  readonly normal: Normal;
  readonly places: Places;
  readonly customers: Customers;
  readonly merchants: Merchants;
  readonly cards: Cards;
}

/** Shops of a trade that a customer goes to again and again. */
const FAVOURITES = 3;
const FAVOURITE_SHARE = 0.72;
const DAY_TRIP_SHARE = 0.03;
/** Behind the numbers of journeys in the stream that both share. */
const DAY_TRIPS = 1_048_576;
const PAYEES = 5;
const BILLERS = 200;
const EXTERNAL_ACCOUNTS = 16_777_216;
/** Above this, in euro cents at price level 1, a card wants its chip read. */
const CONTACTLESS_MAX_CENTS = 5_000;
const PRICE_ENDINGS: readonly number[] = [1, 1, 1, 5, 51, 0];
const SUBSCRIPTION_SIGMA = 0.4;
const HOME_NETWORK_DAYS = 120;

/**
 * How people pay. Each method fills a draft with what this customer would do, drawing from the row's own stream; the
 * processes of fraud begin with such a draft and change what they change.
 */
export class Habits {
  readonly #parts: WorldParts;
  /** For properties of a customer that are not drawn but follow: favourites, payees, networks. */
  readonly #fixed: Random;

  constructor(parts: WorldParts, fixed: Random) {
    this.#parts = parts;
    this.#fixed = fixed;
  }

  /** A payment of this purpose (a category, TRANSFER or TOP_UP) on that day. `trip` is the place of a journey, or -1. */
  pay(draft: Draft, random: Random, traits: Traits, purpose: number, day: number, trip: number): void {
    if (purpose === TRANSFER) this.transfer(draft, random, traits, day, trip, 1);
    else if (purpose === TOP_UP) this.#topUp(draft, random, traits, day, trip);
    else if (purpose === CASH_CATEGORY) this.#cash(draft, random, traits, day, trip);
    else this.#buy(draft, random, traits, purpose, day, trip);
  }

  #buy(draft: Draft, random: Random, traits: Traits, purpose: number, day: number, trip: number): void {
    const online = (CATEGORIES[purpose]?.online ?? 0) * traits.online;
    // What exists only online stays there, whoever buys it; on a journey people pay where they are.
    const share = CATEGORIES[purpose]?.online === 1 ? 1 : trip >= 0 ? online * 0.5 : Math.min(online, 0.97);
    if (random.chance(share)) this.page(draft, random, traits, purpose, day, trip);
    else this.shop(draft, random, traits, purpose, day, trip);
  }

  shop(draft: Draft, random: Random, traits: Traits, category: number, day: number, trip: number): void {
    this.visit(draft, random, traits, category, day, trip, 1);
    if (random.chance(this.#parts.pack.mix.refund_share)) draft.type = 'refund';
  }

  page(draft: Draft, random: Random, traits: Traits, category: number, day: number, trip: number): void {
    this.order(draft, random, traits, category, day, trip, 1);
    const kind = random.unit();
    const { refund_share: refunds, verification_share: verifications } = this.#parts.pack.mix;
    if (kind < refunds) draft.type = 'refund';
    else if (kind < refunds + verifications) {
      draft.type = 'verification';
      draft.amount = 0;
    }
  }

  /** A purchase with a card in a shop; `factor` times what it usually costs. */
  visit(
    draft: Draft,
    random: Random,
    traits: Traits,
    category: number,
    day: number,
    trip: number,
    factor: number,
  ): void {
    const { places, merchants } = this.#parts;
    const at = trip >= 0 ? trip : this.#dayTrip(traits, day);
    const merchant = this.#shopNear(random, traits, category, at, at === traits.place);

    this.#payer(draft, random, traits);
    draft.form = 'shop';
    draft.merchant = merchant;
    draft.terminal = merchants.terminal(merchant, random.unit());
    const trade = merchants.category(merchant);
    const place = places.at(merchants.place(merchant));
    draft.currency = place.currency;
    draft.type = 'purchase';
    draft.channel = 'card_present';
    const cents = this.#cents(random, traits, trade) * merchants.price(merchant) * place.priceLevel * factor;
    draft.amount = priced(cents, place, CATEGORIES[trade]?.priced === true, random.unit());
    const entry = random.unit();
    const tapped = cents <= CONTACTLESS_MAX_CENTS * place.priceLevel ? 0.8 : 0.35;
    draft.entry = entry < tapped ? 'contactless' : entry < 0.975 ? 'chip' : entry < 0.993 ? 'magstripe' : 'manual';
  }

  /** A purchase on a page or in an app. */
  order(
    draft: Draft,
    random: Random,
    traits: Traits,
    category: number,
    day: number,
    trip: number,
    factor: number,
  ): void {
    const { places, merchants, pack } = this.#parts;
    const foreign = random.chance(pack.customers.foreign_online_share);
    const shelf = foreign ? merchants.pagesAnywhere(category) : merchants.pagesIn(category, traits.place);
    const fresh = random.unit();
    const slot = random.below(FAVOURITES);
    const known = random.chance(FAVOURITE_SHARE);
    const share = known ? this.#fixed.share(STREAM.favourite, traits.customer, 4_096 + category * 8 + slot) : fresh;
    const merchant = shelf[Math.floor(share * share * shelf.length)] ?? 0;

    this.#payer(draft, random, traits);
    this.#connection(draft, random, traits, day, trip);
    draft.form = 'page';
    draft.merchant = merchant;
    draft.terminal = merchants.terminal(merchant, 0);
    const trade = merchants.category(merchant);
    const place = places.at(merchants.place(merchant));
    draft.currency = place.currency;
    draft.type = 'purchase';
    const cents = this.#cents(random, traits, trade) * merchants.price(merchant) * place.priceLevel * factor;
    draft.amount = priced(cents, place, CATEGORIES[trade]?.priced === true, random.unit());
    const channel = random.unit();
    draft.channel = channel < 0.62 ? 'ecommerce' : channel < 0.985 ? 'mobile_app' : 'moto';
    const entry = random.unit();
    draft.entry = entry < 0.5 ? 'three_ds' : entry < 0.78 ? 'credential_on_file' : 'manual';
    if (draft.channel === 'moto') draft.entry = 'manual';
    const delivery = random.unit();
    const elsewhere = random.word(STREAM.address, traits.home, 16 + Math.floor(delivery * 64));
    draft.shipping = -1;
    if (CATEGORIES[trade]?.delivered === true) {
      draft.shipping =
        delivery < 0.84
          ? draft.billing
          : delivery < 0.94
            ? traits.home * 16 + 1 + (elsewhere & 3)
            : lockerOf(traits.place, elsewhere);
    }
  }

  /** A payment that the merchant takes month by month: the same shop, the same amount. */
  subscription(draft: Draft, random: Random, traits: Traits, number: number): void {
    const { places, merchants, pack, normal } = this.#parts;
    const fixed = (place: number): number =>
      this.#fixed.share(STREAM.subscription, traits.customer, number * 8 + place);
    const category = SUBSCRIPTION_CATEGORIES[Math.floor(fixed(2) * SUBSCRIPTION_CATEGORIES.length)] ?? 0;
    const shelf = merchants.pagesIn(category, traits.place);
    const share = fixed(3);
    const merchant = shelf[Math.floor(share * share * shelf.length)] ?? 0;
    this.#payer(draft, random, traits);
    const slot = traits.secondCard && fixed(5) < 0.3 ? 1 : 0;
    draft.cardSlot = slot;
    draft.card = this.#parts.cards.card(traits.customer, slot);
    draft.form = 'standing';
    draft.merchant = merchant;
    draft.terminal = merchants.terminal(merchant, 0);
    const trade = merchants.category(merchant);
    const place = places.at(merchants.place(merchant));
    draft.currency = place.currency;
    draft.type = random.chance(pack.mix.refund_share) ? 'refund' : 'purchase';
    draft.channel = 'recurring';
    draft.entry = 'credential_on_file';
    const cents = (CATEGORIES[trade]?.medianCents ?? 1_000) * normal.factor(fixed(4), SUBSCRIPTION_SIGMA);
    draft.amount = priced(cents * place.priceLevel, place, true, 0.1);
    draft.billing = traits.home * 16;
  }

  transfer(draft: Draft, random: Random, traits: Traits, day: number, trip: number, factor: number): void {
    const { places, normal } = this.#parts;
    const place = places.at(traits.place);
    this.#payer(draft, random, traits);
    this.#connection(draft, random, traits, day, trip);
    draft.form = 'account';
    draft.type = 'transfer';
    draft.channel = 'mobile_app';
    draft.place = traits.place;
    draft.currency = place.currency;
    const cents = TRANSFER_MEDIAN_CENTS * normal.factor(random.unit(), TRANSFER_SIGMA) * traits.income * factor;
    draft.amount = rounded(cents * place.priceLevel, place, random.unit());
    const payee = random.unit();
    const slot = random.below(PAYEES);
    const fresh = random.next();
    if (payee < 0.25) draft.beneficiary = accountOutside(Math.floor(random.unit() * BILLERS));
    else if (payee < 0.35) draft.beneficiary = this.#friend(traits.customer, slot) * 2;
    else if (payee < 0.88) draft.beneficiary = accountOutside(this.#fixed.word(STREAM.payee, traits.customer, slot));
    else draft.beneficiary = accountOutside(fresh);
  }

  /** What the merchants of a trade usually get from this customer, in euro cents before prices. */
  #cents(random: Random, traits: Traits, category: number): number {
    const trade = CATEGORIES[category];
    return (trade?.medianCents ?? 1_000) * this.#parts.normal.factor(random.unit(), trade?.sigma ?? 0) * traits.income;
  }

  #topUp(draft: Draft, random: Random, traits: Traits, day: number, trip: number): void {
    this.transfer(draft, random, traits, day, trip, 1);
    draft.type = 'top_up';
    draft.beneficiary = traits.customer * 2 + 1;
  }

  #cash(draft: Draft, random: Random, traits: Traits, day: number, trip: number): void {
    this.visit(draft, random, traits, CASH_CATEGORY, day, trip, 1);
    const { places, merchants } = this.#parts;
    const place = places.at(merchants.place(draft.merchant));
    draft.type = 'cash_withdrawal';
    draft.channel = 'atm';
    draft.entry = draft.entry === 'magstripe' ? 'magstripe' : 'chip';
    draft.amount = Math.max(1, Math.floor(draft.amount / place.noteMinor)) * place.noteMinor;
  }

  /** Where somebody who is not on a journey spends the day: at home, or in another city of the country. */
  #dayTrip(traits: Traits, day: number): number {
    const share = this.#fixed.share(STREAM.trip, traits.customer, DAY_TRIPS + day);
    if (share >= DAY_TRIP_SHARE) return traits.place;
    return this.#parts.places.near(traits.place, share / DAY_TRIP_SHARE);
  }

  /** A customer of the same bank, often of the same household. By number alone, so that it hangs on nobody's existence. */
  #friend(customer: number, slot: number): number {
    return customer ^ (1 + (this.#fixed.word(STREAM.payee, customer, 64 + slot) & 15));
  }

  #payer(draft: Draft, random: Random, traits: Traits): void {
    draft.customer = traits.customer;
    draft.account = traits.customer * 2;
    const second = random.unit() < 0.3;
    draft.cardSlot = traits.secondCard && second ? 1 : 0;
    draft.card = this.#parts.cards.card(traits.customer, draft.cardSlot);
    draft.shipping = -1;
  }

  /** Device, network and contact of somebody who pays online. */
  #connection(draft: Draft, random: Random, traits: Traits, day: number, trip: number): void {
    const { customers, pack } = this.#parts;
    const gear = random.unit();
    // In a household one sometimes pays with what the other left on the table.
    const owner = traits.household && gear > 0.95 ? traits.customer ^ 1 : traits.customer;
    draft.device = customers.device(owner, gear < 0.68 ? 0 : 1, day);
    draft.email = traits.customer * 4;
    draft.phone = traits.customer * 4;
    draft.billing = traits.home * 16;
    const network = random.unit();
    const word = random.next();
    const place = trip >= 0 ? trip : traits.place;
    if (network < pack.customers.vpn_share) draft.ip = exitAddress(word);
    else if (trip < 0 && network < 0.62) draft.ip = this.homeNetwork(traits.home, day);
    else if (network < 0.92) draft.ip = mobileAddress(this.#fixed.word(STREAM.network, place, word & 63));
    else draft.ip = officeAddress(this.#fixed.word(STREAM.network, place, 64 + (word & 31)));
  }

  /** The address of a home's line; the provider gives a new one now and then. */
  homeNetwork(home: number, day: number): string {
    const phase = this.#fixed.word(STREAM.network, home, 128) % HOME_NETWORK_DAYS;
    return homeAddress(this.#fixed.word(STREAM.network, home, 129 + Math.floor((day + phase) / HOME_NETWORK_DAYS)));
  }

  #shopNear(random: Random, traits: Traits, category: number, place: number, atHome: boolean): number {
    const { merchants } = this.#parts;
    const shelf = merchants.shopsIn(category, place);
    const fresh = random.next();
    const slot = random.below(FAVOURITES);
    const known = random.chance(FAVOURITE_SHARE) && atHome;
    const start = known ? this.#fixed.word(STREAM.favourite, traits.customer, category * 8 + slot) : fresh >>> 0;
    let nearest = 0;
    let least = Number.POSITIVE_INFINITY;
    for (let candidate = 0; candidate < traits.nearness; candidate += 1) {
      // Squared, so that the first of a shelf are visited far more often than the last.
      const share = ((start + candidate * 0x9e3779b1) % 4_294_967_296) / 4_294_967_296;
      const merchant = shelf[Math.floor(share * share * shelf.length)] ?? 0;
      const north = merchants.latitudeE6(merchant) - traits.latitudeE6;
      const east = merchants.longitudeE6(merchant) - traits.longitudeE6;
      const distance = north * north + east * east;
      if (distance < least) {
        least = distance;
        nearest = merchant;
      }
    }
    return nearest;
  }
}

/** Accounts at other banks. Legitimate payees and money mules have theirs from the same numbers. */
export const accountOutside = (word: number): number => OUTSIDE + ((word >>> 0) % EXTERNAL_ACCOUNTS);

/** Parcel lockers: 40 a city, shared by all who live there, thieves included. */
export const lockerOf = (place: number, word: number): number => OUTSIDE + place * 64 + ((word >>> 8) % 40);

/** A multiple of an amount with the same ending, so that what was tagged 99 still is. */
export function multiplied(amount: number, factor: number, place: Place): number {
  const step = place.minorPerUnit === 1 ? 10 : place.minorPerUnit;
  return amount + Math.floor((amount * (factor - 1)) / step) * step;
}

/** The amount in minor units, at least 1; where prices are tagged, half of them end in 99, 95 or 49. */
export function priced(cents: number, place: Place, tagged: boolean, share: number): number {
  const exact = Math.max(1, Math.floor(cents * place.minorPerCent + 0.5));
  if (place.minorPerUnit === 1) return exact < 100 ? exact : Math.floor(exact / 10) * 10;
  if (!tagged || share >= 0.5) return exact;
  const off = PRICE_ENDINGS[Math.floor(share * 2 * PRICE_ENDINGS.length)] ?? 0;
  const hundredth = place.minorPerUnit / 100;
  return (Math.floor(exact / place.minorPerUnit) + 1) * place.minorPerUnit - off * hundredth;
}

/** People transfer round sums: most often tens, sometimes to the cent. */
export function rounded(cents: number, place: Place, share: number): number {
  const exact = Math.max(1, Math.floor(cents * place.minorPerCent + 0.5));
  if (share < 0.3) return exact;
  const step = share < 0.75 ? place.noteMinor : place.minorPerUnit;
  return Math.max(1, Math.floor(exact / step)) * step;
}
