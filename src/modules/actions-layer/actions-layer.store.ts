import { Injectable } from '@nestjs/common';
import { isProbityError } from '../../rails/errors/probity-error.js';
import { isOtherType } from '../../rails/events/read-event.js';
import type { UtcMicros } from '../../rails/time.js';
import type { OutgoingRecord, Position, PositionStore, TopicPartition } from '../../substrate/bus/bus.port.js';
import { type BatchEnd, movedPart, readPositions } from '../../substrate/bus/position-table.js';
import { Database } from '../../substrate/database/database.port.js';
import { oneStatement, type Part } from '../../substrate/database/one-statement.js';
import { ROW_EFFECTS, type RowEffect } from './actions-layer.policy.js';
import type { MadeOutcome, TakenIntent } from './outcome.core.js';
import { outcomeParts } from './outcome.rows.js';
import { type NewWork, workParts } from './outward/work.store.js';

/** An intent that is judged, with what comes of it: an end in the same commit, with its row where it has one, or work for the executor. */
export interface Judged extends TakenIntent {
  readonly semanticKey: string;
  readonly fingerprint: string;
  readonly then:
    | { readonly kind: 'ended'; readonly made: MadeOutcome; readonly effect: RowEffect | null }
    | { readonly kind: 'outward'; readonly work: NewWork };
}

export interface RefusedIntent {
  readonly offset: number;
  readonly reason: string;
  readonly detail: string;
}

export interface ActionRow {
  readonly semantic_key: string;
  readonly idempotency_key: string;
  readonly run_id: string;
  readonly decision_id: string;
  readonly action_domain: string;
  readonly action_type: string;
  readonly target_type: string;
  readonly target_id: string;
  /** EXECUTED, DENIED, FAILED; of what is under way ACTIVE (an attempt is due) or IN_FLIGHT. */
  readonly status: string;
  readonly reason_codes: readonly string[];
  readonly matched_rule_id: string | null;
  readonly outcome_id: string | null;
  readonly published: boolean;
  readonly taken_at: UtcMicros;
  readonly completed_at: UtcMicros | null;
  readonly number: number;
}

export interface DispositionRow {
  readonly run_id: string;
  readonly target_type: string;
  readonly target_id: string;
  readonly decision_id: string;
  readonly outcome: string;
  readonly reason_codes: readonly string[];
  readonly recorded_at: UtcMicros;
}

export interface CaseRow extends Omit<DispositionRow, 'recorded_at'> {
  readonly number: number;
  readonly queued_at: UtcMicros;
}

export interface NotificationRow extends Omit<DispositionRow, 'recorded_at'> {
  readonly number: number;
  readonly notified_at: UtcMicros;
}

export interface Unpublished {
  readonly number: number;
  readonly event: string;
}

const ACTION = `select i.semantic_key, i.idempotency_key, i.run_id, i.decision_id, i.action_domain, i.action_type, i.target_type, i.target_id,
  coalesce(o.status, w.state) as status, coalesce(o.reason_codes, '[]'::jsonb) as reason_codes,
  coalesce(o.matched_rule_id, w.matched_rule_id) as matched_rule_id, o.outcome_id,
  o.outcome_id is not null and b.number is null as published, i.taken_at, o.completed_at, i.number
  from intents i left join outcomes o using (semantic_key) left join outbox b using (semantic_key) left join work w using (semantic_key)`;

const EFFECT_TABLES: Readonly<Record<RowEffect, { readonly table: string; readonly time: string }>> = {
  record: { table: 'dispositions', time: 'recorded_at' },
  case_queue: { table: 'case_queue', time: 'queued_at' },
  notify: { table: 'notifications', time: 'notified_at' },
};

/** The schema `actions`: intents, effects, outcomes, and what is still to be told. */
@Injectable()
export class ActionsLayerStore implements PositionStore {
  constructor(private readonly database: Database) {}

  async positions(partitions: readonly TopicPartition[]): Promise<readonly Position[]> {
    return await readPositions(this.database, partitions);
  }

  wakesOn(record: OutgoingRecord): boolean {
    return this.needs(record);
  }

  needs({ value }: OutgoingRecord): boolean {
    return !isOtherType(value, (type) => type === 'action_intent');
  }

  /**
   * A batch in one transaction: intents that are new with their effects, outcomes and messages, conflicts as evidence, and the position. So an
   * effect is there exactly once, whatever dies, and a wish that comes again finds it there.
   *
   * That an intent is known is found out by a key that refuses it: most batches are new altogether, and only then is it worth asking.
   * @returns how many were new, known before, and in conflict
   */
  async take(
    at: BatchEnd,
    judged: readonly Judged[],
    refused: readonly RefusedIntent[],
    now: UtcMicros,
  ): Promise<{ readonly fresh: readonly Judged[]; readonly duplicates: number; readonly conflicts: number }> {
    let known: ReadonlyMap<string, string> = new Map();
    for (;;) {
      const { fresh, conflicts } = sortOut(judged, known);
      const parts = [
        ...freshParts(fresh, now),
        ...conflictParts(at, conflicts, now),
        ...refusedParts(at, refused),
        movedPart(at),
      ];
      const { statement, values } = oneStatement('al_batch', parts);
      try {
        await this.database.query(statement, values);
        return { fresh, duplicates: judged.length - fresh.length - conflicts.length, conflicts: conflicts.length };
      } catch (error) {
        // Which key is hit first is the server's choice: each of these tables has an intent once. Without news it was another constraint.
        const found = isProbityError(error, 'DATABASE_CONSTRAINT') ? await this.#fingerprints(judged) : known;
        if (found.size === known.size) throw error;
        known = found;
      }
    }
  }

  async #fingerprints(judged: readonly Judged[]): Promise<ReadonlyMap<string, string>> {
    const { rows } = await this.database.query<{ semantic_key: string; intent_fingerprint: string }>(
      {
        name: 'al_known',
        text: 'select semantic_key, intent_fingerprint from intents where semantic_key = any($1::text[])',
        readOnly: true,
      },
      [judged.map(({ semanticKey }) => semanticKey)],
    );
    return new Map(rows.map(({ semantic_key, intent_fingerprint }) => [semantic_key, intent_fingerprint]));
  }

  /** Outcomes that wait for the gate, oldest first; those that were quarantined wait for a person. */
  async unpublished(limit: number): Promise<readonly Unpublished[]> {
    const { rows } = await this.database.query<Unpublished>(
      {
        name: 'al_unpublished',
        text: `select b.number, o.event from outbox b join outcomes o using (semantic_key)
               where b.quarantined is null order by b.number limit $1`,
        readOnly: true,
      },
      [limit],
    );
    return rows;
  }

  async published(numbers: readonly number[]): Promise<void> {
    await this.database.query('delete from outbox where number = any($1::bigint[])', [numbers]);
  }

  async quarantined(number: number, reasons: readonly string[]): Promise<void> {
    await this.database.query('update outbox set quarantined = $2 where number = $1', [
      number,
      JSON.stringify(reasons),
    ]);
  }

  async outbox(): Promise<{
    readonly waiting: number;
    readonly quarantined: number;
    readonly oldest: UtcMicros | null;
  }> {
    const { rows } = await this.database.query<{ waiting: number; quarantined: number; oldest: UtcMicros | null }>({
      text: `select count(*) filter (where quarantined is null)::integer as waiting,
               count(quarantined)::integer as quarantined, min(o.completed_at) filter (where quarantined is null) as oldest
             from outbox join outcomes o using (semantic_key)`,
      readOnly: true,
    });
    return rows[0] ?? { waiting: 0, quarantined: 0, oldest: null };
  }

  async action(idempotencyKey: string): Promise<ActionRow | null> {
    const { rows } = await this.database.query<ActionRow>(
      { text: `${ACTION} where i.idempotency_key = $1`, readOnly: true },
      [idempotencyKey],
    );
    return rows[0] ?? null;
  }

  async actions(query: {
    readonly limit: number;
    readonly before?: number;
    readonly decision_id?: string;
    readonly status?: string;
  }): Promise<readonly ActionRow[]> {
    const { rows } = await this.database.query<ActionRow>(
      {
        text: `${ACTION} where ($2::bigint is null or i.number < $2) and ($3::text is null or i.decision_id = $3)
               and ($4::text is null or coalesce(o.status, w.state) = $4) order by i.number desc limit $1`,
        readOnly: true,
      },
      [query.limit, query.before ?? null, query.decision_id ?? null, query.status ?? null],
    );
    return rows;
  }

  async dispositions(targetId: string, runId: string | null): Promise<readonly DispositionRow[]> {
    const { rows } = await this.database.query<DispositionRow>(
      {
        text: `select run_id, target_type, target_id, decision_id, outcome, reason_codes, recorded_at from dispositions
               where target_id = $1 and ($2::text is null or run_id = $2) order by recorded_at desc limit 100`,
        readOnly: true,
      },
      [targetId, runId],
    );
    return rows;
  }

  async cases(before: number | null, limit: number): Promise<readonly CaseRow[]> {
    return await this.#list<CaseRow>('case_queue', before, limit);
  }

  async notifications(before: number | null, limit: number): Promise<readonly NotificationRow[]> {
    return await this.#list<NotificationRow>('notify', before, limit);
  }

  async #list<Row>(effect: RowEffect, before: number | null, limit: number): Promise<readonly Row[]> {
    const { table, time } = EFFECT_TABLES[effect];
    const { rows } = await this.database.query<Row>(
      {
        text: `select run_id, target_type, target_id, decision_id, outcome, reason_codes, number, ${time} from ${table}
               where ($1::bigint is null or number < $1) order by number desc limit $2`,
        readOnly: true,
      },
      [before, limit],
    );
    return rows;
  }
}

/** The first wish stands, whoever made it: of this batch, too. */
function sortOut(
  judged: readonly Judged[],
  standing: ReadonlyMap<string, string>,
): { readonly fresh: readonly Judged[]; readonly conflicts: readonly Judged[] } {
  const known = new Map(standing);
  const fresh: Judged[] = [];
  const conflicts: Judged[] = [];
  for (const one of judged) {
    const before = known.get(one.semanticKey);
    if (before === undefined) {
      known.set(one.semanticKey, one.fingerprint);
      fresh.push(one);
    } else if (before !== one.fingerprint) conflicts.push(one);
  }
  return { fresh, conflicts };
}

function freshParts(fresh: readonly Judged[], now: UtcMicros): readonly Part[] {
  if (fresh.length === 0) return [];
  const intents: Part = {
    as: 'taken',
    text: `insert into intents (semantic_key, intent_fingerprint, idempotency_key, run_id, decision_id, action_domain,
             action_type, target_type, target_id, taken_at)
           select *, $10::timestamptz from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[],
             $7::text[], $8::text[], $9::text[])`,
    values: [
      fresh.map(({ semanticKey }) => semanticKey),
      fresh.map(({ fingerprint }) => fingerprint),
      fresh.map(({ intent }) => intent.idempotency_key),
      fresh.map(({ pins }) => pins.run_id),
      fresh.map(({ intent }) => intent.decision_id),
      fresh.map(({ intent }) => intent.action_domain),
      fresh.map(({ intent }) => intent.action_type),
      fresh.map(({ intent }) => intent.target.type),
      fresh.map(({ intent }) => intent.target.id),
      now,
    ],
  };
  const ended = fresh.flatMap(({ semanticKey, then }) =>
    then.kind === 'ended' ? [{ semanticKey, made: then.made }] : [],
  );
  const work = fresh.flatMap(({ then }) => (then.kind === 'outward' ? [then.work] : []));
  const effects = ROW_EFFECTS.flatMap((effect) =>
    effectParts(
      EFFECT_TABLES[effect],
      fresh.filter(({ then }) => then.kind === 'ended' && then.effect === effect),
      now,
    ),
  );
  return [intents, ...outcomeParts(ended, now), ...workParts(work, now), ...effects];
}

/** The effects of one kind; the primary key would refuse a second one. */
function effectParts(
  { table, time }: { readonly table: string; readonly time: string },
  of: readonly Judged[],
  now: UtcMicros,
): readonly Part[] {
  if (of.length === 0) return [];
  return [
    {
      as: `into_${table}`,
      text: `insert into ${table} (semantic_key, run_id, target_type, target_id, decision_id, outcome, reason_codes, ${time})
             select *, $8::timestamptz from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::jsonb[])`,
      values: [
        of.map(({ semanticKey }) => semanticKey),
        of.map(({ pins }) => pins.run_id),
        of.map(({ intent }) => intent.target.type),
        of.map(({ intent }) => intent.target.id),
        of.map(({ intent }) => intent.decision_id),
        of.map(({ intent }) => intent.outcome),
        of.map(({ intent }) => JSON.stringify(intent.reason_codes)),
        now,
      ],
    },
  ];
}

function conflictParts(
  { topic, partition }: TopicPartition,
  conflicts: readonly Judged[],
  now: UtcMicros,
): readonly Part[] {
  if (conflicts.length === 0) return [];
  return [
    {
      as: 'in_conflict',
      text: `insert into conflicts (topic, partition, semantic_key, intent_fingerprint, record_offset, seen_at)
             select $1, $2::integer, *, $6::timestamptz from unnest($3::text[], $4::text[], $5::bigint[]) on conflict do nothing`,
      values: [
        topic,
        partition,
        conflicts.map(({ semanticKey }) => semanticKey),
        conflicts.map(({ fingerprint }) => fingerprint),
        conflicts.map(({ offset }) => offset),
        now,
      ],
    },
  ];
}

function refusedParts({ topic, partition }: TopicPartition, refused: readonly RefusedIntent[]): readonly Part[] {
  if (refused.length === 0) return [];
  return [
    {
      as: 'passed_by',
      text: `insert into refused (topic, partition, record_offset, reason, detail)
             select $1, $2::integer, * from unnest($3::bigint[], $4::text[], $5::text[]) on conflict do nothing`,
      values: [
        topic,
        partition,
        refused.map(({ offset }) => offset),
        refused.map(({ reason }) => reason),
        refused.map(({ detail }) => detail),
      ],
    },
  ];
}
