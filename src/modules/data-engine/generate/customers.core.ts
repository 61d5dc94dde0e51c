import { CATEGORIES, TOP_UP, TRANSFER } from './categories.js';
import { cumulative, type Normal, pick } from './exact-math.core.js';
import { type Pack } from './pack.core.js';
import { type Places, spread } from './places.core.js';
import { type Random, STREAM } from './random.core.js';

/** What a customer is like. Derived from the customer's number whenever it is needed, so that nothing of it is stored. */
export interface Traits {
  customer: number;
  /** Shared by a household: whose address and whose network it is. */
  home: number;
  household: boolean;
  place: number;
  latitudeE6: number;
  longitudeE6: number;
  income: number;
  lifestyle: number;
  /** Multiple of each category's usual online share. */
  online: number;
  /** Of how many shops the nearest is taken: the higher, the closer to home the customer stays. */
  nearness: number;
  secondCard: boolean;
}

export const emptyTraits = (): Traits => ({
  customer: 0,
  home: 0,
  household: false,
  place: 0,
  latitudeE6: 0,
  longitudeE6: 0,
  income: 1,
  lifestyle: 0,
  online: 1,
  nearness: 1,
  secondCard: false,
});

const LIFESTYLES = 8;
const LIFESTYLE_SIGMA = 0.45;
const TRIP_BLOCK_DAYS = 56;
/** Longest and shortest life of a telephone or laptop, in days. */
const DEVICE_DAYS_MIN = 250;
const DEVICE_DAYS_MAX = 950;

/** Numbers of customers who are made up by rings begin here; the population ends at 2,000,000. */
export const SYNTHETIC_CUSTOMERS = 4_194_304;

/**
 * The population: who exists, since when, how active. What a customer is and does follows from the customer's own number
 * and the seed, never from how many others there are.
 */
export class Customers {
  readonly count: number;
  /** First day of each customer; -1 for those who were there before the window. */
  readonly #joins: Int32Array;
  readonly #rates: Float64Array;
  readonly #homes: Uint16Array;
  readonly #lifestyles: readonly Float64Array[];
  readonly #pack: Pack['customers'];
  readonly #random: Random;
  readonly #normal: Normal;
  readonly #places: Places;

  constructor(pack: Pack, random: Random, normal: Normal, places: Places) {
    const { customers, mix, window } = pack;
    this.count = customers.count;
    this.#pack = customers;
    this.#random = random;
    this.#normal = normal;
    this.#places = places;
    this.#joins = new Int32Array(customers.count);
    this.#rates = new Float64Array(customers.count);
    this.#homes = new Uint16Array(customers.count);
    const { activity_sigma: sigma } = customers;
    const mean = normalMean(normal, sigma);
    for (let customer = 0; customer < customers.count; customer += 1) {
      const joins = random.share(STREAM.customer, customer, 1) < customers.joining_share;
      const day = Math.floor(random.share(STREAM.customer, customer, 2) * window.days);
      this.#joins[customer] = joins ? day : -1;
      this.#homes[customer] = this.#cityOf(this.#sharesHome(customer) ? customer & ~1 : customer);
      const activity = normal.factor(random.share(STREAM.customer, customer, 3), sigma);
      // Divided by the mean of the factor, so that the pack's mean is the mean.
      this.#rates[customer] = (customers.transactions_per_day * activity) / mean;
    }
    this.#lifestyles = Array.from({ length: LIFESTYLES }, (_, lifestyle) =>
      lifestyleOf(lifestyle, mix, random, normal),
    );
  }

  isThere(customer: number, day: number): boolean {
    return (this.#joins[customer] ?? 0) <= day;
  }

  /** Payments a day in the mean, before the season. */
  rate(customer: number): number {
    return this.#rates[customer] ?? 0;
  }

  lifestyle(customer: number): number {
    return this.#random.word(STREAM.customer, customer, 4) % LIFESTYLES;
  }

  /** What kind of payment a share from 0 to 1 is for somebody of this lifestyle: a category, TRANSFER or TOP_UP. */
  purpose(lifestyle: number, share: number): number {
    const sums = this.#lifestyles[lifestyle];
    return sums === undefined ? 0 : pick(sums, share);
  }

  /** Fills in what the customer with this number is like; numbers beyond the population are as good. */
  describe(customer: number, into: Traits): Traits {
    const random = this.#random;
    into.customer = customer;
    into.household = this.#sharesHome(customer);
    into.home = into.household ? customer & ~1 : customer;
    into.place = this.#homes[customer] ?? this.#cityOf(into.home);
    const place = this.#places.at(into.place);
    const north = random.word(STREAM.address, into.home, 3);
    const east = random.word(STREAM.address, into.home, 4);
    into.latitudeE6 = spread(place.latitudeE6, (north >>> 16) / 65_536, (north & 0xffff) / 65_536);
    into.longitudeE6 = spread(place.longitudeE6, (east >>> 16) / 65_536, (east & 0xffff) / 65_536);
    into.income = this.#normal.factor(random.share(STREAM.customer, customer, 5), this.#pack.income_sigma);
    into.lifestyle = this.lifestyle(customer);
    const habits = random.word(STREAM.customer, customer, 6);
    into.online = this.#pack.online_factor * (0.3 + ((habits & 0xff) / 255) * 1.4);
    into.nearness = 1 + ((habits >>> 8) & 3);
    into.secondCard = this.hasSecondCard(customer);
    return into;
  }

  /** The city that the customer lives in. */
  homePlace(customer: number): number {
    return this.#homes[customer] ?? 0;
  }

  hasSecondCard(customer: number): boolean {
    return this.#random.share(STREAM.customer, customer, 7) < this.#pack.second_card_share;
  }

  /** Where the customer is on a journey that day, or -1 for at home. */
  trip(customer: number, day: number): number {
    const block = Math.floor(day / TRIP_BLOCK_DAYS);
    const random = this.#random;
    const chance = (this.#pack.trips_per_year * TRIP_BLOCK_DAYS) / 365;
    if (random.share(STREAM.trip, customer, block * 4) >= chance) return -1;
    const length = 1 + Math.floor(random.share(STREAM.trip, customer, block * 4 + 1) * this.#pack.trip_days_max);
    const latest = TRIP_BLOCK_DAYS - length;
    const first = block * TRIP_BLOCK_DAYS + Math.floor(random.share(STREAM.trip, customer, block * 4 + 2) * latest);
    if (day < first || day >= first + length) return -1;
    return this.#places.home(random.share(STREAM.trip, customer, block * 4 + 3));
  }

  /** Number of the device that stands in a slot (0 telephone, 1 computer) that day: people buy new ones. */
  device(customer: number, slot: number, day: number): number {
    const word = this.#random.word(STREAM.device, customer, slot);
    const life = DEVICE_DAYS_MIN + ((word >>> 12) % (DEVICE_DAYS_MAX - DEVICE_DAYS_MIN));
    const generation = Math.floor((day + (word & 0xfff)) / life) & 63;
    return customer * 256 + slot * 64 + generation;
  }

  #sharesHome(customer: number): boolean {
    return this.#random.share(STREAM.address, customer >>> 1, 1) < this.#pack.household_share;
  }

  #cityOf(home: number): number {
    return this.#places.home(this.#random.share(STREAM.address, home, 2));
  }

  /** How many subscriptions the customer has. */
  subscriptions(customer: number): number {
    return Math.floor(this.#random.share(STREAM.subscription, customer, 0) * (this.#pack.subscriptions_max + 1));
  }
}

/** The mean of the factor as the table gives it: its tails are cut, so the formula's e^(σ²/2) would be a little high. */
function normalMean(normal: Normal, sigma: number): number {
  const points = 64;
  let sum = 0;
  for (let point = 0; point < points; point += 1) sum += normal.factor((point + 0.5) / points, sigma);
  return sum / points;
}

function lifestyleOf(lifestyle: number, mix: Pack['mix'], random: Random, normal: Normal): Float64Array {
  const weights = CATEGORIES.map(
    ({ weight }, index) => weight * normal.factor(random.share(STREAM.lifestyle, lifestyle, index), LIFESTYLE_SIGMA),
  );
  const purchases = weights.reduce((sum, weight) => sum + weight, 0);
  const others = mix.transfer_share + mix.top_up_share;
  // Shares of all payments, so in proportion to what remains for purchases.
  weights[TRANSFER] = (purchases * mix.transfer_share) / (1 - others);
  weights[TOP_UP] = (purchases * mix.top_up_share) / (1 - others);
  return cumulative(weights);
}
