import { Injectable } from '@nestjs/common';
import type { RunPins } from '../../rails/pins.js';
import type { PolicyRev } from '../../rails/policy-rev.js';
import type { UtcMicros } from '../../rails/time.js';
import type { Position, PositionStore, TopicPartition } from '../../substrate/bus/bus.port.js';
import { type BatchEnd, movePosition, readPositions } from '../../substrate/bus/position-table.js';
import { Database, type Transaction } from '../../substrate/database/database.port.js';
import type { Counts, Quarantined, RowPlace } from './answers.core.js';
import type { Pace, StreamState } from './world-stream-producer.port.js';

export interface Reason {
  readonly code: string;
  readonly detail: string;
}

/** How far a stream is, as the checkpoint has it. All of one moment. */
export interface Progress extends Counts {
  readonly state: StreamState;
  readonly reason: Reason | null;
  readonly in_flight: number;
  readonly next_rows: Readonly<Record<string, number>>;
  readonly last_place: RowPlace | null;
  readonly sim_now_utc: UtcMicros | null;
  readonly quarantined_examples: readonly Quarantined[];
  readonly changed_at: UtcMicros;
}

export interface StreamRow extends Progress {
  readonly run_id: string;
  readonly pins: RunPins;
  readonly pass: number;
  readonly wanted: boolean;
  readonly pace: Pace;
  readonly rows_total: number;
  readonly judged_sent: number;
  readonly judged_quarantined: number;
  readonly started_at: UtcMicros;
  readonly fence: number;
}

export interface NewStream {
  readonly pins: RunPins;
  readonly pace: Pace;
  readonly rows_total: number;
  readonly now: UtcMicros;
}

/** Whose writes count: another holder has another fence. */
export interface Lease {
  readonly run_id: string;
  readonly holder: string;
  readonly fence: number;
}

/** What the row says that its holder may not know yet. */
export interface Wanted {
  readonly wanted: boolean;
  readonly pace: Pace;
}

export type ReadyOutcome = 'STARTED' | 'NOT_ASKED_FOR' | 'NUDGED' | 'NOTHING_TO_STREAM' | 'REFUSED';

export interface SeenReady {
  readonly message_id: string;
  readonly run_id: string;
  readonly outcome: ReadyOutcome;
  readonly detail: string | null;
  /** With STARTED. */
  readonly stream: NewStream | null;
}

const COLUMNS = `run_id, pins, pass, state, wanted, reason, pace, rows_total, admitted, duplicate, quarantined, in_flight, next_rows,
  last_place, sim_now_utc, quarantined_examples, judged_sent, judged_quarantined, started_at, changed_at, fence`;

const FREE = '(lease_until is null or lease_until < clock_timestamp())';

/** Of `ask`. On the columns themselves and not on a sub-select, so that of two that ask at once the second sees what the first did. */
const ANEW = `(state = 'COMPLETED' and $3)`;
const RESUMED = `(not wanted and state <> 'COMPLETED')`;

const PROGRESS = {
  state: '$4',
  reason: '$5',
  admitted: '$6',
  duplicate: '$7',
  quarantined: '$8',
  in_flight: '$9',
  next_rows: '$10',
  last_place: '$11',
  sim_now_utc: '$12',
  quarantined_examples: '$13',
  changed_at: '$14',
} as const;

/** The schema `wsp`: how far each stream is, who drives it, and what the control topic said. */
@Injectable()
export class WorldStreamProducerStore implements PositionStore {
  constructor(private readonly database: Database) {}

  async find(runId: string): Promise<StreamRow | null> {
    const text = `select ${COLUMNS} from streams where run_id = $1`;
    const { rows } = await this.database.query<StreamRow>({ text, readOnly: true }, [runId]);
    return rows[0] ?? null;
  }

  /** Nothing happens where the run has a stream already. */
  async create(stream: NewStream): Promise<void> {
    await insertStreams(this.database, [stream]);
  }

  /**
   * Somebody wants the run streamed. What has ended before its time goes on from where it stood, what is under way stays as it is; what is
   * complete begins again only with `again`, whose second call finds the new pass under way and begins none.
   */
  async ask(
    runId: string,
    { pace, again, now }: { readonly pace: Pace | null; readonly again: boolean; readonly now: UtcMicros },
  ): Promise<void> {
    await this.database.query(
      `update streams set
         pace = coalesce($2, pace),
         pass = case when ${ANEW} then pass + 1 else pass end,
         state = case when ${ANEW} or ${RESUMED} then 'VERIFYING' else state end,
         wanted = wanted or ${ANEW} or ${RESUMED},
         reason = case when ${ANEW} or ${RESUMED} then null else reason end,
         admitted = case when ${ANEW} then 0 else admitted end,
         duplicate = case when ${ANEW} then 0 else duplicate end,
         quarantined = case when ${ANEW} then 0 else quarantined end,
         next_rows = case when ${ANEW} then '{}' else next_rows end,
         last_place = case when ${ANEW} then null else last_place end,
         sim_now_utc = case when ${ANEW} then null else sim_now_utc end,
         quarantined_examples = case when ${ANEW} then '[]' else quarantined_examples end,
         judged_sent = case when ${ANEW} then 0 when ${RESUMED} then admitted + duplicate + quarantined else judged_sent end,
         judged_quarantined = case when ${ANEW} then 0 when ${RESUMED} then quarantined else judged_quarantined end,
         started_at = case when ${ANEW} then $4 else started_at end,
         changed_at = case when ${ANEW} or ${RESUMED} then $4 else changed_at end
       where run_id = $1`,
      [runId, pace === null ? null : JSON.stringify(pace), again, now],
    );
  }

  /** Nobody wants it any longer; who drives it learns so at the next checkpoint. What is driven by nobody is PAUSED at once. */
  async unwant(runId: string, reason: Reason, now: UtcMicros): Promise<void> {
    await this.database.query(
      `update streams set wanted = false,
         state = case when ${FREE} then 'PAUSED' else state end,
         reason = case when ${FREE} then $2 else reason end,
         in_flight = case when ${FREE} then 0 else in_flight end,
         changed_at = $3
       where run_id = $1 and wanted`,
      [runId, JSON.stringify(reason), now],
    );
  }

  /** Takes the stream up if it is wanted and has no holder. The row as it then is, or null. */
  async acquire(runId: string, holder: string, leaseMs: number): Promise<StreamRow | null> {
    const { rows } = await this.database.query<StreamRow>(
      `update streams set holder = $2, fence = fence + 1, lease_until = clock_timestamp() + make_interval(secs => $3 / 1000.0)
       where run_id = $1 and wanted and ${FREE} returning ${COLUMNS}`,
      [runId, holder, leaseMs],
    );
    return rows[0] ?? null;
  }

  /** Checkpoint and renewal in one; null when another one holds the stream now, and nothing was written. */
  async save(lease: Lease, progress: Progress, leaseMs: number): Promise<Wanted | null> {
    const { rows } = await this.database.query<Wanted>(
      {
        name: 'wsp_save',
        text: `update streams set ${assignments(PROGRESS)}, lease_until = clock_timestamp() + make_interval(secs => $15 / 1000.0)
          where run_id = $1 and holder = $2 and fence = $3 returning wanted, pace`,
      },
      [...fenced(lease), ...valuesOf(progress), leaseMs],
    );
    return rows[0] ?? null;
  }

  /**
   * The last checkpoint of a holder, which gives the stream up with it. With `stays` it is still wanted, and somebody else goes on; a stream
   * that was asked for again while it was being paused is so, too, whatever its state says.
   */
  async release(lease: Lease, progress: Progress, stays: 'wanted' | 'unwanted' | 'as asked'): Promise<void> {
    const { state: _state, reason: _reason, ...rest } = PROGRESS;
    await this.database.query(
      `update streams set ${assignments(rest)}, holder = null, lease_until = null, wanted = wanted and $15,
         state = case when $16 and wanted then 'VERIFYING' else $4 end,
         reason = case when $16 and wanted then null else $5::jsonb end
       where run_id = $1 and holder = $2 and fence = $3`,
      [...fenced(lease), ...valuesOf(progress), stays !== 'unwanted', stays === 'as asked'],
    );
  }

  /** The end of a pass, and the fact of it, in one. */
  async complete(
    lease: Lease,
    progress: Progress,
    made: { readonly policyRev: PolicyRev; readonly version: string; readonly env: string },
  ): Promise<void> {
    await this.database.transaction(async (transaction) => {
      const { count } = await transaction.query(
        `update streams set ${assignments(PROGRESS)}, holder = null, lease_until = null, wanted = false
         where run_id = $1 and holder = $2 and fence = $3`,
        [...fenced(lease), ...valuesOf(progress)],
      );
      if (count === 0) return;
      await transaction.query(
        `insert into passes (run_id, pass, pins, rows_total, admitted, duplicate, quarantined, last_place, policy_rev,
           component_version, env, started_at, completed_at)
         select run_id, pass, pins, rows_total, admitted, duplicate, quarantined, last_place, $2, $3, $4, started_at, changed_at
         from streams where run_id = $1`,
        [lease.run_id, JSON.stringify(made.policyRev), made.version, made.env],
      );
    });
  }

  /** Streams that ought to be driven and are not. */
  async orphans(): Promise<readonly string[]> {
    const text = `select run_id from streams where wanted and ${FREE} order by run_id limit 1000`;
    const { rows } = await this.database.query<{ run_id: string }>({ text, readOnly: true });
    return rows.map(({ run_id }) => run_id);
  }

  async wish(runId: string, pace: Pace, now: UtcMicros): Promise<void> {
    await this.database.query(
      `insert into wishes (run_id, pace, asked_at) values ($1, $2, $3)
       on conflict (run_id) do update set pace = excluded.pace, asked_at = excluded.asked_at`,
      [runId, JSON.stringify(pace), now],
    );
  }

  async forgetWish(runId: string): Promise<void> {
    await this.database.query('delete from wishes where run_id = $1', [runId]);
  }

  /** Paces of those of these runs that somebody asked for before they were ready. */
  async wishes(runIds: readonly string[]): Promise<ReadonlyMap<string, Pace>> {
    const text = 'select run_id, pace from wishes where run_id = any($1)';
    const { rows } = await this.database.query<{ run_id: string; pace: Pace }>({ text, readOnly: true }, [runIds]);
    return new Map(rows.map(({ run_id, pace }) => [run_id, pace]));
  }

  /** Those of these messages that were looked at before. */
  async seen(messageIds: readonly string[]): Promise<ReadonlySet<string>> {
    const text = 'select message_id from ready_messages where message_id = any($1)';
    const { rows } = await this.database.query<{ message_id: string }>({ text, readOnly: true }, [messageIds]);
    return new Set(rows.map(({ message_id }) => message_id));
  }

  /** What came of a batch of the control topic, and the position after it, in one transaction (law R5). */
  async take(at: BatchEnd, messages: readonly SeenReady[], now: UtcMicros): Promise<void> {
    await this.database.transaction(async (transaction) => {
      if (messages.length > 0) await this.#takeMessages(transaction, messages, now);
      await movePosition(transaction, at);
    });
  }

  async #takeMessages(transaction: Transaction, messages: readonly SeenReady[], now: UtcMicros): Promise<void> {
    const columns = (name: 'message_id' | 'run_id' | 'outcome' | 'detail') => messages.map((message) => message[name]);
    await transaction.query(
      `insert into ready_messages (message_id, run_id, outcome, detail, seen_at)
       select *, $5::timestamptz from unnest($1::text[], $2::text[], $3::text[], $4::text[])
       on conflict do nothing`,
      [columns('message_id'), columns('run_id'), columns('outcome'), columns('detail'), now],
    );
    const streams = messages.flatMap(({ stream }) => (stream === null ? [] : [stream]));
    if (streams.length === 0) return;
    await insertStreams(transaction, streams);
    await transaction.query('delete from wishes where run_id = any($1)', [streams.map(({ pins }) => pins.run_id)]);
  }

  async positions(partitions: readonly TopicPartition[]): Promise<readonly Position[]> {
    return await readPositions(this.database, partitions);
  }
}

async function insertStreams(database: Pick<Database, 'query'>, streams: readonly NewStream[]): Promise<void> {
  await database.query(
    `insert into streams (run_id, pins, pass, state, wanted, pace, rows_total, started_at, changed_at)
     select run_id, pins, 1, 'VERIFYING', true, pace, rows_total, now, now
     from unnest($1::text[], $2::jsonb[], $3::jsonb[], $4::bigint[], $5::timestamptz[])
       as stream (run_id, pins, pace, rows_total, now)
     on conflict do nothing`,
    [
      streams.map(({ pins }) => pins.run_id),
      streams.map(({ pins }) => JSON.stringify(pins)),
      streams.map(({ pace }) => JSON.stringify(pace)),
      streams.map(({ rows_total }) => rows_total),
      streams.map(({ now }) => now),
    ],
  );
}

function assignments(columns: Readonly<Record<string, string>>): string {
  return Object.entries(columns)
    .map(([column, value]) => `${column} = ${value}`)
    .join(', ');
}

function fenced({ run_id, holder, fence }: Lease): readonly unknown[] {
  return [run_id, holder, fence];
}

function valuesOf(progress: Progress): readonly unknown[] {
  const { state, reason, admitted, duplicate, quarantined, in_flight } = progress;
  return [
    state,
    jsonOrNull(reason),
    admitted,
    duplicate,
    quarantined,
    in_flight,
    JSON.stringify(progress.next_rows),
    jsonOrNull(progress.last_place),
    progress.sim_now_utc,
    JSON.stringify(progress.quarantined_examples),
    progress.changed_at,
  ];
}

function jsonOrNull(value: object | null): string | null {
  return value === null ? null : JSON.stringify(value);
}
