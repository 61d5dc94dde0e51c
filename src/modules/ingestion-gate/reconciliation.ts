import { Injectable } from '@nestjs/common';
import { type Digest } from '../../rails/digest.js';
import { asTopicName } from '../../rails/eb-ref.js';
import { Bus, type BusRecord, type PartitionMarks } from '../../substrate/bus/bus.port.js';
import { Clock } from '../../substrate/clock/clock.port.js';
import { Database, type Transaction } from '../../substrate/database/database.port.js';
import { Policies } from '../../substrate/policy/policy.port.js';
import { type Custody, CustodyWalk } from './custody.core.js';
import { gateFault } from './faults.js';
import { digestsOfText } from './ingestion-gate.core.js';
import { ADMISSION_POLICY } from './ingestion-gate.policy.js';
import { type Reconciliation, TRAFFIC_TOPIC } from './ingestion-gate.port.js';
import { numberArray } from './ledger/arrays.js';
import { envelopeOf, scanTopic } from './ledger/topic-scan.js';
import { eventContentDigest, payloadHash } from '../../rails/envelope.js';
import { Comparer, type Comparison, SortedRows } from './reconciliation.core.js';

/** How long a result waits to be fetched. It is given once: the next question is about what has happened since. */
const RESULT_KEPT_MS = 60_000;
const RUNS_KEPT = 32;
/** Sorting a million rows takes the server seconds, and it is done once per comparison. */
const STATEMENT_TIMEOUT_MS = 600_000;
const PAGE_ROWS = 5_000;

const OPEN_LEDGER = `
  declare ledger no scroll cursor for
  select a.event_id, k.event_type, encode(a.payload_hash, 'hex') as payload_hash, encode(a.content_digest, 'hex') as content_digest
  from admissions as a join kinds as k on k.kind = a.kind
  where a.run = any(array(select r.run from runs as r where r.run_id = $1))
    and a.record_offset < ($2::int8[])[a.partition + 1]
  order by a.event_id`;

const COUNTS = `
  select
    (select count(*) from duplicates as d where d.run = any(array(select r.run from runs as r where r.run_id = $1)))
      as duplicate,
    (select count(*) from quarantines as q where q.run_id = $1) as quarantined`;

interface LedgerRow {
  readonly event_id: string;
  readonly event_type: string;
  readonly payload_hash: Digest;
  readonly content_digest: Digest;
}

type Job =
  | { readonly state: 'RUNNING'; onBus: number }
  | { readonly state: 'DONE'; readonly result: Reconciliation; readonly atMs: number }
  | { readonly state: 'FAILED'; readonly fault: unknown };

/**
 * Whether ledger and bus hold the very same events of a run, found by reading both to the end: no count is derived from
 * offsets, which may have gaps. Both are cut at the same offsets, the high-water marks of the beginning, so that a run may
 * be fed meanwhile. Where bus and ledger do not commit together, an event that is just being admitted may show as not in the
 * ledger: ask again.
 */
@Injectable()
export class Reconciler {
  readonly #topic = asTopicName(TRAFFIC_TOPIC);
  readonly #jobs = new Map<string, Job>();

  constructor(
    private readonly bus: Bus,
    private readonly database: Database,
    private readonly clock: Clock,
    private readonly policies: Policies,
  ) {}

  /** Starts the comparison, says how far it is, or what it came to. */
  reconcile(runId: string): Reconciliation {
    const job = this.#jobs.get(runId);
    if (job?.state === 'FAILED') {
      this.#jobs.delete(runId);
      throw gateFault(job.fault);
    }
    if (job?.state === 'DONE') {
      this.#jobs.delete(runId);
      if (this.clock.monotonicMs() - job.atMs < RESULT_KEPT_MS) return job.result;
    }
    if (job?.state === 'RUNNING') return running(runId, job.onBus);
    this.#start(runId);
    return running(runId, 0);
  }

  #start(runId: string): void {
    const job: Job = { state: 'RUNNING', onBus: 0 };
    this.#keep(runId, job);
    void this.#compare(runId, job).then(
      (result) => this.#keep(runId, { state: 'DONE', result, atMs: this.clock.monotonicMs() }),
      (fault: unknown) => this.#keep(runId, { state: 'FAILED', fault }),
    );
  }

  async #compare(runId: string, job: { onBus: number }): Promise<Reconciliation> {
    const rows = new SortedRows();
    const walk = new CustodyWalk();
    // Most records of other runs are passed over without being parsed.
    const mark = Buffer.from(`"run_id":"${runId}"`);
    const marks = await this.bus.marks(this.#topic);
    for await (const slice of scanTopic(this.bus, { marks, from: 'all' })) {
      for (const { record } of slice) {
        if (!Buffer.from(record.value.buffer, record.value.byteOffset, record.value.byteLength).includes(mark))
          continue;
        const text = Buffer.from(record.value.buffer, record.value.byteOffset, record.value.byteLength).toString(
          'utf8',
        );
        const read = digestsOfText(text) ?? slowlyRead(record);
        const { envelope, payloadHash: payload, contentDigest } = read;
        if (envelope.run_id !== runId) continue;
        walk.see(envelope);
        rows.add({
          eventId: envelope.event_id,
          eventType: envelope.event_type,
          payloadHash: payload,
          contentDigest,
        });
      }
      job.onBus = rows.count;
    }
    const custody = walk.finish();
    return await this.database.transaction((transaction) => this.#merge(transaction, { runId, marks, custody }, rows), {
      isolation: 'repeatable read',
      readOnly: true,
      statementTimeoutMs: STATEMENT_TIMEOUT_MS,
    });
  }

  async #merge(
    transaction: Transaction,
    {
      runId,
      marks,
      custody,
    }: { readonly runId: string; readonly marks: readonly PartitionMarks[]; readonly custody: Custody },
    rows: SortedRows,
  ): Promise<Reconciliation> {
    const { rows: counts } = await transaction.query<{ duplicate: number; quarantined: number }>(COUNTS, [runId]);
    const ends = [...marks].sort((a, b) => a.partition - b.partition).map(({ highWater }) => highWater);
    await transaction.query(OPEN_LEDGER, [runId, numberArray(ends)]);
    const { event_types } = this.policies.inForce(ADMISSION_POLICY).body;
    // What the policy does not know any more was traffic once: nothing else enters without it.
    const comparer = new Comparer(rows.rows(), (eventType) => event_types[eventType]?.class !== 'platform');
    for (;;) {
      const page = await transaction.query<LedgerRow>(`fetch ${PAGE_ROWS} from ledger`);
      comparer.ledger(
        page.rows.map((row) => ({
          eventId: row.event_id,
          eventType: row.event_type,
          payloadHash: row.payload_hash,
          contentDigest: row.content_digest,
        })),
      );
      if (page.rows.length < PAGE_ROWS) break;
    }
    return { ...done(runId, comparer.finish(), counts[0] ?? { duplicate: 0, quarantined: 0 }), custody };
  }

  #keep(runId: string, job: Job): void {
    this.#jobs.delete(runId);
    this.#jobs.set(runId, job);
    if (this.#jobs.size <= RUNS_KEPT) return;
    const [oldest] = [...this.#jobs].find(([, { state }]) => state !== 'RUNNING') ?? [];
    if (oldest !== undefined) this.#jobs.delete(oldest);
  }
}

/** What no gate wrote has digests, too: that is how it is found. */
function slowlyRead(record: BusRecord) {
  const envelope = envelopeOf(record);
  return { envelope, payloadHash: payloadHash(envelope), contentDigest: eventContentDigest(envelope) };
}

function running(runId: string, onBus: number): Reconciliation {
  return {
    state: 'RUNNING',
    run_id: runId as Reconciliation['run_id'],
    admitted: 0,
    duplicate: 0,
    quarantined: 0,
    on_bus: onBus,
    by_type: {},
    missing_on_bus: [],
    not_in_ledger: [],
    more_than_once_on_bus: [],
    other_content: [],
    reconciled: false,
  };
}

function done(
  runId: string,
  found: Comparison,
  { duplicate, quarantined }: { readonly duplicate: number; readonly quarantined: number },
): Reconciliation {
  return {
    ...running(runId, found.onBus),
    state: 'DONE',
    admitted: found.admitted,
    by_type: Object.fromEntries(
      Object.entries(found.byType).map(([type, { admitted, onBus }]) => [type, { admitted, on_bus: onBus }]),
    ),
    duplicate,
    quarantined,
    set_digest: found.setDigest,
    missing_on_bus: [...found.missingOnBus],
    not_in_ledger: [...found.notInLedger],
    more_than_once_on_bus: [...found.moreThanOnce],
    other_content: [...found.otherContent],
    reconciled: found.reconciled,
  };
}
