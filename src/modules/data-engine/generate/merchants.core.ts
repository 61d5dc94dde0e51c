import { CATEGORIES, type Category } from './categories.js';
import { cumulative, type Normal, pick } from './exact-math.core.js';
import { type Pack } from './pack.core.js';
import { type Places, spread } from './places.core.js';
import { type Random, STREAM } from './random.core.js';

const PRICE_SIGMA = 0.3;
/** Fractional part of the golden ratio: its multiples modulo 1 fill the interval evenly, however many are taken. */
const GOLDEN = 0.6180339887498949;

/** Merchants of one trade and one reach (a city, a country, everywhere), most visited first. */
type Shelf = Int32Array;
const EMPTY: Shelf = new Int32Array(0);

/** Merchants and their terminals, in typed arrays by number. Independent of the customers. */
export class Merchants {
  readonly count: number;
  readonly terminals: number;
  readonly #category: Uint8Array;
  readonly #place: Uint16Array;
  readonly #online: Uint8Array;
  readonly #latitude: Int32Array;
  readonly #longitude: Int32Array;
  readonly #price: Float64Array;
  /** First terminal of each merchant, and behind the last merchant the number of all. */
  readonly #firstTerminal: Int32Array;
  readonly #shops: ReadonlyMap<number, Shelf>;
  readonly #pages: ReadonlyMap<number, Shelf>;
  readonly #places: Places;
  /** Numbers of the terminals that stand in shops. */
  readonly shopTerminals: Int32Array;

  constructor(pack: Pack, random: Random, normal: Normal, places: Places) {
    const { count, terminals_max: terminalsMax } = pack.merchants;
    this.count = count;
    this.#places = places;
    this.#category = new Uint8Array(count);
    this.#place = new Uint16Array(count);
    this.#online = new Uint8Array(count);
    this.#latitude = new Int32Array(count);
    this.#longitude = new Int32Array(count);
    this.#price = new Float64Array(count);
    this.#firstTerminal = new Int32Array(count + 1);

    const kinds = kindsOf(CATEGORIES);
    const sums = cumulative(kinds.map(({ weight }) => weight));
    const phase = random.share(STREAM.merchantKinds, 0, 0);
    const shopTerminals: number[] = [];
    for (let merchant = 0; merchant < count; merchant += 1) {
      // Evenly filled and not drawn: even a hundred merchants then have every common trade among them.
      const kind = kinds[pick(sums, (phase + merchant * GOLDEN) % 1)];
      const isOnline = kind?.online === true;
      random.at(STREAM.merchant, merchant, 0);
      const placeIndex = places.home(random.unit());
      const place = places.at(placeIndex);
      this.#category[merchant] = kind?.category ?? 0;
      this.#online[merchant] = isOnline ? 1 : 0;
      this.#place[merchant] = placeIndex;
      this.#latitude[merchant] = spread(place.latitudeE6, random.unit(), random.unit());
      this.#longitude[merchant] = spread(place.longitudeE6, random.unit(), random.unit());
      this.#price[merchant] = normal.factor(random.unit(), PRICE_SIGMA);
      const size = random.unit();
      const terminals = isOnline ? 1 : 1 + Math.floor(size * size * size * terminalsMax);
      const first = this.#firstTerminal[merchant] ?? 0;
      this.#firstTerminal[merchant + 1] = first + terminals;
      for (let terminal = 0; terminal < terminals && !isOnline; terminal += 1) shopTerminals.push(first + terminal);
    }
    this.terminals = this.#firstTerminal[count] ?? 0;
    this.shopTerminals = Int32Array.from(shopTerminals);
    this.#shops = this.#shelves(0);
    this.#pages = this.#shelves(1);
  }

  category(merchant: number): number {
    return this.#category[merchant] ?? 0;
  }
  place(merchant: number): number {
    return this.#place[merchant] ?? 0;
  }
  latitudeE6(merchant: number): number {
    return this.#latitude[merchant] ?? 0;
  }
  longitudeE6(merchant: number): number {
    return this.#longitude[merchant] ?? 0;
  }
  /** Multiple of the category's usual amount. */
  price(merchant: number): number {
    return this.#price[merchant] ?? 1;
  }
  isOnline(merchant: number): boolean {
    return this.#online[merchant] === 1;
  }

  /** One of the merchant's terminals. */
  terminal(merchant: number, share: number): number {
    const first = this.#firstTerminal[merchant] ?? 0;
    const behind = this.#firstTerminal[merchant + 1] ?? first + 1;
    return first + Math.floor(share * (behind - first));
  }

  merchantOf(terminal: number): number {
    let low = 0;
    let high = this.count - 1;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if ((this.#firstTerminal[middle] ?? 0) <= terminal) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  /** Shops of the trade in that city; where it has none, of the country, of the world, and at last any shop of the city. */
  shopsIn(category: number, place: number): Shelf {
    const country = this.#places.at(place).countryIndex;
    return this.#widest(this.#shops, [key(category, 2, place), key(category, 1, country), key(category, 0, 0)]);
  }

  pagesIn(category: number, place: number): Shelf {
    const country = this.#places.at(place).countryIndex;
    return this.#widest(this.#pages, [key(category, 1, country), key(category, 0, 0)]);
  }

  pagesAnywhere(category: number): Shelf {
    return this.#widest(this.#pages, [key(category, 0, 0)]);
  }

  #widest(shelves: ReadonlyMap<number, Shelf>, keys: readonly number[]): Shelf {
    for (const each of keys) {
      const shelf = shelves.get(each);
      if (shelf !== undefined) return shelf;
    }
    return shelves.get(ANY_TRADE) ?? EMPTY;
  }

  #shelves(online: 0 | 1): ReadonlyMap<number, Shelf> {
    const shelves = new Map<number, number[]>();
    const put = (at: number, merchant: number): void => {
      const shelf = shelves.get(at);
      if (shelf === undefined) shelves.set(at, [merchant]);
      else shelf.push(merchant);
    };
    for (let merchant = 0; merchant < this.count; merchant += 1) {
      if (this.#online[merchant] !== online) continue;
      const category = this.category(merchant);
      const place = this.place(merchant);
      if (online === 0) put(key(category, 2, place), merchant);
      put(key(category, 1, this.#places.at(place).countryIndex), merchant);
      put(key(category, 0, 0), merchant);
      put(ANY_TRADE, merchant);
    }
    return new Map(Array.from(shelves, ([at, merchants]) => [at, Int32Array.from(merchants)]));
  }
}

const ANY_TRADE = -1;
/** Which shelf: a trade, and 2 a city, 1 a country, 0 everywhere. */
const key = (category: number, reach: number, index: number): number => (category * 3 + reach) * 1_024 + index;

/** Each trade twice where it has both: with a shop, and with a page. */
function kindsOf(categories: readonly Category[]) {
  return categories.flatMap(({ merchants, online }, category) =>
    [
      { category, online: false, weight: merchants * (1 - online) },
      { category, online: true, weight: merchants * online },
    ].filter(({ weight }) => weight > 0),
  );
}
