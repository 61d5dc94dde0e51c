import { Injectable } from '@nestjs/common';
import type { UtcMicros } from '../../rails/time.js';
import { Database, type Transaction } from '../../substrate/database/database.port.js';
import { REFUSALS_KEPT, type Refused, type Submission } from './submission.core.js';

/** Of one namespace in a run, over all that was ever submitted. */
export interface Written {
  readonly namespace: string;
  readonly submitted: number;
  readonly accepted: number;
  readonly duplicate: number;
  readonly rejected: number;
  /** Labels of it that the ledger holds. */
  readonly in_ledger: number;
}

/** What was submitted and what came of it, for ever; a retry is a submission of its own. */
@Injectable()
export class SubmissionsStore {
  constructor(private readonly database: Database) {}

  /** As part of the transaction that takes the labels. */
  async note(transaction: Transaction, submissions: readonly Submission[], now: UtcMicros): Promise<void> {
    if (submissions.length === 0) return;
    await transaction.query(
      {
        name: 'labels_submitted',
        // Arrays of arrays must be of one length: numbers go as text, and are taken apart there.
        text: `insert into submissions (run_id, namespace, submitted, duplicate, rejected, accepted, refusals, at)
          select run_id, namespace, submitted, duplicate, rejected, accepted::bigint[], refusals, $8::timestamptz
          from unnest($1::text[], $2::text[], $3::integer[], $4::integer[], $5::integer[], $6::text[], $7::jsonb[])
            as new (run_id, namespace, submitted, duplicate, rejected, accepted, refusals)`,
      },
      [
        submissions.map(({ runId }) => runId),
        submissions.map(({ namespace }) => namespace),
        submissions.map(({ submitted }) => submitted),
        submissions.map(({ duplicate }) => duplicate),
        submissions.map(({ rejected }) => rejected),
        submissions.map(({ accepted }) => `{${accepted.join(',')}}`),
        submissions.map(({ refusals }) => JSON.stringify(refusals)),
        now,
      ],
    );
  }

  /** What was refused before it was a label, such as a row that could not be mapped. */
  async noteRefused(
    { runId, namespace }: Pick<Submission, 'runId' | 'namespace'>,
    refusals: readonly Refused[],
    now: UtcMicros,
  ): Promise<void> {
    const { length: count } = refusals;
    if (count === 0) return;
    const submission = { runId, namespace, submitted: count, duplicate: 0, rejected: count, accepted: [] };
    await this.database.transaction(async (transaction) => {
      await this.note(transaction, [{ ...submission, refusals: refusals.slice(0, REFUSALS_KEPT) }], now);
    });
  }

  /** By namespace; the ledger's own count beside what was answered. Sealed worlds do not submit: they are fed. */
  async written(runId: string, without: string): Promise<readonly Written[]> {
    const { rows } = await this.database.query<Written>(
      {
        text: `select namespace, coalesce(submitted, 0) as submitted, coalesce(accepted, 0) as accepted,
                 coalesce(duplicate, 0) as duplicate, coalesce(rejected, 0) as rejected, coalesce(in_ledger, 0) as in_ledger
               from (select namespace, sum(submitted)::bigint as submitted, sum(cardinality(accepted))::bigint as accepted,
                       sum(duplicate)::bigint as duplicate, sum(rejected)::bigint as rejected
                     from submissions where run_id = $1 group by namespace) as s
               full join (select namespace, count(*) as in_ledger from labels where run_id = $1 and namespace <> $2 group by namespace) as l
                 using (namespace)
               order by namespace collate "C"`,
        readOnly: true,
      },
      [runId, without],
    );
    return rows;
  }

  /** Labels of a namespace in a run. */
  async inLedger(runId: string, namespace: string): Promise<number> {
    const { rows } = await this.database.query<{ count: number }>(
      { text: 'select count(*) as count from labels where run_id = $1 and namespace = $2', readOnly: true },
      [runId, namespace],
    );
    return rows[0]?.count ?? 0;
  }

  /** Numbers that were answered as accepted and that the ledger does not hold as labels of this run, and how many they are. */
  async lost(runId: string, max: number): Promise<{ readonly count: number; readonly seqs: readonly number[] }> {
    const { rows } = await this.database.query<{ count: number; seqs: number[] }>(
      {
        text: `with lost as (
                 select seq from (select unnest(accepted) as seq, namespace from submissions where run_id = $1) as told
                 where not exists (select from labels as l where l.seq = told.seq and l.run_id = $1 and l.namespace = told.namespace)
               )
               select (select count(*) from lost) as count, array(select seq from lost order by seq limit $2) as seqs`,
        readOnly: true,
      },
      [runId, max],
    );
    return rows[0] ?? { count: 0, seqs: [] };
  }

  /** The youngest refusals that are kept, by namespace and handle. */
  async refusals(runId: string, max: number): Promise<readonly (Refused & { readonly namespace: string })[]> {
    const { rows } = await this.database.query<Refused & { readonly namespace: string }>(
      {
        text: `select s.namespace, r.value ->> 'handle' as handle, r.value ->> 'code' as code
               from submissions as s cross join jsonb_array_elements(s.refusals) with ordinality as r (value, place)
               where s.run_id = $1 order by s.number desc, r.place limit $2`,
        readOnly: true,
      },
      [runId, max],
    );
    return rows;
  }

  /** Those of these labels that the ledger holds. */
  async standing(labelIds: readonly string[]): Promise<ReadonlySet<string>> {
    const { rows } = await this.database.query<{ label_id: string }>(
      { name: 'labels_there', text: 'select label_id from labels where label_id = any($1::text[])', readOnly: true },
      [labelIds],
    );
    return new Set(rows.map(({ label_id }) => label_id));
  }
}
