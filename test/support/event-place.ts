import type { BusEvent } from '../../src/rails/events/read-event.js';
import type { EventPlace } from '../../src/substrate/projection/event-place.js';

/** An event and where it stands, as features and graph are asked about it. */
export function placeOf(
  { eventId, eventType, envelope, payload }: BusEvent,
  { partition, offset }: Pick<EventPlace, 'partition' | 'offset'>,
): EventPlace {
  return { event_id: eventId, event_type: eventType, ts_utc: envelope.ts_utc, partition, offset, payload };
}
