import { Injectable } from '@nestjs/common';
import { judge } from '../../rails/idempotency.js';
import type { Digest } from '../../rails/digest.js';
import type { Label } from '../../rails/events/label.schema.js';
import { partsOf, targetKey, type LabelTarget } from '../../rails/labels/target.js';
import type { RunPins } from '../../rails/pins.js';
import { fromEpochMicros, toEpochMicros, type UtcMicros } from '../../rails/time.js';
import { Database, type Transaction } from '../../substrate/database/database.port.js';
import { type Entry, type Refusal, type Superseded, supersedesRefusal } from './assertion.core.js';

export type Appended =
  | {
      readonly outcome: 'ACCEPTED' | 'DUPLICATE';
      readonly label_id: Digest;
      readonly seq: number;
      readonly observed: UtcMicros;
    }
  | ({ readonly outcome: 'REJECTED'; readonly label_id?: Digest } & Refusal);

export interface LedgerRow {
  readonly seq: number;
  readonly run_id: string;
  readonly label: Label;
  readonly evidence: Entry['evidence'] | null;
}

interface Standing extends Superseded {
  readonly content: Digest;
  readonly seq: number;
}

/**
 * The ledger of labels: every label under its number, without gaps, for ever. One writer at a time, since the number and the time of a label
 * are the order in which they became known; the row `head` is the lock, and holds the last number and time.
 *
 * What was answered as of a time never changes (law R10): a label is observed after the last one and after every time that somebody was
 * answered as of, whatever the clocks of processes say. So a reader who asks as of later than that raises the time first (`settle`).
 */
@Injectable()
export class LedgerStore {
  constructor(private readonly database: Database) {}

  /** As part of the caller's transaction, in the entries' order; one result for each. */
  async append(transaction: Transaction, entries: readonly Entry[], now: UtcMicros): Promise<readonly Appended[]> {
    if (entries.length === 0) return [];
    const head = await lockedHead(transaction);
    const recorded = later(now, head.settled_at);
    const standing = await standingOf(transaction, entries);
    const rows: (readonly [Entry, Label])[] = [];
    const results = entries.map((entry): Appended => {
      const { label_id } = entry.label;
      const observed = entry.observed ?? recorded;
      const stands = standing.get(label_id);
      // What the batch itself has brought stands, too: each is judged as if it had come alone.
      switch (judge(stands?.content, entry.content)) {
        case 'DUPLICATE':
          if (stands !== undefined)
            return { outcome: 'DUPLICATE', label_id, seq: stands.seq, observed: stands.observed_at_utc };
          break;
        case 'CONFLICT':
          return {
            outcome: 'REJECTED',
            code: 'LBL_IDEMPOTENCY_KEY_CONFLICT',
            detail: 'another content stands under this handle, and stays',
            label_id,
          };
        case 'NEW':
      }
      const key = targetKey(entry.label.target);
      const named = entry.label.supersedes === undefined ? undefined : standing.get(entry.label.supersedes);
      const refusal = supersedesRefusal(entry, key, observed, named);
      if (refusal !== undefined) return { outcome: 'REJECTED', ...refusal };
      const seq = head.seq + rows.length + 1;
      rows.push([entry, { ...entry.label, ledger_seq: seq, observed_at_utc: observed, recorded_at_utc: recorded }]);
      standing.set(label_id, standingOfEntry(entry, seq, observed));
      return { outcome: 'ACCEPTED', label_id, seq, observed };
    });
    if (rows.length > 0) await insert(transaction, rows, recorded);
    return results;
  }

  /** In a transaction of their own. @param note what else is to be kept of it, in the same one */
  async record<Kept>(
    entries: readonly Entry[],
    now: UtcMicros,
    note: (transaction: Transaction, appended: readonly Appended[]) => Promise<Kept>,
  ): Promise<Kept> {
    return await this.database.transaction(
      async (transaction) => await note(transaction, await this.append(transaction, entries, now)),
    );
  }

  /** From now on nothing is observed at this time or before. @returns the last number of the ledger as of then */
  async settle(asOf: UtcMicros): Promise<number> {
    const { rows } = await this.database.query<Head>({ text: 'select seq, settled_at from head', readOnly: true });
    const [head] = rows;
    if (head !== undefined && head.settled_at >= asOf) return head.seq;
    const raised = await this.database.query<Head>(
      `update head set settled_at = greatest(settled_at, $1::timestamptz) returning seq, settled_at`,
      [asOf],
    );
    return raised.rows[0]?.seq ?? 0;
  }

  async head(): Promise<number> {
    const { rows } = await this.database.query<Head>({ text: 'select seq, settled_at from head', readOnly: true });
    return rows[0]?.seq ?? 0;
  }

  /** Labels of one type of these targets of a run that were observed until then and stand at or below a number, by target. */
  async knownOf(
    runId: string,
    labelType: string,
    targets: readonly LabelTarget[],
    { asOf, seqMax }: Cut,
  ): Promise<ReadonlyMap<string, readonly Label[]>> {
    const { rows } = await this.database.query<{ target_key: string; label: Label }>(
      {
        name: 'labels_known',
        text: `select target_key, label from labels
               where run_id = $1 and label_type = $2 and target_key = any($3::text[]) and observed_at <= $4 and seq <= $5`,
        readOnly: true,
      },
      [runId, labelType, targets.map(targetKey), asOf, seqMax],
    );
    return byTarget(rows);
  }

  /** The same for all targets of one kind, in the order of their keys, behind one: at most so many labels, and a target whole or not at all. */
  async knownAfter(
    runId: string,
    labelType: string,
    { after, limit, asOf, seqMax }: Cut & { readonly after: string; readonly limit: number },
  ): Promise<ReadonlyMap<string, readonly Label[]>> {
    const { rows } = await this.database.query<{ target_key: string; label: Label }>(
      {
        name: 'labels_known_after',
        text: `select target_key, label from labels
               where run_id = $1 and label_type = $2 and target_kind = 'EVENT' and target_key > $3
                 and observed_at <= $4 and seq <= $5
               order by target_key, seq limit $6`,
        readOnly: true,
      },
      [runId, labelType, after, asOf, seqMax, limit],
    );
    const known = byTarget(rows);
    const last = rows.at(-1);
    if (rows.length < limit || last === undefined) return known;
    // A page that is full may have been cut within its last target, which then comes with the next, or alone.
    if (known.size === 1) return await this.knownOf(runId, labelType, [last.label.target], { asOf, seqMax });
    known.delete(last.target_key);
    return known;
  }

  /** All that was said, oldest first, behind a number. */
  async list(query: {
    readonly after: number;
    readonly limit: number;
    readonly runId?: string;
    readonly target?: LabelTarget;
    readonly labelType?: string;
    readonly labelValue?: string;
    readonly namespace?: string;
  }): Promise<readonly LedgerRow[]> {
    const { rows } = await this.database.query<LedgerRow>(
      {
        text: `select seq, run_id, label, evidence from labels
               where seq > $1 and ($2::text is null or run_id = $2) and ($3::text is null or target_key = $3)
                 and ($4::text is null or label_type = $4) and ($5::text is null or label_value = $5)
                 and ($6::text is null or namespace = $6)
               order by seq limit $7`,
        readOnly: true,
      },
      [
        query.after,
        query.runId ?? null,
        query.target === undefined ? null : targetKey(query.target),
        query.labelType ?? null,
        query.labelValue ?? null,
        query.namespace ?? null,
        query.limit,
      ],
    );
    return rows;
  }

  /** The last label that a namespace has of each of these events in a run. */
  async lastOf(
    transaction: Transaction,
    { runId, namespace, labelType }: { readonly runId: string; readonly namespace: string; readonly labelType: string },
    targets: readonly LabelTarget[],
  ): Promise<ReadonlyMap<string, Digest>> {
    const { rows } = await transaction.query<{ target_key: string; label_id: Digest }>(
      `select distinct on (target_key) target_key, label_id from labels
       where run_id = $1 and namespace = $2 and label_type = $3 and target_key = any($4::text[])
       order by target_key, seq desc`,
      [runId, namespace, labelType, targets.map(targetKey)],
    );
    return new Map(rows.map(({ target_key, label_id }) => [target_key, label_id]));
  }

  /** What the control topic has not been told of, oldest first; nobody else is telling until the transaction ends. */
  async untold(
    transaction: Transaction,
    limit: number,
  ): Promise<readonly { readonly seq: number; readonly label: Label; readonly pins: RunPins }[]> {
    const { rows } = await transaction.query<{ seq: number }>('select seq from told for update');
    const told = rows[0]?.seq ?? 0;
    const labels = await transaction.query<{ seq: number; label: Label; pins: RunPins }>(
      `select seq, label, pins from labels join feeds using (run_id) where seq > $1 order by seq limit $2`,
      [told, limit],
    );
    return labels.rows;
  }

  async markTold(transaction: Transaction, seq: number): Promise<void> {
    await transaction.query('update told set seq = $1', [seq]);
  }
}

/** What of the ledger an answer sees. */
export interface Cut {
  readonly asOf: UtcMicros;
  readonly seqMax: number;
}

function byTarget(rows: readonly { readonly target_key: string; readonly label: Label }[]): Map<string, Label[]> {
  const known = new Map<string, Label[]>();
  for (const { target_key, label } of rows) {
    const labels = known.get(target_key) ?? [];
    known.set(target_key, labels);
    labels.push(label);
  }
  return known;
}

interface Head {
  readonly seq: number;
  readonly settled_at: UtcMicros;
}

async function lockedHead(transaction: Transaction): Promise<Head> {
  const { rows } = await transaction.query<Head>('select seq, settled_at from head for update');
  const [head] = rows;
  if (head === undefined) throw new TypeError('the migration makes the head of the ledger');
  return head;
}

/** Now, or the first moment after what is settled. */
function later(now: UtcMicros, settled: UtcMicros): UtcMicros {
  return now > settled ? now : fromEpochMicros(toEpochMicros(settled) + 1);
}

async function standingOf(transaction: Transaction, entries: readonly Entry[]): Promise<Map<string, Standing>> {
  const ids = entries.flatMap(({ label }) =>
    label.supersedes === undefined ? [label.label_id] : [label.label_id, label.supersedes],
  );
  const { rows } = await transaction.query<Standing>(
    {
      name: 'labels_standing',
      text: `select label_id, content, seq, run_id, target_key, label_type, namespace, observed_at as observed_at_utc
             from labels where label_id = any($1::text[])`,
    },
    [ids],
  );
  return new Map(rows.map((row) => [row.label_id, row]));
}

function standingOfEntry({ pins, label, content }: Entry, seq: number, observed: UtcMicros): Standing {
  const { label_id, label_type, source } = label;
  return {
    ...{ label_id, content, seq, run_id: pins.run_id, target_key: targetKey(label.target), label_type },
    ...{ namespace: source.namespace, observed_at_utc: observed },
  };
}

async function insert(
  transaction: Transaction,
  rows: readonly (readonly [Entry, Label])[],
  recorded: UtcMicros,
): Promise<void> {
  const labels = rows.map(([, label]) => label);
  const entries = rows.map(([entry]) => entry);
  const parts = labels.map(({ target }) => partsOf(target));
  await transaction.query(
    {
      name: 'labels_inserted',
      text: `with head as (update head set seq = $13, settled_at = $14::timestamptz)
        insert into labels (seq, label_id, content, run_id, target_kind, target_key, label_type, label_value, namespace,
          observed_at, label, evidence)
        select * from unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
          $9::text[], $10::timestamptz[], $11::jsonb[], $12::jsonb[])`,
    },
    [
      labels.map(({ ledger_seq }) => ledger_seq),
      labels.map(({ label_id }) => label_id),
      entries.map(({ content }) => content),
      entries.map(({ pins }) => pins.run_id),
      parts.map(({ kind }) => kind),
      labels.map(({ target }) => targetKey(target)),
      labels.map(({ label_type }) => label_type),
      labels.map(({ label_value }) => label_value),
      labels.map(({ source }) => source.namespace),
      labels.map(({ observed_at_utc }) => observed_at_utc),
      labels.map((label) => JSON.stringify(label)),
      entries.map(({ evidence }) => (evidence === undefined ? null : JSON.stringify(evidence))),
      labels.at(-1)?.ledger_seq,
      recorded,
    ],
  );
}
