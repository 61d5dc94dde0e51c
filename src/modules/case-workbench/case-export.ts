import { Injectable } from '@nestjs/common';
import { isProbityError } from '../../rails/errors/probity-error.js';
import { fromEpochMs, type UtcMicros } from '../../rails/time.js';
import { Clock } from '../../substrate/clock/clock.port.js';
import { Access, type Principal } from '../../substrate/identity/identity.port.js';
import { Telemetry } from '../../substrate/telemetry/telemetry.port.js';
import { type CaseFilter, CSV_HEAD, csvRow, type ExportedCase, isWanted, ndjsonLine } from './case-export.core.js';
import { caseOf } from './case.core.js';
import type { Case, CaseEvent } from './case.schema.js';
import { CaseWorkbenchStore } from './case-workbench.store.js';

const PAGE = 200;
export const EXPORT_PERMISSION = 'cases.export';
export const FORMATS = ['ndjson', 'csv'] as const;
export type Format = (typeof FORMATS)[number];

export interface ExportAsked {
  readonly filter: CaseFilter;
  readonly format: Format;
  readonly purpose: string;
}

/** One export, or the try of one. */
export interface ExportRow {
  readonly number: number;
  readonly actor_id: string;
  readonly purpose: string;
  readonly filters: object;
  readonly format: Format;
  readonly outcome: 'GIVEN' | 'REFUSED';
  readonly code: string | null;
  readonly upto: number;
  readonly exported_at: UtcMicros;
}

/**
 * Cases as a file, as an act that is written down before a byte leaves. All of it is of one moment: each case is made of its entries up to the last
 * one that stood then, so pages may take their time and people go on meanwhile.
 */
@Injectable()
export class CaseExport {
  constructor(
    private readonly store: CaseWorkbenchStore,
    private readonly access: Access,
    private readonly clock: Clock,
    private readonly telemetry: Telemetry,
  ) {}

  /** The pieces of the file, youngest case first. @throws AUTHZ_DENIED, after it was written down */
  async begin(asked: ExportAsked, caller: Principal): Promise<AsyncIterable<string>> {
    const refusal = this.#refusal(caller);
    const upto = await this.store.lastEntry();
    const { filter, format, purpose } = asked;
    await this.store.database.query(
      `insert into exports (actor_id, purpose, filters, format, outcome, code, upto, exported_at)
       values ($1, $2, $3::jsonb, $4, $5, $6, $7, $8)`,
      [
        ...[caller.actor.actor_id, purpose, JSON.stringify(filter), format, refusal === null ? 'GIVEN' : 'REFUSED'],
        ...[refusal?.code ?? null, upto, fromEpochMs(this.clock.nowMs())],
      ],
    );
    this.telemetry.logger.info('case_export', {
      actor: caller.actor.actor_id,
      format,
      code: refusal?.code ?? '',
      upto,
    });
    if (refusal !== null) throw refusal;
    return this.#pieces(asked, upto);
  }

  /** Youngest first. */
  async exports(limit: number, before?: number): Promise<readonly ExportRow[]> {
    const { rows } = await this.store.database.query<ExportRow>(
      {
        text: `select number, actor_id, purpose, filters, format, outcome, code, upto, exported_at from exports
               where $1::bigint is null or number < $1 order by number desc limit $2`,
        readOnly: true,
      },
      [before ?? null, limit],
    );
    return rows;
  }

  #refusal(caller: Principal) {
    try {
      this.access.demand(caller, EXPORT_PERMISSION);
      return null;
    } catch (error) {
      if (isProbityError(error)) return error;
      throw error;
    }
  }

  async *#pieces({ filter, format }: ExportAsked, upto: number): AsyncGenerator<string> {
    if (format === 'csv') yield CSV_HEAD;
    const written = format === 'csv' ? csvRow : ndjsonLine;
    for (let before: number | undefined; ;) {
      const page = await this.store.list({
        limit: PAGE,
        ...(before === undefined ? {} : { before }),
        ...(filter.runId === undefined ? {} : { runId: filter.runId }),
      });
      const timelines = await this.store.timelinesUpTo(
        page.map(({ value }) => value.case_id),
        upto,
      );
      const text = page
        .flatMap(({ value }) => asItWas(value, timelines.get(value.case_id) ?? []))
        .filter((exported) => isWanted(exported.case, filter))
        .map(written)
        .join('');
      if (text !== '') yield text;
      if (page.length < PAGE) return;
      before = page.at(-1)?.number;
    }
  }
}

/** Nothing of a case that was opened since. */
function asItWas({ case_id, pins, subject_event_id }: Case, timeline: readonly CaseEvent[]): readonly ExportedCase[] {
  const then = caseOf({ case_id, pins, subject_event_id }, timeline);
  return then === null ? [] : [{ case: then, timeline }];
}
