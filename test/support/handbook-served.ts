import type { SnapshotsResponse } from '../../src/modules/feature-plane/feature-plane.port.js';
import { asTopicName } from '../../src/rails/eb-ref.js';
import { isOtherType, readEvent } from '../../src/rails/events/read-event.js';
import type { ContextPins } from '../../src/rails/pins.js';
import type { EventPlace } from '../../src/substrate/projection/event-place.js';
import type { Bus } from '../../src/substrate/bus/bus.port.js';
import { HANDBOOK } from '../contract/feature-plane.kit.js';
import { placeOf } from './event-place.js';
import { HANDBOOK_FEATURES } from './handbook-oracle.js';
import type { Http } from './http.js';

/** What the feature plane said of each transaction of the file. */
export interface ServedFeatures {
  /** In the order of `HANDBOOK_FEATURES`; undefined for a transaction that it was not asked about. */
  of(id: number): readonly (number | null)[] | undefined;
}

const TRAFFIC = asTopicName('fp.bus.traffic.v1');
const ASKED_AT_ONCE = 500;

/**
 * Follows the traffic topic while a file is streamed, and asks for the features of each payment soon after it was admitted: later the plane may have
 * let go of what they count.
 */
export async function servedFeatures(bus: Bus, ofp: Http, runId: string, rows: number): Promise<ServedFeatures> {
  const values = new Map<number, readonly (number | null)[]>();
  const marks = await bus.marks(TRAFFIC);
  const reader = await bus.openReader(
    marks.map(({ partition, lowWater }) => ({ topic: TRAFFIC, partition, offset: lowWater })),
  );
  try {
    for (let pins: ContextPins | undefined; values.size < rows;) {
      const triggers: EventPlace[] = [];
      for (const { partition, records } of await reader.poll({ recordsMax: 4 * ASKED_AT_ONCE, waitMs: 1_000 }))
        for (const { offset, value } of records) {
          if (isOtherType(value, (type) => type === 'transaction')) continue;
          const read = readEvent(value);
          if (!read.ok || read.event.envelope.run_id !== runId) continue;
          ({ pins } = read.event);
          triggers.push(placeOf(read.event, { partition, offset }));
        }
      for (let from = 0; from < triggers.length; from += ASKED_AT_ONCE) {
        const some = triggers.slice(from, from + ASKED_AT_ONCE);
        const request = { pins, triggers: some, groups: HANDBOOK, wait_ms: 30_000 };
        const { status, body, text } = await ofp.post('/v1/features/snapshots', request);
        if (status !== 200) throw new Error(`${status} ${text.slice(0, 500)}`);
        const { results } = body as { readonly results: (typeof SnapshotsResponse)['static']['results'] };
        results.forEach((result, at) => {
          if (result.status !== 'SERVED') throw new Error(`${result.status}: ${result.detail}`);
          const found = Object.assign({}, ...result.snapshot.groups.map((group) => group.values)) as Record<
            string,
            string | null
          >;
          values.set(
            Number(some[at]?.payload['transaction_id']),
            HANDBOOK_FEATURES.map((name) => (typeof found[name] === 'string' ? Number(found[name]) : null)),
          );
        });
      }
    }
  } finally {
    await reader.close();
  }
  return { of: (id) => values.get(id) };
}
