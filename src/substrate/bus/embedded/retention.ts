import { type Clock } from '../../clock/clock.port.js';
import { type Database } from '../../database/database.port.js';
import { type Logger } from '../../telemetry/telemetry.port.js';

/** How often records are looked at for their age: retention is a matter of hours and days. */
const SWEEP_MS = 30_000;
/** One step deletes at most this many records, some tens of milliseconds of work. */
const STEP_RECORDS_MAX = 5_000;

/** One sweeper at a time in the whole database; the others find the lock taken and let it be. */
const LOCK = `select pg_try_advisory_xact_lock(hashtextextended('probity bus sweep', 0)) as free`;

interface DuePartition {
  readonly topic_id: number;
  readonly partition: number;
  readonly retention_ms: number | null;
}

const DUE = `
  select p.topic_id, p.partition, t.retention_ms
  from partitions as p join topics as t using (topic_id)
  where p.purged_below < p.low_water or (t.retention_ms is not null and p.low_water < p.next_offset)
  order by p.topic_id, p.partition`;

/**
 * Keeps the promise of `retentionMs` and clears away what was trimmed. Everything happens in small steps of one
 * transaction each, so that appenders never wait for a delete.
 */
export class Retention {
  readonly #database: Database;
  readonly #clock: Clock;
  readonly #logger: Logger | undefined;
  readonly #end = new AbortController();
  #loop: Promise<void> | undefined;

  constructor(database: Database, clock: Clock, logger: Logger | undefined) {
    this.#database = database;
    this.#clock = clock;
    this.#logger = logger;
  }

  /** Begins to sweep now and then, once per process. */
  start(): void {
    if (!this.#end.signal.aborted) this.#loop ??= this.#run();
  }

  async close(): Promise<void> {
    this.#end.abort();
    await this.#loop;
  }

  /** One sweep over everything that is due. */
  async sweep(): Promise<void> {
    const { rows } = await this.#database.query<DuePartition>(DUE);
    for (const partition of rows) if (!(await this.#sweepPartition(partition))) return;
  }

  /** Step by step until nothing of this partition is due; false when another process is at it, or at the end. */
  async #sweepPartition({ topic_id, partition, retention_ms }: DuePartition): Promise<boolean> {
    for (;;) {
      if (this.#end.signal.aborted) return false;
      const left = await this.#database.transaction(async (transaction) => {
        const { rows: locks } = await transaction.query<{ free: boolean }>(LOCK);
        if (locks[0]?.free !== true) return undefined;
        const { rows } = await transaction.query<{ expired: number; purged: number }>(
          `select case when $3::int8 is null then 0 else expire_partition($1, $2, $3, $4) end as expired,
             purge_partition($1, $2, $4) as purged`,
          [topic_id, partition, retention_ms, STEP_RECORDS_MAX],
        );
        return (rows[0]?.expired ?? 0) + (rows[0]?.purged ?? 0);
      });
      if (left === undefined) return false;
      if (left === 0) return true;
    }
  }

  async #run(): Promise<void> {
    while (!this.#end.signal.aborted) {
      await this.sweep().catch((fault: unknown) => {
        this.#logger?.warn('bus_sweep_failed', { error: fault instanceof Error ? fault.message : String(fault) });
      });
      await this.#clock.sleep(SWEEP_MS, this.#end.signal);
    }
  }
}
