import { Injectable } from '@nestjs/common';
import type { UtcMicros } from '../../../rails/time.js';
import { Database, type Transaction } from '../../../substrate/database/database.port.js';
import { oneStatement, type Part } from '../../../substrate/database/one-statement.js';
import type { Judgement, TakenIntent } from '../outcome.core.js';
import { type Ended, outcomeParts } from '../outcome.rows.js';
import type { AttemptEnd } from './attempt.core.js';

/** An effect that is asked for outside, as the consumer takes it. */
export interface NewWork {
  readonly semanticKey: string;
  readonly target: string;
  readonly actionType: string;
  /** The intent with its place, as text: what the executor works from. */
  readonly taken: string;
  readonly judgement: Judgement;
  readonly giveUpAt: UtcMicros;
}

/** An effect that somebody is at, or that is to be ended. */
export interface Work {
  readonly semanticKey: string;
  readonly target: string;
  readonly actionType: string;
  readonly taken: Omit<TakenIntent, 'offset'>;
  readonly judgement: Judgement;
  /** The attempt that is under way; of what waits, the last one. */
  readonly attemptNo: number;
  readonly ambiguous: boolean;
  readonly startedAt: UtcMicros | null;
  readonly giveUpAt: UtcMicros;
}

/** What an attempt came to, and what follows: an end, or another attempt. */
export interface Report {
  readonly semanticKey: string;
  readonly permit: string;
  readonly attemptNo: number;
  readonly end: AttemptEnd;
  readonly then: Ended | { readonly dueAt: UtcMicros; readonly ambiguous: boolean };
}

export interface AttemptRow {
  readonly attempt_no: number;
  readonly step: string;
  readonly reason: string | null;
  readonly http_status: number | null;
  readonly at: UtcMicros;
}

export interface Backlog {
  /** By target and state. */
  readonly work: readonly {
    readonly target: string;
    readonly state: string;
    readonly count: number;
    readonly oldest: UtcMicros;
  }[];
}

interface WorkRow {
  readonly semantic_key: string;
  readonly target: string;
  readonly action_type: string;
  readonly taken: string;
  readonly matched_rule_id: string | null;
  readonly policy_rev: Judgement['policyRev'];
  readonly attempt_no: number;
  readonly ambiguous: boolean;
  readonly started_at: UtcMicros | null;
  readonly give_up_at: UtcMicros;
}

const COLUMNS = `semantic_key, target, action_type, taken, matched_rule_id, policy_rev, attempt_no, ambiguous, started_at, give_up_at`;

/** What the executor is to do, for the consumer's statement. */
export function workParts(work: readonly NewWork[], now: UtcMicros): readonly Part[] {
  if (work.length === 0) return [];
  return [
    {
      as: 'to_do',
      text: `insert into work (semantic_key, target, action_type, taken, matched_rule_id, policy_rev, give_up_at, taken_at, due_at)
             select *, $8::timestamptz, $8::timestamptz
             from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::jsonb[], $7::timestamptz[])`,
      values: [
        work.map(({ semanticKey }) => semanticKey),
        work.map(({ target }) => target),
        work.map(({ actionType }) => actionType),
        work.map(({ taken }) => taken),
        work.map(({ judgement }) => judgement.ruleId),
        work.map(({ judgement }) => JSON.stringify(judgement.policyRev)),
        work.map(({ giveUpAt }) => giveUpAt),
        now,
      ],
    },
  ];
}

/** What is under way outside: permits, the journal of attempts, and the ends. */
@Injectable()
export class WorkStore {
  constructor(private readonly database: Database) {}

  /**
   * Takes effects of a target that are due, with a permit and a lease, and writes down that an attempt begins: when this has returned, and not
   * before, something may leave. What another worker took and never told of is due when its lease is over, and stays in doubt.
   */
  async claim(
    target: string,
    limit: number,
    { permit, now, leaseUntil }: { readonly permit: string; readonly now: UtcMicros; readonly leaseUntil: UtcMicros },
  ): Promise<readonly Work[]> {
    return await this.database.transaction(async (transaction) => {
      const due = await transaction.query<{ semantic_key: string; attempt_no: number; permit: string | null }>(
        {
          name: 'al_due',
          text: `select semantic_key, attempt_no, permit from work
                 where target = $1 and due_at <= $2::timestamptz and (lease_until is null or lease_until <= $2::timestamptz)
                 order by due_at limit $3 for update skip locked`,
        },
        [target, now, limit],
      );
      if (due.rows.length === 0) return [];
      await this.#leaveInDoubt(transaction, due.rows, now);
      const { rows } = await transaction.query<WorkRow>(
        {
          name: 'al_claim',
          text: `update work set state = 'IN_FLIGHT', attempt_no = attempt_no + 1, ambiguous = ambiguous or permit is not null,
                   started_at = coalesce(started_at, $3::timestamptz), permit = $2::uuid, lease_until = $4::timestamptz
                 where semantic_key = any($1::text[]) returning ${COLUMNS}`,
        },
        [due.rows.map(({ semantic_key }) => semantic_key), permit, now, leaseUntil],
      );
      await transaction.query(
        {
          name: 'al_started',
          text: `insert into attempts (semantic_key, attempt_no, step, permit, at)
                 select key, number, 'STARTED', $3::uuid, $4::timestamptz from unnest($1::text[], $2::integer[]) as new (key, number)`,
        },
        [rows.map(({ semantic_key }) => semantic_key), rows.map(({ attempt_no }) => attempt_no), permit, now],
      );
      return rows.map(workOf);
    });
  }

  /**
   * How attempts ended, with what follows, in one commit. A report whose permit was lost meanwhile changes nothing: somebody else is at it.
   * @returns those that counted
   */
  async report(reports: readonly Report[], now: UtcMicros): Promise<readonly Report[]> {
    if (reports.length === 0) return [];
    return await this.database.transaction(async (transaction) => {
      const held = await transaction.query<{ semantic_key: string }>(
        {
          name: 'al_held',
          text: `select semantic_key from work
                 where (semantic_key, permit) in (select * from unnest($1::text[], $2::uuid[])) for update`,
        },
        [reports.map(({ semanticKey }) => semanticKey), reports.map(({ permit }) => permit)],
      );
      const mine = new Set(held.rows.map(({ semantic_key }) => semantic_key));
      const counted = reports.filter(({ semanticKey }) => mine.has(semanticKey));
      if (counted.length === 0) return [];
      await transaction.query(
        {
          name: 'al_ended',
          text: `insert into attempts (semantic_key, attempt_no, step, reason, http_status, permit, at)
                 select *, $7::timestamptz from unnest($1::text[], $2::integer[], $3::text[], $4::text[], $5::integer[], $6::uuid[])`,
        },
        [
          counted.map(({ semanticKey }) => semanticKey),
          counted.map(({ attemptNo }) => attemptNo),
          counted.map(({ end }) => end.step),
          counted.map(({ end }) => end.reason),
          counted.map(({ end }) => end.httpStatus ?? null),
          counted.map(({ permit }) => permit),
          now,
        ],
      );
      const again = counted.flatMap(({ semanticKey, then }) => ('dueAt' in then ? [{ semanticKey, ...then }] : []));
      if (again.length > 0)
        await transaction.query(
          {
            name: 'al_again',
            text: `update work set state = 'ACTIVE', permit = null, lease_until = null, due_at = again.due_at, ambiguous = again.ambiguous
                   from unnest($1::text[], $2::timestamptz[], $3::boolean[]) as again (key, due_at, ambiguous) where semantic_key = again.key`,
          },
          [
            again.map(({ semanticKey }) => semanticKey),
            again.map(({ dueAt }) => dueAt),
            again.map(({ ambiguous }) => ambiguous),
          ],
        );
      await end(
        transaction,
        counted.flatMap(({ then }) => ('made' in then ? [then] : [])),
        now,
      );
      return counted;
    });
  }

  /**
   * Ends what waits and will not be attempted any more: past its time, of a type that was switched off, of a target that is gone. What somebody is at
   * is left to them until the lease is over.
   */
  async endWaiting(
    {
      targets,
      switchedOff,
      revision,
      all,
    }: {
      readonly targets: readonly string[];
      readonly switchedOff: readonly string[];
      /** Of the policy that names them: what a higher one has taken may have a target that this one does not know yet. */
      readonly revision: number;
      readonly all: boolean;
    },
    now: UtcMicros,
    limit: number,
    make: (work: Work) => Ended,
  ): Promise<readonly Ended[]> {
    return await this.database.transaction(async (transaction) => {
      const { rows } = await transaction.query<WorkRow & { readonly permit: string | null }>(
        {
          name: 'al_waiting',
          text: `select ${COLUMNS}, permit from work
                 where (lease_until is null or lease_until <= $1::timestamptz)
                   and ($2 or give_up_at <= $1::timestamptz or action_type = any($3::text[])
                   or (target <> all($4::text[]) and (policy_rev ->> 'revision')::bigint <= $6))
                 order by taken_at limit $5 for update skip locked`,
        },
        [now, all, switchedOff, targets, limit, revision],
      );
      if (rows.length === 0) return [];
      await this.#leaveInDoubt(transaction, rows, now);
      const ended = rows.map((row) => make({ ...workOf(row), ambiguous: row.ambiguous || row.permit !== null }));
      await end(transaction, ended, now);
      return ended;
    });
  }

  async attempts(semanticKey: string): Promise<readonly AttemptRow[]> {
    const { rows } = await this.database.query<AttemptRow>(
      {
        text: 'select attempt_no, step, reason, http_status, at from attempts where semantic_key = $1 order by attempt_no, ended',
        readOnly: true,
      },
      [semanticKey],
    );
    return rows;
  }

  async backlog(): Promise<Backlog> {
    const { rows } = await this.database.query<Backlog['work'][number]>({
      name: 'al_backlog',
      text: 'select target, state, count(*)::integer as count, min(taken_at) as oldest from work group by target, state order by target, state',
      readOnly: true,
    });
    return { work: rows };
  }

  /** Whoever held a permit and never told: nobody knows, and the journal says that. */
  async #leaveInDoubt(
    transaction: Transaction,
    rows: readonly { readonly semantic_key: string; readonly attempt_no: number; readonly permit: string | null }[],
    now: UtcMicros,
  ): Promise<void> {
    const lost = rows.filter(({ permit }) => permit !== null);
    if (lost.length === 0) return;
    await transaction.query(
      {
        name: 'al_lost',
        text: `insert into attempts (semantic_key, attempt_no, step, reason, permit, at)
               select key, number, 'UNKNOWN', 'LEASE_EXPIRED', permit, $4::timestamptz
               from unnest($1::text[], $2::integer[], $3::uuid[]) as lost (key, number, permit)`,
      },
      [
        lost.map(({ semantic_key }) => semantic_key),
        lost.map(({ attempt_no }) => attempt_no),
        lost.map(({ permit }) => permit),
        now,
      ],
    );
  }
}

async function end(transaction: Transaction, ended: readonly Ended[], now: UtcMicros): Promise<void> {
  if (ended.length === 0) return;
  const gone: Part = {
    as: 'gone',
    text: 'delete from work where semantic_key = any($1::text[])',
    values: [ended.map(({ semanticKey }) => semanticKey)],
  };
  const { statement, values } = oneStatement('al_end', [...outcomeParts(ended, now), gone]);
  await transaction.query(statement, values);
}

function workOf(row: WorkRow): Work {
  return {
    semanticKey: row.semantic_key,
    target: row.target,
    actionType: row.action_type,
    taken: JSON.parse(row.taken) as Work['taken'],
    judgement: { policyRev: row.policy_rev, ruleId: row.matched_rule_id },
    attemptNo: row.attempt_no,
    ambiguous: row.ambiguous,
    startedAt: row.started_at,
    giveUpAt: row.give_up_at,
  };
}
