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

/** Never throws: a poison record stops nobody. What it says names the place, never the value. */
export function readEvent(value: Uint8Array): ReadEvent {
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

function parsed(value: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('utf8'));
  } catch {
    return undefined;
  }
}
