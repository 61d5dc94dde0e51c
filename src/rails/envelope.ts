import { digestCanonical } from './canonical-json.js';
import { type Digest } from './digest.js';
import { EnvelopeSchema, type Envelope } from './envelope.schema.js';
import { pinsIn, type PinsVerdict } from './pins.js';
import { compareUtc } from './time.js';
import { validatorOf, type Verdict } from './validator.js';

const envelopes = validatorOf(EnvelopeSchema, 'the envelope');

/** For boundaries that answer a malformed envelope themselves: what is wrong first, and where. Nothing is repaired. */
export function checkEnvelope(value: unknown): Verdict<Envelope> {
  return envelopes.check(value);
}

/** @throws ProbityError VALUE_INVALID that names the place */
export function asEnvelope(value: unknown): Envelope {
  return envelopes.demand(value);
}

/** The world and run that the event belongs to, or which pins it lacks. */
export function envelopePins(envelope: Envelope): PinsVerdict {
  return pinsIn(envelope);
}

/**
 * The digest of what the event says: its payload in canonical form, `null` for an event without one.
 * @throws ProbityError CANONICAL_FORM_INVALID for a payload that has no canonical form
 */
export function payloadHash(envelope: Pick<Envelope, 'payload'>): Digest {
  return digestCanonical(envelope.payload ?? null);
}

/**
 * The digest that decides between DUPLICATE and CONFLICT (law R6): the whole event but for the trace, which differs from
 * one delivery to the next. The payload alone would not do: the same body under another type or time is another event.
 *
 * @throws ProbityError CANONICAL_FORM_INVALID for a payload that has no canonical form
 */
export function eventContentDigest(envelope: Envelope): Digest {
  const { trace_id: _trace, span_id: _span, ...content } = envelope;
  return digestCanonical(content);
}

/** The order of events in a world: by domain time, then by id. Total over the events of one run, whatever delivered them. */
export function compareEvents(
  a: Pick<Envelope, 'ts_utc' | 'event_id'>,
  b: Pick<Envelope, 'ts_utc' | 'event_id'>,
): -1 | 0 | 1 {
  const byTime = compareUtc(a.ts_utc, b.ts_utc);
  if (byTime !== 0) return byTime;
  if (a.event_id === b.event_id) return 0;
  return a.event_id < b.event_id ? -1 : 1;
}
