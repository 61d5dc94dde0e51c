import { Injectable } from '@nestjs/common';
import { Database } from '../../substrate/database/database.port.js';
import type { Case, Mark } from './case.schema.js';
import type { CasesPolicy } from './case-workbench.policy.js';

/** Of many cases with the same mark the youngest are looked at: a shop that everybody uses costs no more than a card. */
const ALIKE_PER_MARK_MAX = 200;

export type MarksState = 'PENDING' | 'READ' | 'ABSENT';

export interface Unmarked {
  readonly number: number;
  readonly value: Case;
}

export interface Marked {
  readonly of: Unmarked;
  /** null: its records are gone. */
  readonly marks: readonly Mark[] | null;
}

export interface SimilarCase {
  readonly case: Case;
  /** Sum of the weights of what is shared. */
  readonly score: number;
  readonly shared: readonly Mark[];
}

/** A case in the words of a list beside another one. */
export interface CaseInBrief extends Pick<Case, 'case_id' | 'subject_event_id' | 'status' | 'queue'> {
  readonly disposition: string | null;
}

/** What cases name, in the schema `case_mgmt`: a projection of records on the bus, which can be made again. */
@Injectable()
export class CaseMarksStore {
  constructor(private readonly database: Database) {}

  /** Cases that were opened or triggered since their marks were read, oldest first. */
  async unmarked(limit: number): Promise<readonly Unmarked[]> {
    const { rows } = await this.database.query<Unmarked>(
      {
        text: `select number, state as value from cases where marks_state = 'PENDING' order by number limit $1`,
        readOnly: true,
      },
      [limit],
    );
    return rows;
  }

  /** In two statements for all. A case that was triggered again meanwhile stays PENDING. */
  async mark(all: readonly Marked[]): Promise<void> {
    const rows = all.flatMap(({ of: { number, value }, marks }) =>
      (marks ?? []).map((mark) => ({ ...mark, caseId: value.case_id, runId: value.pins.run_id, number })),
    );
    await this.database.transaction(async (transaction) => {
      await transaction.query(
        `insert into case_marks (case_id, kind, value, run_id, number)
         select * from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[]) on conflict do nothing`,
        [
          rows.map(({ caseId }) => caseId),
          rows.map(({ kind }) => kind),
          rows.map(({ value }) => value),
          rows.map(({ runId }) => runId),
          rows.map(({ number }) => number),
        ],
      );
      await transaction.query(
        `update cases set marks_state = done.marks_state
         from unnest($1::text[], $2::text[], $3::integer[]) as done (case_id, marks_state, triggers)
         where cases.case_id = done.case_id and (cases.state->>'triggers')::integer = done.triggers`,
        [
          all.map(({ of }) => of.value.case_id),
          all.map(({ marks }): MarksState => (marks === null ? 'ABSENT' : 'READ')),
          all.map(({ of }) => of.value.triggers),
        ],
      );
    });
  }

  /** What a case names; null for one that there is not. */
  async marksOf(caseId: string): Promise<{ readonly state: MarksState; readonly marks: readonly Mark[] } | null> {
    const { rows } = await this.database.query<{ state: MarksState; marks: readonly Mark[] }>(
      {
        text: `select marks_state as state, coalesce((select jsonb_agg(jsonb_build_object('kind', kind, 'value', value) order by kind, value)
                 from case_marks m where m.case_id = c.case_id), '[]') as marks from cases c where case_id = $1`,
        readOnly: true,
      },
      [caseId],
    );
    return rows[0] ?? null;
  }

  /** Cases of the same run that share something with this one, those that share most first; one query, whose work is bounded. */
  async similar(
    caseId: string,
    limit: number,
    weights: CasesPolicy['similar']['weights'],
  ): Promise<readonly SimilarCase[]> {
    const kinds = Object.entries(weights);
    const { rows } = await this.database.query<SimilarCase>(
      {
        text: `select c.state as case, alike.score, alike.shared from (
                 select other.case_id, sum(w.weight)::integer as score,
                   jsonb_agg(jsonb_build_object('kind', mine.kind, 'value', mine.value) order by w.weight desc, mine.kind, mine.value) as shared
                 from case_marks mine
                 join unnest($2::text[], $3::integer[]) as w (kind, weight) on w.kind = mine.kind
                 cross join lateral (
                   select o.case_id from case_marks o
                   where o.run_id = mine.run_id and o.kind = mine.kind and o.value = mine.value and o.case_id <> mine.case_id
                   order by o.number desc limit ${ALIKE_PER_MARK_MAX}) as other
                 where mine.case_id = $1 group by other.case_id
               ) as alike join cases c using (case_id)
               order by alike.score desc, c.number desc limit $4`,
        readOnly: true,
      },
      [caseId, kinds.map(([kind]) => kind), kinds.map(([, weight]) => weight), limit],
    );
    return rows;
  }

  /** The youngest cases of a run that name each of these, in their order, without one of them. */
  async casesNaming(
    runId: string,
    marks: readonly Mark[],
    { except, limit }: { readonly except: string; readonly limit: number },
  ): Promise<readonly (readonly CaseInBrief[])[]> {
    const { rows } = await this.database.query<{ cases: readonly CaseInBrief[] }>(
      {
        text: `select coalesce((select jsonb_agg(jsonb_build_object(
                   'case_id', c.case_id, 'subject_event_id', c.state->'subject_event_id', 'status', c.status, 'queue', c.queue,
                   'disposition', c.state->'disposition'->'value') order by c.number desc)
                 from (select case_id from case_marks m where m.run_id = $1 and m.kind = asked.kind and m.value = asked.value
                       and m.case_id <> $4 order by m.number desc limit $5) as found join cases c using (case_id)), '[]') as cases
               from unnest($2::text[], $3::text[]) with ordinality as asked (kind, value, place) order by place`,
        readOnly: true,
      },
      [runId, marks.map(({ kind }) => kind), marks.map(({ value }) => value), except, limit],
    );
    return rows.map(({ cases }) => cases);
  }
}
