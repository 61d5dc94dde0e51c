import { describe, expect, it } from '@jest/globals';
import { type JsonObject } from '../../../rails/canonical-json.js';
import { packNamed } from './generator.cases.js';
import { checkPack } from './generator.source.js';
import { CITIES, COUNTRIES } from './geography.js';
import { PACKS } from './packs.js';

/** The small pack with one member replaced, by path; undefined takes it away. */
function broken(path: string, value: unknown): JsonObject {
  const copy = JSON.parse(JSON.stringify(packNamed('small'))) as Record<string, unknown>;
  const steps = path.split('.');
  const last = steps.pop() ?? '';
  let at = copy;
  for (const step of steps) at = at[step] as Record<string, unknown>;
  if (value === undefined) Reflect.deleteProperty(at, last);
  else at[last] = value;
  return copy as JsonObject;
}

describe('the parameter pack', () => {
  it.each(Object.keys(PACKS))('%s is one', (name) => {
    expect(() => checkPack(PACKS[name]?.parameters ?? {})).not.toThrow();
  });

  it.each([
    ['customers.count', 9, '/customers/count'],
    ['customers.count', 2_000_001, '/customers/count'],
    ['customers.count', undefined, '/customers'],
    ['customers.colour', 'red', '/customers'],
    ['window.days', 0, '/window/days'],
    ['window.start_date', '2025-02-30', '/window/start_date'],
    ['window.start_date', '1999-01-01', '/window/start_date'],
    ['format', 2, '/format'],
    ['geography.countries', [{ country: 'XX', share: 1 }], '/geography/countries/0/country'],
    [
      'geography.countries',
      [
        { country: 'DE', share: 1 },
        { country: 'DE', share: 2 },
      ],
      '/geography/countries/1/country',
    ],
    ['geography.countries', [], '/geography/countries'],
    ['seasons.weekdays', [1, 1, 1], '/seasons/weekdays'],
    ['mix.transfer_share', 0.95, '/mix/top_up_share'],
    ['mix.refund_share', 1, '/mix/verification_share'],
    ['labels.missing_share', 1, '/labels/dismissed_share'],
    ['labels.false_claim_share', 1, '/labels/confirmed_share'],
    ['labels.delays.ring.sigma', -1, '/labels/delays/ring/sigma'],
    ['fraud.ring.members_min', 9, '/fraud/ring/members_min'],
    ['fraud.card_testing.enabled', 'yes', '/fraud/card_testing/enabled'],
    ['fraud.stolen_card', undefined, '/fraud'],
  ])('with %s = %j is refused at its place', (path, value, at) => {
    expect(() => checkPack(broken(path, value))).toThrow(
      expect.objectContaining({ code: 'ENGINE_PARAMETERS_INVALID', data: { at } }),
    );
  });
});

describe('the built-in geography', () => {
  it('names every city once, in ASCII, within its country, the largest first', () => {
    const names = CITIES.map(({ country, name }) => `${country} ${name}`);
    expect(new Set(names).size).toBe(names.length);
    for (const [index, city] of CITIES.entries()) {
      expect(city.name).toMatch(/^[A-Za-z][A-Za-z ]*$/);
      expect(COUNTRIES.map(({ code }) => code)).toContain(city.country);
      expect(Math.abs(city.latitudeE6)).toBeLessThan(66_000_000);
      expect(Math.abs(city.longitudeE6)).toBeLessThan(180_000_000);
      const before = CITIES[index - 1];
      if (before?.country === city.country)
        expect(before.populationThousands).toBeGreaterThanOrEqual(city.populationThousands);
      // Standard time lies within four hours of the sun's, 15 degrees an hour.
      expect(Math.abs(city.utcOffsetMinutes - city.longitudeE6 / 250_000)).toBeLessThan(240);
    }
    for (const { code } of COUNTRIES) expect(CITIES.some(({ country }) => country === code)).toBe(true);
  });
});
