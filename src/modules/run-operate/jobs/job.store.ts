import { Injectable } from '@nestjs/common';
import { type Actor, systemActor } from '../../../rails/actor.js';
import { canonicalJson, type JsonObject } from '../../../rails/canonical-json.js';
import type { Digest } from '../../../rails/digest.js';
import type { GovernanceFactKind } from '../../../rails/events/governance-fact.schema.js';
import { fromEpochMs, type UtcMicros } from '../../../rails/time.js';
import { Clock } from '../../../substrate/clock/clock.port.js';
import { Database, type Transaction } from '../../../substrate/database/database.port.js';
import { demandLease, type Lease } from '../leases.js';
import { OperationFacts, type Told } from '../operation-facts.js';
import { type DeclaredJob, hasEnded, type JobDetail, type JobState, type JobStatus } from './job.schema.js';

interface JobRow {
  readonly number: number;
  readonly op_id: string;
  readonly kind: string;
  readonly scope: JsonObject;
  readonly purpose: string;
  readonly actor: Actor;
  readonly at: UtcMicros;
  readonly state: JobState;
  readonly detail: JobDetail;
  readonly changed_at: UtcMicros;
}

export interface JobStep {
  readonly state: JobState;
  readonly detail: JobDetail;
  readonly actor: Actor;
  readonly at: UtcMicros;
}

const SELECT = `select j.number, j.op_id, j.kind, j.scope, j.purpose, j.actor, j.at, l.state, l.detail, l.at as changed_at
  from jobs as j
  join lateral (select state, detail, at from job_states as s where s.op_id = j.op_id order by seq desc limit 1) as l on true`;
const SELF = systemActor('ops');

export function leaseName(opId: string): string {
  return `job ${opId}`;
}

/** What was declared, and where it got to: facts, all of them. */
@Injectable()
export class JobStore {
  constructor(
    private readonly database: Database,
    private readonly facts: OperationFacts,
    private readonly clock: Clock,
  ) {}

  now(): UtcMicros {
    return fromEpochMs(this.clock.nowMs());
  }

  /** Declares it, once. @returns the digest of the intent that stands: another's where two came under one op_id; null for a new one */
  async declare({ intent, digest, actor }: DeclaredJob): Promise<Digest | null> {
    return await this.database.transaction(async (transaction) => {
      const { count } = await transaction.query(
        `insert into jobs (op_id, kind, intent_digest, scope, purpose, actor, at)
         values ($1, $2, $3, $4::jsonb, $5, $6::jsonb, $7) on conflict (op_id) do nothing`,
        [
          ...[intent.op_id, intent.kind, digest, canonicalJson(intent.scope), intent.purpose],
          ...[canonicalJson(actor), this.now()],
        ],
      );
      if (count === 0) {
        const { rows } = await transaction.query<{ intent_digest: Digest }>(
          'select intent_digest from jobs where op_id = $1',
          [intent.op_id],
        );
        return rows[0]?.intent_digest ?? digest;
      }
      await this.#append(transaction, intent.op_id, 'DECLARED', {}, actor, null);
      return null;
    });
  }

  async find(opId: string): Promise<JobStatus | null> {
    const { rows } = await this.database.query<JobRow>({ text: `${SELECT} where j.op_id = $1`, readOnly: true }, [
      opId,
    ]);
    return rows[0] === undefined ? null : statusOf(rows[0]);
  }

  async steps(opId: string): Promise<readonly JobStep[]> {
    const { rows } = await this.database.query<JobStep>(
      { text: 'select state, detail, actor, at from job_states where op_id = $1 order by seq', readOnly: true },
      [opId],
    );
    return rows;
  }

  /** Youngest first. */
  async list(query: {
    readonly limit: number;
    readonly before?: number;
    readonly kind?: string;
  }): Promise<readonly { readonly number: number; readonly job: JobStatus }[]> {
    const { rows } = await this.database.query<JobRow>(
      {
        text: `${SELECT} where ($2::bigint is null or j.number < $2) and ($3::text is null or j.kind = $3)
               order by j.number desc limit $1`,
        readOnly: true,
      },
      [query.limit, query.before ?? null, query.kind ?? null],
    );
    return rows.map((row) => ({ number: row.number, job: statusOf(row) }));
  }

  /** Jobs that may run and that nobody works on, the longest waiting first. @param unapproved kinds that wait for an approval */
  async idle(unapproved: readonly string[], limit: number): Promise<readonly string[]> {
    const { rows } = await this.database.query<{ op_id: string }>(
      {
        text: `select b.op_id from (${SELECT}) as b left join leases on leases.name = 'job ' || b.op_id
               where b.state not in ('COMPLETED', 'FAILED', 'ABORTED')
                 and not (b.state = 'DECLARED' and b.kind = any($1::text[]))
                 and (leases.name is null or leases.expires_at <= clock_timestamp())
               order by b.number limit $2`,
        readOnly: true,
      },
      [unapproved, limit],
    );
    return rows.map(({ op_id }) => op_id);
  }

  /** Jobs of a kind that have begun and not ended, whoever works on them. */
  async underWay(kind: string): Promise<readonly string[]> {
    const { rows } = await this.database.query<{ op_id: string }>(
      {
        text: `select b.op_id from (${SELECT}) as b where b.kind = $1 and b.state in ('RUNNING', 'VERIFYING')
               order by b.number`,
        readOnly: true,
      },
      [kind],
    );
    return rows.map(({ op_id }) => op_id);
  }

  /** A step of a person. @returns false where the job does not stand in one of these states any more */
  async step(
    opId: string,
    from: readonly JobState[],
    to: JobState,
    actor: Actor,
    detail: JobDetail = {},
  ): Promise<boolean> {
    return await this.database.transaction(async (transaction) => {
      const last = await lockedState(transaction, opId);
      if (last === null || !from.includes(last)) return false;
      await this.#append(transaction, opId, to, detail, actor, null);
      return true;
    });
  }

  /** A step of the holder of the lease. @returns false where the job has ended meanwhile: it was cancelled. @throws LeaseLost */
  async advance(
    opId: string,
    lease: Lease,
    to: JobState,
    detail: JobDetail = {},
    told: readonly Told[] = [],
  ): Promise<boolean> {
    return await this.database.transaction(async (transaction) => {
      await demandLease(transaction, lease);
      const last = await lockedState(transaction, opId);
      if (last === null || hasEnded(last)) return false;
      if (last === to) return true;
      await this.#append(transaction, opId, to, detail, SELF, lease.token);
      await this.facts.append(transaction, { opId, actor: SELF, at: this.now() }, told);
      return true;
    });
  }

  /** The step and what is told of it. */
  async #append(
    transaction: Transaction,
    opId: string,
    state: JobState,
    detail: JobDetail,
    actor: Actor,
    token: number | null,
  ): Promise<void> {
    const at = this.now();
    await transaction.query(
      `insert into job_states (op_id, seq, state, detail, actor, token, at)
       select $1, coalesce(max(seq), 0) + 1, $2, $3::jsonb, $4::jsonb, $5, $6 from job_states where op_id = $1`,
      [opId, state, canonicalJson(detail), canonicalJson(actor), token, at],
    );
    const kind = TOLD_AS[state];
    if (kind === null) return;
    const { rows } = await transaction.query<{ kind: string; purpose: string }>(
      'select kind, purpose from jobs where op_id = $1',
      [opId],
    );
    const job = rows[0];
    const { receipt, code } = detail;
    await this.facts.append(transaction, { opId, actor, at }, [
      {
        ...{ kind, subject: opId, reason: job?.purpose ?? opId },
        detail: { job_kind: job?.kind ?? '', ...(code === undefined ? {} : { code }) },
        evidence: receipt === undefined ? [] : [receipt],
      },
    ]);
  }
}

/** VERIFYING is a part of the work, and no change of anything. */
const TOLD_AS: Readonly<Record<JobState, GovernanceFactKind | null>> = {
  DECLARED: 'JOB_DECLARED',
  APPROVED: 'JOB_APPROVED',
  RUNNING: 'JOB_STARTED',
  VERIFYING: null,
  COMPLETED: 'JOB_COMPLETED',
  FAILED: 'JOB_FAILED',
  ABORTED: 'JOB_ABORTED',
};

/** Steps of a job get their places one after the other. */
async function lockedState(transaction: Transaction, opId: string): Promise<JobState | null> {
  await transaction.query('select pg_advisory_xact_lock(hashtextextended($1, 0))', [leaseName(opId)]);
  const { rows } = await transaction.query<{ state: JobState }>(
    'select state from job_states where op_id = $1 order by seq desc limit 1',
    [opId],
  );
  return rows[0]?.state ?? null;
}

function statusOf({ op_id, kind, scope, purpose, actor, at, state, detail, changed_at }: JobRow): JobStatus {
  return {
    ...{ op_id, kind, scope, purpose, state, detail },
    ...{ declared_by: actor, declared_at_utc: at, changed_at_utc: changed_at },
  };
}
