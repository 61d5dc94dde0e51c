import { asCurrency, parseMoney } from '../../rails/money.js';
import { type RunPins } from '../../rails/pins.js';
import { isProbityError } from '../../rails/errors/probity-error.js';
import { parseUtc, type UtcMicros } from '../../rails/time.js';
import { edgeEventIdOf } from './event-id.core.js';

/** What the edge adds to a transaction: who sends it, and the world and run that it belongs to. */
export interface Stamp {
  readonly producer: string;
  readonly pins: RunPins;
}

/** W3C trace context of the message, for the envelope. */
export interface TraceIds {
  readonly trace_id: string;
  readonly span_id: string;
}

/** Why a message is no transaction: the place as a JSON Pointer into it and a sentence. Never the value. */
export interface EdgeFault {
  readonly code: 'EDGE_MAPPING_FAILED' | 'EDGE_CLOUDEVENT_INVALID' | 'HTTP_BODY_INVALID' | 'HTTP_BODY_TOO_LARGE';
  readonly at: string;
  readonly says: string;
}

/** A message as the gate takes it, or what is wrong with it. */
export type Made =
  | { readonly ok: true; readonly event_id: string; readonly transaction_id: string; readonly text: string }
  | { readonly ok: false; readonly fault: EdgeFault; readonly transaction_id?: string };

export type PlainObject = Readonly<Record<string, unknown>>;

/** How a carrier around the transaction (a CloudEvent) changes what is made of it. */
export interface Carrier {
  /** Where the transaction stands in the message; `` for the message itself. */
  readonly at: string;
  /** The id by the carrier's own rules, in place of the one by `transaction_id`. */
  readonly event_id?: string;
  /** RFC 3339: the domain time of a transaction that names none, and its place. */
  readonly time?: { readonly text: string; readonly at: string };
}

const PLAIN: Carrier = { at: '' };

/** The same limit as the port's: a longer text is refused here, so that it does not cost its whole batch. */
const EVENT_CHARACTERS_MAX = 1_048_576;
/** A transaction is flat; a little more than its schema needs, so that the gate and not the stack judges the rest. */
const DEPTH_MAX = 16;
const TRANSACTION_ID = /^[!-~](?:[ -~]{0,126}[!-~])?$/;

/**
 * The envelope of a plain transaction: a payload of `transaction` v1 with `occurred_at`, and with `amount` as a decimal
 * text where the sender does not count in minor units.
 *
 * Only what the envelope needs is judged here; the payload is judged by the gate, which keeps evidence of what it refuses.
 * The same value gives the same text, so that a retry has the same digest.
 */
export function eventOf(value: unknown, stamp: Stamp, trace: TraceIds | undefined, carrier: Carrier = PLAIN): Made {
  if (!isPlainObject(value)) return refused(carrier, '', 'must be a JSON object');
  if (deeperThan(value, DEPTH_MAX)) return refused(carrier, '', `is nested deeper than ${DEPTH_MAX} levels`);
  const { transaction_id, occurred_at, amount, ...members } = value;
  if (typeof transaction_id !== 'string' || !TRANSACTION_ID.test(transaction_id)) {
    const says =
      transaction_id === undefined
        ? 'is required: the id under which a retry is recognised, whatever header comes with it'
        : 'must be 1 to 128 printable ASCII characters without blanks at the ends';
    return refused(carrier, '/transaction_id', says);
  }
  const time = timeOf(occurred_at, carrier);
  if (!time.ok) return { ...time, transaction_id };
  const minor = amountOf(amount, members, carrier);
  if (!minor.ok) return { ...minor, transaction_id };

  const event_id = carrier.event_id ?? edgeEventIdOf(stamp.producer, transaction_id);
  const text = JSON.stringify({
    event_id,
    event_type: 'transaction',
    schema_version: 'v1',
    ts_utc: time.value,
    ...stamp.pins,
    ...trace,
    producer: stamp.producer,
    payload: { transaction_id, ...minor.value, ...members },
  });
  if (text.length > EVENT_CHARACTERS_MAX) return { ...refused(carrier, '', 'is too large'), transaction_id };
  return { ok: true, event_id, transaction_id, text };
}

type Found<Value> = { readonly ok: true; readonly value: Value } | Extract<Made, { readonly ok: false }>;

/** When it happened, as somebody said it: a time is never filled in. */
function timeOf(occurredAt: unknown, carrier: Carrier): Found<UtcMicros> {
  const stated = occurredAt === undefined ? carrier.time : { text: occurredAt, at: `${carrier.at}/occurred_at` };
  if (stated === undefined) {
    return refused(carrier, '/occurred_at', 'is required: when the payment happened, never when it was sent');
  }
  if (typeof stated.text !== 'string') return failed(stated.at, 'must be an RFC 3339 text with Z or an offset');
  try {
    return { ok: true, value: parseUtc(stated.text) };
  } catch (error) {
    return failed(stated.at, sentenceOf(error));
  }
}

/** The amount in minor units where it was given in decimals; nothing where it stands in minor units already. */
function amountOf(amount: unknown, members: PlainObject, carrier: Carrier): Found<{ readonly amount_minor?: number }> {
  if (amount === undefined) {
    if (members['amount_minor'] !== undefined) return { ok: true, value: {} };
    return refused(carrier, '/amount', 'is required as a decimal text, or amount_minor in its place');
  }
  if (members['amount_minor'] !== undefined) {
    return refused(
      carrier,
      '/amount',
      'stands beside amount_minor: send one of them, or they may contradict each other',
    );
  }
  if (typeof amount === 'number') {
    return refused(
      carrier,
      '/amount',
      'must be a text in quotes, "12.30": the JSON number 12.30 is a binary fraction and not exact',
    );
  }
  if (typeof amount !== 'string') return refused(carrier, '/amount', 'must be a decimal text like "12.30"');
  const currency = members['currency'];
  if (typeof currency !== 'string') {
    return refused(
      carrier,
      '/currency',
      'is required beside amount: an ISO 4217 code says how many decimals there are',
    );
  }
  try {
    asCurrency(currency);
  } catch (error) {
    return refused(carrier, '/currency', sentenceOf(error));
  }
  try {
    return { ok: true, value: { amount_minor: parseMoney(amount, currency).amount_minor } };
  } catch (error) {
    return refused(carrier, '/amount', sentenceOf(error));
  }
}

export function isPlainObject(value: unknown): value is PlainObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Ends at the limit, so that a text of nothing but brackets costs no more stack than any other. */
function deeperThan(value: unknown, levels: number): boolean {
  if (typeof value !== 'object' || value === null) return false;
  return levels === 0 || Object.values(value).some((member) => deeperThan(member, levels - 1));
}

function refused(carrier: Carrier, at: string, says: string): Extract<Made, { readonly ok: false }> {
  return failed(`${carrier.at}${at}`, says);
}

function failed(at: string, says: string): Extract<Made, { readonly ok: false }> {
  return { ok: false, fault: { code: 'EDGE_MAPPING_FAILED', at, says } };
}

function sentenceOf(error: unknown): string {
  if (!isProbityError(error)) throw error;
  return error.detail;
}
