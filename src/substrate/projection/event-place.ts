import { Type } from '@sinclair/typebox';
import type { JsonObject } from '../../rails/canonical-json.js';
import { OffsetSchema, PartitionSchema } from '../../rails/eb-ref.js';
import { EventIdSchema, EventTypeSchema } from '../../rails/envelope.schema.js';
import type { FeatureEvent } from '../../rails/features/event-table.js';
import { closed, type Sealed } from '../../rails/schema.js';
import { toEpochMicros, UtcMicrosSchema } from '../../rails/time.js';

/** An admitted event of which somebody wants to know what was known before it. */
export const EventPlaceSchema = closed({
  event_id: EventIdSchema,
  event_type: EventTypeSchema,
  ts_utc: UtcMicrosSchema,
  /** Where it stands on the traffic topic: the answer has applied everything before it on its own partition. */
  partition: PartitionSchema,
  offset: OffsetSchema,
  payload: Type.Unsafe<JsonObject>({ type: 'object' }),
});
export type EventPlace = Sealed<typeof EventPlaceSchema>;

export function eventAt({ event_id, event_type, ts_utc, partition, offset, payload }: EventPlace): FeatureEvent {
  return { eventId: event_id, eventType: event_type, ts: toEpochMicros(ts_utc), partition, offset, payload };
}
