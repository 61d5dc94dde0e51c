import { type JsonObject } from '../canonical-json.js';
import { checkEnvelope } from '../envelope.js';
import type { Envelope, EventId, EventType } from '../envelope.schema.js';
import { type ContextPins, pinsIn } from '../pins.js';
import { type EpochMicros, toEpochMicros } from '../time.js';

/** A record of the bus, read once: for every unit that consumes one. */
export interface BusEvent {
  readonly envelope: Envelope;
  readonly eventId: EventId;
  readonly eventType: EventType;
  readonly ts: EpochMicros;
  readonly pins: ContextPins;
  readonly payload: JsonObject;
}

/** Why a record is no event. Admission makes it rare; a consumer records it and goes on. */
export type UnreadableReason = 'MALFORMED_ENVELOPE' | 'MISSING_PINS';

export type ReadEvent =
  | { readonly ok: true; readonly event: BusEvent }
  | { readonly ok: false; readonly reason: UnreadableReason; readonly says: string };

const READ = Symbol('what was read of these bytes');
interface Noted {
  [READ]?: ReadEvent;
}

/**
 * Never throws: a poison record stops nobody. What it says names the place, never the value.
 *
 * The units of a process share the records that it has at hand, and so what was read of each, which is kept with the bytes: a record is parsed once,
 * whoever wants it. The bytes of a record never change, and nobody changes what was read of them.
 */
export function readEvent(value: Uint8Array): ReadEvent {
  const noted: Noted = value as object;
  const before: ReadEvent | undefined = noted[READ];
  if (before !== undefined) return before;
  const read = readAnew(value);
  noted[READ] = read;
  return read;
}

function readAnew(value: Uint8Array): ReadEvent {
  const verdict = checkEnvelope(parsed(value));
  if (!verdict.ok) {
    const { at, says } = verdict.fault;
    return { ok: false, reason: 'MALFORMED_ENVELOPE', says: `${at === '' ? 'the envelope' : at} ${says}` };
  }
  const envelope = verdict.value;
  const pins = pinsIn(envelope);
  if (!pins.ok) return { ok: false, reason: 'MISSING_PINS', says: `${pins.reason}: ${pins.names.join(', ')}` };
  return {
    ok: true,
    event: {
      envelope,
      eventId: envelope.event_id,
      eventType: envelope.event_type,
      ts: toEpochMicros(envelope.ts_utc),
      pins: pins.pins,
      payload: envelope.payload ?? {},
    },
  };
}

const OPENING = Buffer.from('{"event_id":"');
const TYPE = Buffer.from('","event_type":"');
const [QUOTE, BACKSLASH] = [0x22, 0x5c];

/**
 * The type of a record without parsing it, for a reader that wants few of many. Records are canonical texts, so the first two members of each are
 * its id and its type; null where the bytes do not begin like that, which says nothing: read it whole.
 */
export function peekEventType(value: Uint8Array): string | null {
  const bytes = Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  if (bytes.length < OPENING.length || bytes.compare(OPENING, 0, OPENING.length, 0, OPENING.length) !== 0) return null;
  const idEnd = bytes.indexOf(QUOTE, OPENING.length);
  const from = idEnd + TYPE.length;
  // An escaped quote is none; canonical texts escape nothing that an id may hold but the two.
  if (idEnd < 0 || bytes[idEnd - 1] === BACKSLASH || from > bytes.length) return null;
  if (bytes.compare(TYPE, 0, TYPE.length, idEnd, from) !== 0) return null;
  const end = bytes.indexOf(QUOTE, from);
  return end < 0 ? null : bytes.toString('latin1', from, end);
}

/** Whether a record is surely of another type than those that are wanted, by its first bytes. */
export function isOtherType(value: Uint8Array, wanted: (type: string) => boolean): boolean {
  const type = peekEventType(value);
  return type !== null && !wanted(type);
}

function parsed(value: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('utf8'));
  } catch {
    return undefined;
  }
}
