import { type Digest } from '../../../rails/digest.js';
import { asOffset } from '../../../rails/eb-ref.js';
import { type Envelope, type EventId } from '../../../rails/envelope.schema.js';
import { type RunPins } from '../../../rails/pins.js';
import { type Bus, type BusRecord, type PartitionMarks, type Position } from '../../../substrate/bus/bus.port.js';
import { admissionIds } from '../identity.core.js';

const POLL = { recordsMax: 500, waitMs: 1_000 } as const;

export interface ScannedRecord {
  readonly partition: number;
  readonly record: BusRecord;
}

/**
 * Every record from the given offsets (from the oldest with `all`) up to the high-water marks that are given, in slices. What
 * retention has removed is passed over.
 */
export async function* scanTopic(
  bus: Bus,
  { marks, from }: { readonly marks: readonly PartitionMarks[]; readonly from: ReadonlyMap<number, number> | 'all' },
): AsyncGenerator<readonly ScannedRecord[], void> {
  const ends = new Map<number, number>();
  const positions: Position[] = [];
  for (const { topic, partition, lowWater, highWater } of marks) {
    const wanted = from === 'all' ? lowWater : from.get(partition);
    if (wanted === undefined) continue;
    const offset = Math.max(wanted, lowWater);
    if (offset >= highWater) continue;
    ends.set(partition, highWater);
    positions.push({ topic, partition, offset: asOffset(offset) });
  }
  if (positions.length === 0) return;
  const reader = await bus.openReader(positions);
  try {
    while (ends.size > 0) {
      const slice: ScannedRecord[] = [];
      for (const { partition, records, nextOffset } of await reader.poll(POLL)) {
        const end = ends.get(partition);
        if (end === undefined) continue;
        for (const record of records) if (record.offset < end) slice.push({ partition, record });
        if (nextOffset >= end) ends.delete(partition);
      }
      if (slice.length > 0) yield slice;
    }
  } finally {
    await reader.close();
  }
}

/** Whose identity a record of the topic is. Keeps the derivation of each run that it has met. */
export class RecordIdentity {
  readonly #idOf = new Map<string, (eventId: EventId) => Digest>();

  /** What stands on the traffic topic was put there by a gate, so its form is not checked again. */
  of(envelope: Envelope): Digest {
    const { manifest_fingerprint, parameter_hash, seed, scenario_id, run_id, event_id } = envelope;
    const pins = { manifest_fingerprint, parameter_hash, seed, scenario_id, run_id } as RunPins;
    const key = JSON.stringify(pins);
    let idOf = this.#idOf.get(key);
    if (idOf === undefined) {
      idOf = admissionIds(pins);
      this.#idOf.set(key, idOf);
    }
    return idOf(event_id);
  }
}

export function envelopeOf(record: BusRecord): Envelope {
  return JSON.parse(Buffer.from(record.value).toString('utf8')) as Envelope;
}
