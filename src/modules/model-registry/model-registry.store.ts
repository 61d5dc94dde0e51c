import { Injectable } from '@nestjs/common';
import type { Digest } from '../../rails/digest.js';
import type { BundleRef } from '../../rails/events/decision.schema.js';
import type { BundleManifest, RegistryFact } from '../../rails/events/registry-fact.schema.js';
import type { Ref } from '../../rails/ref.js';
import type { BundleSlot } from '../../rails/registry/scope.js';
import { fromEpochMicros, toEpochMicros, type UtcMicros } from '../../rails/time.js';
import { Database, type Queryable, type Transaction } from '../../substrate/database/database.port.js';
import { type Command, type Named, sameVersion, type Seen, type SlotNow, type VersionNow } from './lifecycle.core.js';

/** A place in the order of facts, and a time that nothing before it lies behind. */
export interface Head {
  readonly seq: number;
  readonly settled: UtcMicros;
}

export interface ActiveRow {
  readonly slot: BundleSlot;
  readonly seq: number;
  readonly event_id: Digest;
  readonly bundle: BundleRef | null;
  readonly ref: Ref | null;
}

export interface Registered {
  readonly version: VersionNow;
  readonly manifest: BundleManifest;
  readonly fingerprint: Digest;
  /** Why it cannot be put forward. */
  readonly ineligible: readonly string[];
  readonly activeIn: readonly BundleSlot[];
  readonly publishedAt: UtcMicros;
}

export interface RefusalRow {
  readonly number: number;
  readonly refused_at_utc: UtcMicros;
  readonly actor_id: string;
  readonly action: string;
  readonly code: string;
  readonly detail: string;
}

const NOW_SEQ = Number.MAX_SAFE_INTEGER;

/**
 * The schema `registry`: facts in one order without gaps, one writer at a time under the lock of `head`. Everything else is asked of them.
 *
 * What was answered as of a time never changes, whatever the clocks of processes say: a fact is recorded after the last one and after every
 * time that somebody was answered as of (`settle`).
 */
@Injectable()
export class ModelRegistryStore {
  constructor(readonly database: Database) {}

  /** From here on no other writer adds. @param now at the earliest */
  async lock(transaction: Transaction, now: UtcMicros): Promise<Head> {
    const { rows } = await transaction.query<{ seq: number; settled_at: UtcMicros }>(
      'select seq, settled_at from head for update',
    );
    const [head] = rows;
    if (head === undefined) throw new TypeError('the registry has one head');
    const after = fromEpochMicros(toEpochMicros(head.settled_at) + 1);
    return { seq: head.seq, settled: now > after ? now : after };
  }

  /** What stands under an id, with the digest of what was asked for. */
  async find(queryable: Queryable, eventId: string): Promise<{ fact: RegistryFact; content: Digest } | null> {
    const { rows } = await queryable.query<{ fact: RegistryFact; content: Digest }>(
      { text: 'select fact, content from facts where event_id = $1', readOnly: true },
      [eventId],
    );
    return rows[0] ?? null;
  }

  /** Under the lock: all that a command is judged by. */
  async seen(transaction: Transaction, command: Command): Promise<Seen> {
    const named = command.bundle;
    const slot = 'slot' in command ? command.slot : null;
    const version = named === undefined ? null : ((await versionsOf(transaction, [named]))[0] ?? null);
    const now = slot === null ? null : await slotNow(transaction, slot);
    const activeIn = named === undefined ? [] : await slotsOf(transaction, named);
    const before =
      command.action === 'rollback' ? await activeBefore(transaction, command.slot, now?.active ?? null) : [];
    return { version, slot: now, activeIn, before };
  }

  async publication(queryable: Queryable, named: Named): Promise<RegistryFact | null> {
    const { rows } = await queryable.query<{ fact: RegistryFact }>(
      {
        text: `select fact from facts where bundle_id = $1 and bundle_version = $2 and action = 'BUNDLE_PUBLISHED'`,
        readOnly: true,
      },
      [named.bundle_id, named.bundle_version],
    );
    return rows[0]?.fact ?? null;
  }

  /** The fact and what it makes of slots, in the writer's transaction. */
  async append(
    transaction: Transaction,
    fact: RegistryFact,
    content: Digest,
    activations: readonly { readonly slot: BundleSlot; readonly active: { bundle: BundleRef; ref: Ref } | null }[],
  ): Promise<void> {
    const { bundle, registry_seq: seq, recorded_at_utc: at } = fact;
    await transaction.query(
      `insert into facts (seq, event_id, action, bundle_id, bundle_version, content, recorded_at, fact)
       values ($1, $2, $3, $4, $5, $6, $7, $8)`,
      [seq, fact.event_id, fact.action, bundle.bundle_id, bundle.bundle_version, content, at, JSON.stringify(fact)],
    );
    if (activations.length > 0) {
      await transaction.query(
        `insert into activations (slot, seq, bundle_id, bundle_version, digest, ref)
         select * from jsonb_to_recordset($1::jsonb)
           as row (slot text, seq bigint, bundle_id text, bundle_version integer, digest text, ref jsonb)`,
        [JSON.stringify(activations.map(({ slot, active }) => ({ slot, seq, ...active?.bundle, ref: active?.ref })))],
      );
    }
    await transaction.query('update head set seq = $1, settled_at = $2', [seq, at]);
  }

  async refuse(row: Omit<RefusalRow, 'number'>, request: object): Promise<void> {
    await this.database.query(
      `insert into refusals (refused_at, actor_id, action, code, detail, request) values ($1, $2, $3, $4, $5, $6)`,
      [row.refused_at_utc, row.actor_id, row.action, row.code, row.detail, JSON.stringify(request)],
    );
  }

  /** What is active in each slot as of a fact, and the last fact that was looked at: one round trip. */
  async active(
    slots: readonly string[],
    asOf: number = NOW_SEQ,
  ): Promise<{ readonly rows: readonly ActiveRow[]; readonly seq: number }> {
    const { rows } = await this.database.query<{
      head: number;
      slot: BundleSlot | null;
      seq: number;
      event_id: Digest;
      bundle_id: string | null;
      bundle_version: number;
      digest: Digest;
      ref: Ref | null;
    }>(
      {
        name: 'registry_active',
        text: `select head.seq as head, active.* from head left join lateral (
                 select distinct on (a.slot) a.slot, a.seq, f.event_id, a.bundle_id, a.bundle_version, a.digest, a.ref
                 from activations a join facts f on f.seq = a.seq
                 where a.slot = any($1::text[]) and a.seq <= $2
                 order by a.slot, a.seq desc
               ) active on true`,
        readOnly: true,
      },
      [slots, asOf],
    );
    const found = rows.flatMap(({ slot, seq, event_id, bundle_id, bundle_version, digest, ref }): ActiveRow[] =>
      slot === null
        ? []
        : [
            {
              slot,
              seq,
              event_id,
              bundle: bundle_id === null ? null : { bundle_id, bundle_version, digest },
              ref,
            },
          ],
    );
    return { rows: found, seq: Math.min(asOf, rows[0]?.head ?? 0) };
  }

  async headSeq(): Promise<number> {
    const { rows } = await this.database.query<{ seq: number }>({ text: 'select seq from head', readOnly: true });
    return rows[0]?.seq ?? 0;
  }

  /** From now on nothing is recorded at this time or before. @returns the last fact as of then */
  async settle(asOf: UtcMicros): Promise<number> {
    await this.database.query('update head set settled_at = greatest(settled_at, $1::timestamptz)', [asOf]);
    const { rows } = await this.database.query<{ seq: number }>(
      { text: 'select coalesce(max(seq), 0) as seq from facts where recorded_at <= $1', readOnly: true },
      [asOf],
    );
    return rows[0]?.seq ?? 0;
  }

  /** Facts behind a number, oldest first. */
  async facts(after: number, limit: number): Promise<readonly RegistryFact[]> {
    const { rows } = await this.database.query<{ fact: RegistryFact }>(
      { text: 'select fact from facts where seq > $1 order by seq limit $2', readOnly: true },
      [after, limit],
    );
    return rows.map(({ fact }) => fact);
  }

  async factsOf({ bundle_id, bundle_version }: Named): Promise<readonly RegistryFact[]> {
    const { rows } = await this.database.query<{ fact: RegistryFact }>(
      {
        text: 'select fact from facts where bundle_id = $1 and bundle_version = $2 order by seq',
        readOnly: true,
      },
      [bundle_id, bundle_version],
    );
    return rows.map(({ fact }) => fact);
  }

  async refusals(before: number, limit: number): Promise<readonly RefusalRow[]> {
    const { rows } = await this.database.query<RefusalRow>(
      {
        text: `select number, refused_at as refused_at_utc, actor_id, action, code, detail from refusals
               where number < $1 order by number desc limit $2`,
        readOnly: true,
      },
      [before, limit],
    );
    return rows;
  }

  /** Versions, the last that was published first, behind the number of a publication. */
  async registered(before: number, limit: number): Promise<readonly (Registered & { readonly seq: number })[]> {
    const { rows } = await this.database.query<{ fact: RegistryFact }>(
      {
        text: `select fact from facts where action = 'BUNDLE_PUBLISHED' and seq < $1 order by seq desc limit $2`,
        readOnly: true,
      },
      [before, limit],
    );
    const published = rows.map(({ fact }) => fact);
    const versions = await versionsOf(
      this.database,
      published.map(({ bundle }) => bundle),
    );
    const { rows: active } = await this.database.query<Named & { slot: BundleSlot }>({
      text: `select slot, bundle_id, bundle_version from (
               select distinct on (slot) slot, bundle_id, bundle_version from activations order by slot, seq desc
             ) now where bundle_id is not null`,
      readOnly: true,
    });
    return published.flatMap((fact) => {
      const version = versions.find(({ ref }) => sameVersion(ref, fact.bundle));
      if (version === undefined || fact.manifest === undefined) return [];
      return [
        {
          seq: fact.registry_seq,
          version,
          manifest: fact.manifest,
          fingerprint: fact.bundle_fingerprint,
          ineligible: fact.ineligible ?? [],
          activeIn: active.filter((row) => sameVersion(row, fact.bundle)).map(({ slot }) => slot),
          publishedAt: fact.recorded_at_utc,
        },
      ];
    });
  }

  /** Facts that the control topic was not told of, under the teller's lock. */
  async untold(transaction: Transaction, limit: number): Promise<readonly RegistryFact[]> {
    const { rows } = await transaction.query<{ seq: number }>('select seq from told for update');
    const { rows: facts } = await transaction.query<{ fact: RegistryFact }>(
      'select fact from facts where seq > $1 order by seq limit $2',
      [rows[0]?.seq ?? 0, limit],
    );
    return facts.map(({ fact }) => fact);
  }

  async markTold(transaction: Transaction, seq: number): Promise<void> {
    await transaction.query('update told set seq = $1', [seq]);
  }
}

async function versionsOf(queryable: Queryable, named: readonly Named[]): Promise<readonly VersionNow[]> {
  if (named.length === 0) return [];
  const { rows } = await queryable.query<{ fact: RegistryFact }>(
    `select fact from facts
     where (bundle_id, bundle_version) in (
       select bundle_id, bundle_version from jsonb_to_recordset($1::jsonb) as row (bundle_id text, bundle_version integer)
     ) order by seq`,
    [JSON.stringify(named.map(({ bundle_id, bundle_version }) => ({ bundle_id, bundle_version })))],
  );
  const byName = new Map<string, VersionNow>();
  for (const { fact } of rows) {
    const name = `${fact.bundle.bundle_id} ${fact.bundle.bundle_version}`;
    const publisher = byName.get(name)?.publisher ?? fact.actor.actor_id;
    byName.set(name, { ref: fact.bundle, state: fact.to_state, publisher });
  }
  return named.flatMap(({ bundle_id, bundle_version }) => byName.get(`${bundle_id} ${bundle_version}`) ?? []);
}

async function slotNow(transaction: Transaction, slot: BundleSlot): Promise<SlotNow | null> {
  const { rows } = await transaction.query<
    Named & { bundle_id: string | null; seq: number; digest: Digest; by: string }
  >(
    `select a.seq, a.bundle_id, a.bundle_version, a.digest, f.fact -> 'actor' ->> 'actor_id' as by
     from activations a join facts f on f.seq = a.seq where a.slot = $1 order by a.seq desc limit 1`,
    [slot],
  );
  const [row] = rows;
  if (row === undefined) return null;
  const { seq, bundle_id, bundle_version, digest, by } = row;
  return { seq, by, active: (bundle_id as string | null) === null ? null : { bundle_id, bundle_version, digest } };
}

async function slotsOf(transaction: Transaction, { bundle_id, bundle_version }: Named): Promise<readonly BundleSlot[]> {
  const { rows } = await transaction.query<{ slot: BundleSlot }>(
    `select slot from (
       select distinct on (slot) slot, bundle_id, bundle_version from activations order by slot, seq desc
     ) now where bundle_id = $1 and bundle_version = $2 order by slot`,
    [bundle_id, bundle_version],
  );
  return rows.map(({ slot }) => slot);
}

/** Each version once, by when it was active last. */
async function activeBefore(
  transaction: Transaction,
  slot: BundleSlot,
  now: BundleRef | null,
): Promise<readonly VersionNow[]> {
  const { rows } = await transaction.query<Named>(
    `select bundle_id, bundle_version from activations where slot = $1 and bundle_id is not null
     group by bundle_id, bundle_version order by max(seq) desc`,
    [slot],
  );
  return await versionsOf(
    transaction,
    rows.filter((row) => !sameVersion(now, row)),
  );
}
