import { Injectable } from '@nestjs/common';
import type { Digest } from '../../rails/digest.js';
import { type IdempotencyOutcome, judge } from '../../rails/idempotency.js';
import type { UtcMicros } from '../../rails/time.js';
import type { Position, PositionStore, TopicPartition } from '../../substrate/bus/bus.port.js';
import { type BatchEnd, movePosition, readPositions } from '../../substrate/bus/position-table.js';
import { Database, type Queryable, type Transaction } from '../../substrate/database/database.port.js';
import { after, type CaseRefusal, type Identity, isCaseRefusal, type NewEntry, type Subject } from './case.core.js';
import type { Case, CaseEvent } from './case.schema.js';

/** A wish about one case. */
export interface Wish {
  readonly subject: Subject;
  /** By what it is recognised when it comes again: that of its first entry. */
  readonly identity: Identity;
  /** What it comes to in the case as it stands under its lock, or why to nothing; null for one that is not there yet. */
  readonly entries: (found: Case | null) => readonly NewEntry[] | CaseRefusal;
}

export type Added = { readonly found: Case } & (
  { readonly outcome: IdempotencyOutcome } | { readonly outcome: 'REFUSED'; readonly refusal: CaseRefusal }
);

export interface CasesQuery {
  readonly limit: number;
  readonly before?: number;
  readonly status?: string;
  readonly queue?: string;
  readonly assignee?: string | null;
  readonly runId?: string;
}

export interface Numbered<Value> {
  readonly number: number;
  readonly value: Value;
}

export type Submitted = Extract<CaseEvent, { readonly type: 'LABEL_SUBMITTED' }>;

export type ActionSubmitted = Extract<CaseEvent, { readonly type: 'ACTION_SUBMITTED' }>;

export interface ActionOnItsWay {
  readonly found: Case;
  readonly submitted: ActionSubmitted;
}

export interface TimelineRow {
  readonly number: number;
  readonly case_id: string;
  readonly event: CaseEvent;
}

/** Shared by whoever writes entries; taken alone to see that nobody is writing. The two numbers say `case` and `entr`. */
export const ENTRIES_LOCK = '1667330917, 1701737586';

/** The schema `case_mgmt`: timelines for ever, and the cases that they make. */
@Injectable()
export class CaseWorkbenchStore implements PositionStore {
  constructor(readonly database: Database) {}

  /**
   * Carries out wishes, one writer per case at a time, each whole or not at all; the cases as they are then, in the wishes' order. One that was
   * carried out already is a duplicate, and nothing is asked of the case; where something else was wished for under its identity, a conflict.
   */
  async append(transaction: Transaction, wishes: readonly Wish[], now: UtcMicros): Promise<readonly Added[]> {
    const ids = [...new Set(wishes.map(({ subject }) => subject.case_id as string))].sort();
    // A lock per case, also for one that is not there yet; in the order of ids, so that two batches never wait for each other.
    await transaction.query(
      `select pg_advisory_xact_lock_shared(${ENTRIES_LOCK}), pg_advisory_xact_lock(hashtextextended(id, 0)) from (select id from unnest($1::text[]) as t (id) order by id) as ids`,
      [ids],
    );
    const cases = await casesOf(transaction, ids);
    const standing = await contentsOf(
      transaction,
      wishes.map(({ identity }) => identity.case_event_id as string),
    );
    const rows: { readonly caseId: string; readonly event: CaseEvent; readonly content: Digest }[] = [];
    const outcomes = wishes.map(({ subject, identity, entries }) => {
      const outcome = judge(standing.get(identity.case_event_id), identity.content);
      if (outcome !== 'NEW') return { outcome };
      let found = cases.get(subject.case_id) ?? null;
      const wanted = entries(found);
      if (isCaseRefusal(wanted)) return { outcome: 'REFUSED', refusal: wanted } as const;
      for (const { content, ...entry } of wanted) {
        const event = { ...entry, case_seq: (found?.case_seq ?? 0) + 1, recorded_at_utc: now } as CaseEvent;
        found = after(found, subject, event);
        rows.push({ caseId: subject.case_id, event, content });
        standing.set(event.case_event_id, content);
      }
      if (found !== null) cases.set(subject.case_id, found);
      return { outcome };
    });
    if (rows.length > 0) await insert(transaction, rows, [...new Set(rows.map(({ caseId }) => caseId))], cases, now);
    return wishes.map(({ subject }, index) => {
      const found = cases.get(subject.case_id);
      if (found === undefined) throw new TypeError('a case begins with a trigger');
      return { ...(outcomes[index] ?? { outcome: 'CONFLICT' }), found };
    });
  }

  async moved(transaction: Transaction, at: BatchEnd): Promise<void> {
    await movePosition(transaction, at);
  }

  async find(caseId: string, queryable: Queryable = this.database): Promise<Case | null> {
    return (await casesOf(queryable, [caseId])).get(caseId) ?? null;
  }

  /** Those of them that there are, by id. */
  async findAll(caseIds: readonly string[], queryable: Queryable = this.database): Promise<ReadonlyMap<string, Case>> {
    return await casesOf(queryable, caseIds);
  }

  async timeline(caseId: string, queryable: Queryable = this.database): Promise<readonly CaseEvent[]> {
    const { rows } = await queryable.query<{ event: CaseEvent }>(
      { text: 'select event from timeline where case_id = $1 order by case_seq', readOnly: true },
      [caseId],
    );
    return rows.map(({ event }) => event);
  }

  /** Youngest first. `assignee`: null for those that nobody has. */
  async list({ limit, before, status, queue, assignee, runId }: CasesQuery): Promise<readonly Numbered<Case>[]> {
    const { rows } = await this.database.query<Numbered<Case>>(
      {
        text: `select number, state as value from cases
               where ($2::bigint is null or number < $2) and ($3::text is null or status = $3)
                 and ($4::text is null or queue = $4) and ($5::text is null or run_id = $5)
                 and (not $6::boolean or assignee is not distinct from $7::text)
               order by number desc limit $1`,
        readOnly: true,
      },
      [limit, before ?? null, status ?? null, queue ?? null, runId ?? null, assignee !== undefined, assignee ?? null],
    );
    return rows;
  }

  async counts(): Promise<readonly { readonly queue: string; readonly status: string; readonly cases: number }[]> {
    const { rows } = await this.database.query<{ queue: string; status: string; cases: number }>({
      text: 'select queue, status, count(*) as cases from cases group by queue, status order by queue, status',
      readOnly: true,
    });
    return rows;
  }

  /**
   * The number of the last entry of all timelines, once those that are being written are written: what comes later has a greater one. So all
   * entries up to it are of one moment.
   */
  async lastEntry(): Promise<number> {
    return await this.database.transaction(async (transaction) => {
      await transaction.query(`select pg_advisory_xact_lock(${ENTRIES_LOCK})`);
      const { rows } = await transaction.query<{ last: number }>(
        'select coalesce(max(number), 0) as last from timeline',
      );
      return rows[0]?.last ?? 0;
    });
  }

  /** Timelines as they were when this was the last entry, by case. */
  async timelinesUpTo(caseIds: readonly string[], upto: number): Promise<ReadonlyMap<string, readonly CaseEvent[]>> {
    const { rows } = await this.database.query<{ case_id: string; events: readonly CaseEvent[] }>(
      {
        text: `select case_id, jsonb_agg(event order by case_seq) as events from timeline
               where case_id = any($1::text[]) and number <= $2 group by case_id`,
        readOnly: true,
      },
      [caseIds, upto],
    );
    return new Map(rows.map(({ case_id, events }) => [case_id, events]));
  }

  /**
   * Entries of all cases behind a number, oldest first: the stream of changes. Numbers are given before they commit: where there is something new, what
   * is under way is waited for, or whoever goes on behind the last of a page would pass by an entry that came late.
   */
  async changes(afterNumber: number, limit: number): Promise<readonly TimelineRow[]> {
    if ((await this.#entries(afterNumber, null, 1)).length === 0) return [];
    return await this.#entries(afterNumber, await this.lastEntry(), limit);
  }

  async #entries(after: number, upto: number | null, limit: number): Promise<readonly TimelineRow[]> {
    const { rows } = await this.database.query<TimelineRow>(
      {
        text: `select number, case_id, event from timeline
               where number > $1 and ($2::bigint is null or number <= $2) order by number limit $3`,
        readOnly: true,
      },
      [after, upto, limit],
    );
    return rows;
  }

  /** Wishes of people of which the gate has said nothing yet, oldest case first. */
  async actionsOnTheirWay(limit: number): Promise<readonly ActionOnItsWay[]> {
    const { rows } = await this.database.query<ActionOnItsWay>(
      {
        text: `select c.state as found, t.event as submitted
               from (select state, case_id from cases where actions_submitted > 0 order by number limit $1) as c
               join timeline t on t.case_id = c.case_id and t.type = 'ACTION_SUBMITTED'
               where c.state->'actions' @> jsonb_build_array(
                 jsonb_build_object('intent_id', t.event->'intent_id', 'state', 'SUBMITTED'))
               order by t.number limit $1`,
        readOnly: true,
      },
      [limit],
    );
    return rows;
  }

  /** The cases in which these intents were asked for, by intent. */
  async casesOfIntents(intentIds: readonly string[]): Promise<ReadonlyMap<string, Case>> {
    const { rows } = await this.database.query<{ intent_id: string; state: Case }>(
      {
        text: `select t.event->>'intent_id' as intent_id, c.state from timeline t join cases c using (case_id)
               where t.type = 'ACTION_SUBMITTED' and t.event->>'intent_id' = any($1::text[])`,
        readOnly: true,
      },
      [intentIds],
    );
    return new Map(rows.map(({ intent_id, state }) => [intent_id, state]));
  }

  /** Cases whose label was submitted and not answered, oldest first. */
  async labelsOnTheirWay(limit: number): Promise<readonly Case[]> {
    const { rows } = await this.database.query<{ state: Case }>(
      { text: `select state from cases where label_state = 'PENDING' order by number limit $1`, readOnly: true },
      [limit],
    );
    return rows.map(({ state }) => state);
  }

  /** The last submission of a label in each of these cases, by case. */
  async lastSubmissions(caseIds: readonly string[]): Promise<ReadonlyMap<string, Submitted>> {
    const { rows } = await this.database.query<{ case_id: string; event: Submitted }>(
      {
        text: `select distinct on (case_id) case_id, event from timeline
               where case_id = any($1::text[]) and type = 'LABEL_SUBMITTED' order by case_id, case_seq desc`,
        readOnly: true,
      },
      [caseIds],
    );
    return new Map(rows.map(({ case_id, event }) => [case_id, event]));
  }

  async positions(partitions: readonly TopicPartition[]): Promise<readonly Position[]> {
    return await readPositions(this.database, partitions);
  }
}

async function casesOf(queryable: Queryable, ids: readonly string[]): Promise<Map<string, Case>> {
  const { rows } = await queryable.query<{ case_id: string; state: Case }>(
    { name: 'cases_found', text: 'select case_id, state from cases where case_id = any($1::text[])', readOnly: true },
    [ids],
  );
  return new Map(rows.map(({ case_id, state }) => [case_id, state]));
}

async function contentsOf(transaction: Transaction, ids: readonly string[]): Promise<Map<string, Digest>> {
  const { rows } = await transaction.query<{ case_event_id: string; content: Digest }>(
    {
      name: 'case_events_standing',
      text: 'select case_event_id, content from timeline where case_event_id = any($1::text[])',
    },
    [ids],
  );
  return new Map(rows.map(({ case_event_id, content }) => [case_event_id, content]));
}

async function insert(
  transaction: Transaction,
  rows: readonly { readonly caseId: string; readonly event: CaseEvent; readonly content: Digest }[],
  changedIds: readonly string[],
  cases: ReadonlyMap<string, Case>,
  now: UtcMicros,
): Promise<void> {
  await transaction.query(
    {
      name: 'timeline_inserted',
      text: `insert into timeline (case_id, case_seq, case_event_id, content, type, event, recorded_at)
        select *, $7::timestamptz from unnest($1::text[], $2::integer[], $3::text[], $4::text[], $5::text[], $6::jsonb[])`,
    },
    [
      rows.map(({ caseId }) => caseId),
      rows.map(({ event }) => event.case_seq),
      rows.map(({ event }) => event.case_event_id),
      rows.map(({ content }) => content),
      rows.map(({ event }) => event.type),
      rows.map(({ event }) => JSON.stringify(event)),
      now,
    ],
  );
  const changed = changedIds.flatMap((id) => cases.get(id) ?? []);
  await transaction.query(
    {
      name: 'cases_changed',
      text: `insert into cases (case_id, run_id, status, queue, assignee, label_state, state, actions_submitted, changed_at)
        select *, $9::timestamptz from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::jsonb[], $8::integer[])
        on conflict (case_id) do update set status = excluded.status, queue = excluded.queue, assignee = excluded.assignee,
          label_state = excluded.label_state, state = excluded.state, actions_submitted = excluded.actions_submitted, changed_at = excluded.changed_at,
          marks_state = case when cases.state->'triggers' = excluded.state->'triggers' then cases.marks_state else 'PENDING' end`,
    },
    [
      changed.map(({ case_id }) => case_id),
      changed.map(({ pins }) => pins.run_id),
      changed.map(({ status }) => status),
      changed.map(({ queue }) => queue),
      changed.map(({ assignee }) => assignee),
      changed.map(({ label }) => label.state),
      changed.map((one) => JSON.stringify(one)),
      changed.map(({ actions }) => actions.filter(({ state }) => state === 'SUBMITTED').length),
      now,
    ],
  );
}
