import { exponentOf } from '../../../rails/money.js';
import { cumulative, pick } from './exact-math.core.js';
import { CITIES, type City, COUNTRIES, type Country } from './geography.js';
import { type Pack } from './pack.core.js';

/** A city of the world, with what its country's money needs. */
export interface Place extends City {
  readonly index: number;
  readonly countryIndex: number;
  readonly currency: string;
  readonly priceLevel: number;
  /** Minor units of the currency that one euro cent buys. */
  readonly minorPerCent: number;
  /** Minor units of one whole unit: 100 for EUR, 1 for JPY, 1000 for KWD. */
  readonly minorPerUnit: number;
  readonly noteMinor: number;
}

const POWERS_OF_TEN: readonly number[] = [1, 10, 100, 1_000, 10_000];

/** The cities that the pack chooses, and who lives in which. */
export class Places {
  readonly places: readonly Place[];
  readonly countries: number;
  readonly #home: Float64Array;
  readonly #ofCountry: readonly (readonly number[])[];

  constructor(geography: Pack['geography']) {
    const weights: number[] = [];
    this.places = geography.countries.flatMap(({ country: code, share }, countryIndex) => {
      const country = COUNTRIES.find((each) => each.code === code);
      const cities = CITIES.filter((each) => each.country === code).slice(0, geography.cities_per_country);
      const population = cities.reduce((sum, each) => sum + each.populationThousands, 0);
      if (country === undefined) return [];
      return cities.map((city) => {
        weights.push((share * city.populationThousands) / population);
        return placeOf(city, country, weights.length - 1, countryIndex);
      });
    });
    this.countries = geography.countries.length;
    this.#home = cumulative(weights);
    this.#ofCountry = geography.countries.map((_, countryIndex) =>
      this.places.filter((place) => place.countryIndex === countryIndex).map(({ index }) => index),
    );
  }

  at(index: number): Place {
    const place = this.places[index];
    if (place === undefined) throw new RangeError(`no place ${index}`);
    return place;
  }

  /** A city by where people live. */
  home(share: number): number {
    return pick(this.#home, share);
  }

  /** A city of the same country, each as likely: where people drive for a day. */
  near(index: number, share: number): number {
    const cities = this.#ofCountry[this.at(index).countryIndex] ?? [];
    return cities[Math.floor(share * cities.length)] ?? index;
  }
}

function placeOf(city: City, country: Country, index: number, countryIndex: number): Place {
  const minorPerUnit = POWERS_OF_TEN[exponentOf(country.currency)] ?? 1;
  return {
    ...city,
    index,
    countryIndex,
    currency: country.currency,
    priceLevel: country.priceLevel,
    minorPerCent: (country.unitsPerEur * minorPerUnit) / 100,
    minorPerUnit,
    noteMinor: country.note * minorPerUnit,
  };
}

/** A place within a city, up to about 7 km from its centre, denser towards the middle. Two shares from 0 to 1 each way. */
export function spread(centreE6: number, a: number, b: number): number {
  return centreE6 + Math.floor((a + b - 1) * 60_000);
}
