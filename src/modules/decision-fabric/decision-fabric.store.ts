import { Injectable } from '@nestjs/common';
import type { UtcMicros } from '../../rails/time.js';
import type { Offset, Position, PositionStore, TopicPartition } from '../../substrate/bus/bus.port.js';
import { type BatchEnd, movedPart, readPositions } from '../../substrate/bus/position-table.js';
import { Database } from '../../substrate/database/database.port.js';
import { oneStatement, type Part } from '../../substrate/database/one-statement.js';

/** A decision as it is found again. */
export interface DecisionRow {
  readonly decision_id: string;
  readonly run_id: string;
  readonly event_id: string;
  readonly ts_utc: UtcMicros;
  readonly entity_key: string;
  readonly outcome: string;
  readonly reason_codes: readonly string[];
  readonly score_e6: number | null;
  readonly mode: string;
  readonly partition: number;
  readonly record_offset: Offset;
  readonly source_partition: number;
  readonly source_offset: Offset;
  readonly decided_at: UtcMicros;
}

export interface Incident {
  readonly decision_id: string;
  readonly event_id: string;
  readonly run_id: string;
  readonly reason_codes: readonly string[];
  readonly receipt_id: string;
}

export interface Invalid {
  readonly offset: number;
  readonly reason: string;
  readonly detail: string;
}

/** What a batch came to, written with the position behind it. */
export interface BatchResult {
  readonly at: BatchEnd;
  readonly decisions: readonly DecisionRow[];
  readonly incidents: readonly Incident[];
  readonly invalid: readonly Invalid[];
  readonly now: UtcMicros;
}

export interface Timeout {
  readonly outcome: string;
  readonly deadline_ms: number;
  readonly answered_at: UtcMicros;
}

export interface DecisionsQuery {
  readonly limit: number;
  readonly before?: number;
  readonly entity_key?: string;
  readonly outcome?: string;
  readonly reason?: string;
  readonly run_id?: string;
  readonly from?: UtcMicros;
  readonly to?: UtcMicros;
}

const COLUMNS = `decision_id, run_id, event_id, ts_utc, entity_key, outcome, reason_codes, score_e6, mode, partition, record_offset,
  source_partition, source_offset, decided_at`;

/** The schema `df`: positions, the index of decisions, and what went wrong. */
@Injectable()
export class DecisionFabricStore implements PositionStore {
  constructor(private readonly database: Database) {}

  async positions(partitions: readonly TopicPartition[]): Promise<readonly Position[]> {
    return await readPositions(this.database, partitions);
  }

  /** Decisions and the position behind their triggers, in one statement, which is one transaction (law R5). */
  async save({ at, decisions, incidents, invalid, now }: BatchResult): Promise<void> {
    const parts = [
      ...(decisions.length > 0 ? [decisionsPart(decisions)] : []),
      ...(incidents.length > 0 ? [incidentsPart(incidents, now)] : []),
      ...(invalid.length > 0 ? [invalidPart(at, invalid)] : []),
      movedPart(at),
    ];
    const { statement, values } = oneStatement('df_batch', parts);
    await this.database.query(statement, values);
  }

  async find(decisionId: string): Promise<DecisionRow | null> {
    const text = `select ${COLUMNS} from decisions where decision_id = $1`;
    const { rows } = await this.database.query<DecisionRow>({ text, readOnly: true }, [decisionId]);
    return rows[0] ?? null;
  }

  /** Youngest first; `before` is the number of the last row of the page before. */
  async list(query: DecisionsQuery): Promise<readonly (DecisionRow & { readonly number: number })[]> {
    const values: unknown[] = [];
    const where: string[] = [];
    const and = (condition: (place: string) => string, value: unknown): void => {
      values.push(value);
      where.push(condition(`$${values.length}`));
    };
    if (query.before !== undefined) and((at) => `number < ${at}`, query.before);
    if (query.entity_key !== undefined) and((at) => `entity_key = ${at}`, query.entity_key);
    if (query.outcome !== undefined) and((at) => `outcome = ${at}`, query.outcome);
    if (query.run_id !== undefined) and((at) => `run_id = ${at}`, query.run_id);
    if (query.reason !== undefined) and((at) => `reason_codes @> ${at}::jsonb`, JSON.stringify([query.reason]));
    if (query.from !== undefined) and((at) => `ts_utc >= ${at}`, query.from);
    if (query.to !== undefined) and((at) => `ts_utc < ${at}`, query.to);
    values.push(query.limit);
    const { rows } = await this.database.query<DecisionRow & { readonly number: number }>(
      {
        text: `select ${COLUMNS}, number from decisions ${where.length === 0 ? '' : `where ${where.join(' and ')}`}
               order by number desc limit $${values.length}`,
        readOnly: true,
      },
      values,
    );
    return rows;
  }

  async counts(runId: string): Promise<Readonly<Record<string, number>>> {
    const { rows } = await this.database.query<{ outcome: string; count: number }>(
      {
        text: 'select outcome, count(*)::integer as count from decisions where run_id = $1 group by outcome',
        readOnly: true,
      },
      [runId],
    );
    return Object.fromEntries(rows.map(({ outcome, count }) => [outcome, count]));
  }

  async countsOf(runId: string, eventIds: readonly string[]): Promise<Readonly<Record<string, number>>> {
    const { rows } = await this.database.query<{ outcome: string; count: number }>(
      {
        text: `select outcome, count(*)::integer as count from decisions
               where run_id = $1 and event_id = any($2::text[]) group by outcome`,
        readOnly: true,
      },
      [runId, eventIds],
    );
    return Object.fromEntries(rows.map(({ outcome, count }) => [outcome, count]));
  }

  async addTimeout(decisionId: string, timeout: Timeout): Promise<void> {
    await this.database.query(
      'insert into timeouts (decision_id, outcome, deadline_ms, answered_at) values ($1, $2, $3, $4)',
      [decisionId, timeout.outcome, timeout.deadline_ms, timeout.answered_at],
    );
  }

  async timeouts(decisionId: string): Promise<readonly Timeout[]> {
    const { rows } = await this.database.query<Timeout>(
      {
        text: 'select outcome, deadline_ms, answered_at from timeouts where decision_id = $1 order by answered_at',
        readOnly: true,
      },
      [decisionId],
    );
    return rows;
  }
}

function decisionsPart(rows: readonly DecisionRow[]): Part {
  const column = <Name extends keyof DecisionRow>(name: Name): readonly DecisionRow[Name][] =>
    rows.map((row) => row[name]);
  return {
    as: 'decided',
    text: `insert into decisions (${COLUMNS})
           select * from unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[], $5::text[], $6::text[], $7::jsonb[],
             $8::integer[], $9::text[], $10::integer[], $11::bigint[], $12::integer[], $13::bigint[], $14::timestamptz[])
           on conflict (decision_id) do nothing`,
    values: [
      column('decision_id'),
      column('run_id'),
      column('event_id'),
      column('ts_utc'),
      column('entity_key'),
      column('outcome'),
      rows.map(({ reason_codes }) => JSON.stringify(reason_codes)),
      column('score_e6'),
      column('mode'),
      column('partition'),
      column('record_offset'),
      column('source_partition'),
      column('source_offset'),
      column('decided_at'),
    ],
  };
}

function incidentsPart(rows: readonly Incident[], now: UtcMicros): Part {
  return {
    as: 'quarantined',
    text: `insert into incidents (decision_id, event_id, run_id, reason_codes, receipt_id, seen_at)
           select *, $6::timestamptz from unnest($1::text[], $2::text[], $3::text[], $4::jsonb[], $5::text[])`,
    values: [
      rows.map(({ decision_id }) => decision_id),
      rows.map(({ event_id }) => event_id),
      rows.map(({ run_id }) => run_id),
      rows.map(({ reason_codes }) => JSON.stringify(reason_codes)),
      rows.map(({ receipt_id }) => receipt_id),
      now,
    ],
  };
}

function invalidPart({ topic, partition }: TopicPartition, rows: readonly Invalid[]): Part {
  return {
    as: 'passed_by',
    text: `insert into invalid (topic, partition, record_offset, reason, detail)
           select $1, $2::integer, * from unnest($3::bigint[], $4::text[], $5::text[]) on conflict do nothing`,
    values: [
      topic,
      partition,
      rows.map(({ offset }) => offset),
      rows.map(({ reason }) => reason),
      rows.map(({ detail }) => detail),
    ],
  };
}
