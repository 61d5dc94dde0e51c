import { nextOffset } from '../../rails/basis.js';
import { digestCanonical } from '../../rails/canonical-json.js';
import type { Offset, TopicName } from '../../rails/eb-ref.js';
import { peekEventType, readEvent } from '../../rails/events/read-event.js';
import type { Basis } from '../../rails/basis.js';
import { piecesOf } from '../../substrate/bus/stretch.js';
import type { BuildPlan, Range } from './dataset.schema.js';
import { CONTROL, startOf, TRAFFIC } from './replay-basis.js';
import { type ArchiveEvidence, readPiece, type ReplayRecord, type Sources } from './replay-source.js';
import { type SpoolKind, SpoolWriter } from './spool.js';

/** What follows from decisions: no feature counts it. */
const FOLLOWS: ReadonlySet<string> = new Set(['action_intent', 'action_outcome']);

export interface Collected {
  readonly ranges: readonly Range[];
  readonly traffic: readonly number[];
  readonly control: readonly number[];
  readonly decisions: number;
}

interface Collecting {
  readonly sources: Sources;
  readonly plan: BuildPlan;
  readonly basis: Basis;
  readonly folder: string;
  readonly signal: AbortSignal;
}

/**
 * Copies what the log holds of a run, up to the basis, into files beside each other: one reader, whoever many processes work on it. That all
 * of it was read is the evidence of completeness: the bus never skips, and begins no later than it was asked to; chunks of the archive join without
 * a hole.
 * @throws OFS_REPLAY_BASIS_GAP, OFS_BASIS_UNRESOLVED, OFS_ARCHIVE_GAP, OFS_REPLAY_BASIS_MISMATCH, OPS_ARCHIVE_TAMPERED
 */
export async function collect(collecting: Collecting): Promise<Collected> {
  const { bus } = collecting.sources;
  const [traffic, control] = await Promise.all(
    [TRAFFIC, CONTROL].map(async (topic) => (await bus.marks(topic)).map(({ partition }) => partition)),
  );
  const parts = await Promise.all([
    ...(traffic ?? []).map((partition) => copied(collecting, TRAFFIC, partition, ['events', 'decisions'])),
    ...(control ?? []).map((partition) => copied(collecting, CONTROL, partition, ['facts'])),
  ]);
  return {
    ranges: parts.flatMap(({ ranges }) => ranges),
    traffic: traffic ?? [],
    control: control ?? [],
    decisions: parts.reduce((sum, { decisions }) => sum + decisions, 0),
  };
}

async function copied(
  { sources, plan, basis, folder, signal }: Collecting,
  topic: TopicName,
  partition: number,
  kinds: readonly SpoolKind[],
): Promise<{ readonly ranges: readonly Range[]; readonly decisions: number }> {
  const start = startOf(plan, topic, partition);
  const end = Math.max(start, nextOffset(basis, topic, partition)) as Offset;
  const mark = Buffer.from(`"run_id":"${plan.pins.run_id}"`);
  const writers = new Map<SpoolKind, SpoolWriter>();
  for (const kind of kinds) writers.set(kind, await SpoolWriter.open(folder, kind, partition));
  const taken = (): number => [...writers.values()].reduce((sum, { records }) => sum + records, 0);
  const read: Omit<Range, 'digest'>[] = [];
  for (const piece of await piecesOf(sources.bus, plan.source, { topic, partition, start, end })) {
    const before = taken();
    let records_read = 0;
    let evidence: ArchiveEvidence | undefined;
    const tell = (found: ArchiveEvidence): void => void (evidence = found);
    for await (const records of readPiece(sources, piece, signal, tell)) {
      records_read += records.length;
      for (const record of records) {
        if (!bufferOf(record).includes(mark)) continue;
        const kind = kindOf(record);
        if (kind !== null) writers.get(kind)?.add(record);
      }
      for (const writer of writers.values()) await writer.drain();
    }
    const archive = evidence === undefined ? {} : { archive: evidence };
    read.push({ ...piece, ...{ records_read, records_of_run: taken() - before }, ...archive });
  }
  const digests: string[] = [];
  for (const writer of writers.values()) digests.push(await writer.close());
  // Of the partition, not of the piece: it says that the same was taken, wherever it was read.
  const digest = digestCanonical(digests);
  return {
    decisions: writers.get('decisions')?.records ?? 0,
    ranges: read.map((range) => ({ ...range, digest })),
  };
}

function kindOf({ value }: ReplayRecord): SpoolKind | null {
  const type = peekEventType(value) ?? typeWithin(value);
  if (type === null || FOLLOWS.has(type)) return null;
  if (type === 'label') return 'facts';
  return type === 'decision' ? 'decisions' : 'events';
}

function typeWithin(value: Uint8Array): string | null {
  const read = readEvent(value);
  return read.ok ? read.event.eventType : null;
}

function bufferOf({ value }: ReplayRecord): Buffer {
  return Buffer.from(value.buffer, value.byteOffset, value.byteLength);
}
