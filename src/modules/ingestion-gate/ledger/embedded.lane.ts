import { type Digest } from '../../../rails/digest.js';
import { isProbityError } from '../../../rails/errors/probity-error.js';
import {
  type AppendRow,
  type PartitionAppend,
  type TopicName,
  type TransactionalAppend,
} from '../../../substrate/bus/bus.port.js';
import { oneStatement, type Part } from '../../../substrate/database/one-statement.js';
import { type Place } from '../receipts.core.js';
import { type Lane, type LedgerWork, type NewAdmission, type Standing } from './ledger.js';
import { admissionsPart, type Placed, restParts, supersessionsParts } from './ledger.parts.js';
import { type LedgerStore } from './ledger.store.js';

/** What makes two gates' batches exclude each other: `admissions` has each identity once. */
const IDENTITY_KEY = 'admissions_pkey';

/**
 * The lane of a bus whose log lies in the ledger's own database: append, admissions and everything else of the batch are one
 * statement and one commit, so there is no moment at which one stands without the other and nothing to settle after a crash.
 *
 * Between two gates the primary key of `admissions` decides: the later one waits at the row, finds it taken, and its
 * whole statement is undone, its append included.
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
    const rest = [...restParts(work), ...supersessionsParts(work)];
    const { database } = this.store;
    if (work.admissions.length === 0) {
      const { statement, values } = oneStatement('ig_rest', rest);
      await database.query(statement, values);
      return [];
    }
    const { batch, placed, placesOf } = appendOf(this.topic, work.admissions);
    const append = await this.bus.prepareAppend(batch);
    const appended: Part = { as: 'appended', ...append.call };
    const parts = [...rest, appended, admissionsPart(placed)];
    const { statement, values } = oneStatement('ig_batch', parts, 'select * from appended');
    try {
      const { rows } = await database.query<AppendRow>(statement, values);
      return placesOf(append.appended(rows).map(({ firstOffset }) => firstOffset));
    } catch (error) {
      if (isProbityError(error, 'DATABASE_CONSTRAINT') && error.data['constraint'] === IDENTITY_KEY) return null;
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
  readonly placed: readonly Placed[];
  readonly placesOf: (firstOffsets: readonly number[]) => readonly Place[];
} {
  const numbers = new Map<number, number>();
  const parts: { readonly partition: number; readonly records: PartitionAppend['records'][number][] }[] = [];
  const placed = admissions.map((admission): Placed => {
    const { candidate, partition, headers } = admission;
    let part = numbers.get(partition);
    if (part === undefined) {
      part = parts.length;
      numbers.set(partition, part);
      parts.push({ partition, records: [] });
    }
    const records = parts[part]?.records ?? [];
    records.push({ key: candidate.partitionKey, value: Buffer.from(candidate.text), headers });
    return { admission, part, index: records.length - 1 };
  });
  return {
    batch: parts.map(({ partition, records }) => ({ topic, partition, records })),
    placed,
    placesOf: (firstOffsets) =>
      placed.map(({ admission: { partition }, part, index }) => ({
        partition,
        offset: (firstOffsets[part] ?? 0) + index,
      })),
  };
}
