import { IANAZone } from 'luxon';
import { ProbityError } from '../../../rails/errors/probity-error.js';
import { type Ambiguous, localTimes, type OffsetsOf, utc } from './local-times.core.js';

/** Local times of an IANA zone. @throws ProbityError ENGINE_MAPPING_INVALID for a zone that nobody knows */
export function zoneTimes(name: string, ambiguous: Ambiguous): OffsetsOf {
  if (name === 'UTC') return utc;
  const zone = IANAZone.create(name);
  if (!zone.isValid) {
    throw new ProbityError(
      'ENGINE_MAPPING_INVALID',
      `${JSON.stringify(name)} is no IANA time zone, such as Europe/Paris`,
      {
        data: { at: '/time/zone' },
      },
    );
  }
  // Minutes with a fraction: before the zones of the railways, Paris was 9 minutes and 21 seconds ahead.
  return localTimes((utcMs) => Math.round(zone.offset(utcMs) * 60_000), ambiguous);
}
