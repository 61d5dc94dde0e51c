import type { EbRef } from '../../rails/eb-ref.js';
import type { Bus, BusRecord } from './bus.port.js';

const WAIT_MS = 10_000;

/** The very record that a receipt names; null where none stands there (any more). For the few that somebody looks up. */
export async function recordAt(bus: Bus, { topic, partition, offset }: EbRef): Promise<BusRecord | null> {
  const reader = await bus.openReader([{ topic, partition, offset }]);
  try {
    const batches = await reader.poll({ recordsMax: 1, waitMs: WAIT_MS });
    const record = batches[0]?.records[0];
    return record?.offset === offset ? record : null;
  } finally {
    await reader.close();
  }
}
