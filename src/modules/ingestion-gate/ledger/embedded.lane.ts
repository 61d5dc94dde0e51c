import { type Digest } from '../../../rails/digest.js';
import { type PartitionAppend, type TopicName, type TransactionalAppend } from '../../../substrate/bus/bus.port.js';
import { type Place } from '../receipts.core.js';
import { type Lane, type LedgerWork, type NewAdmission, type Standing } from './ledger.js';
import { type LedgerStore } from './ledger.store.js';

/** Rolls the transaction back and leaves it; never seen outside. */
class IdentityTaken extends Error {}

/**
 * The lane of a bus whose log lies in the ledger's own database: append, admissions and everything else of the batch are one
 * commit, so there is no moment at which one stands without the other and nothing to settle after a crash.
 *
 * Between two gates the primary key of `admissions` decides: the later one waits at the row, finds it taken, and its
 * whole transaction is undone, its append included.
 */
export class EmbeddedLane implements Lane {
  constructor(
    private readonly store: LedgerStore,
    private readonly bus: TransactionalAppend,
    private readonly topic: TopicName,
  ) {}

  standing(ids: readonly Digest[]): Promise<ReadonlyMap<Digest, Standing>> {
    return this.store.standing(ids);
  }

  async commit(work: LedgerWork): Promise<readonly Place[] | null> {
    try {
      return await this.store.database.transaction(async (transaction) => {
        await this.store.insertRest(transaction, work);
        const { batch, placesOf } = appendOf(this.topic, work.admissions);
        // Late, because the partitions are locked from here to the commit.
        const appended = batch.length === 0 ? [] : await this.bus.appendWithin(transaction, batch);
        const places = placesOf(appended.map(({ firstOffset }) => firstOffset));
        if (!(await this.store.insertAdmissions(transaction, work.admissions, places))) throw new IdentityTaken();
        await this.store.insertSupersessions(transaction, supersessionsOf(work));
        return places;
      });
    } catch (error) {
      if (error instanceof IdentityTaken) return null;
      throw error;
    }
  }

  async open(): Promise<void> {
    await Promise.resolve();
  }

  /** One commit: nothing is ever between reservation and admission. */
  pending(): { readonly ambiguous: number; readonly oldestAgeMs: number } {
    return { ambiguous: 0, oldestAgeMs: 0 };
  }

  async close(): Promise<void> {
    await Promise.resolve();
  }
}

/** Admissions as an append, and what its answer says about each of them. */
export function appendOf(
  topic: TopicName,
  admissions: readonly NewAdmission[],
): {
  readonly batch: readonly PartitionAppend[];
  readonly placesOf: (firstOffsets: readonly number[]) => readonly Place[];
} {
  const numbers = new Map<number, number>();
  const parts: { readonly partition: number; readonly records: PartitionAppend['records'][number][] }[] = [];
  const homes = admissions.map(({ candidate, partition, headers }) => {
    let number = numbers.get(partition);
    if (number === undefined) {
      number = parts.length;
      numbers.set(partition, number);
      parts.push({ partition, records: [] });
    }
    const records = parts[number]?.records ?? [];
    records.push({ key: candidate.partitionKey, value: Buffer.from(candidate.text), headers });
    return { number, partition, index: records.length - 1 };
  });
  return {
    batch: parts.map(({ partition, records }) => ({ topic, partition, records })),
    placesOf: (firstOffsets) =>
      homes.map(({ number, partition, index }) => ({ partition, offset: (firstOffsets[number] ?? 0) + index })),
  };
}

export function supersessionsOf({ admissions, duplicates }: Pick<LedgerWork, 'admissions' | 'duplicates'>) {
  const rows: { readonly quarantineId: Digest; readonly receiptId: Digest; readonly intakeId: number }[] = [];
  for (const { supersedes, candidate, intakeId } of admissions)
    if (supersedes !== undefined) rows.push({ quarantineId: supersedes, receiptId: candidate.admissionId, intakeId });
  for (const { supersedes, admissionId, intakeId } of duplicates)
    if (supersedes !== undefined) rows.push({ quarantineId: supersedes, receiptId: admissionId, intakeId });
  return rows;
}
