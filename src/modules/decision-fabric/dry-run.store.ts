import { Injectable } from '@nestjs/common';
import type { RunId } from '../../rails/pins.js';
import type { UtcMicros } from '../../rails/time.js';
import { Database } from '../../substrate/database/database.port.js';

/** Which decisions of the index are asked for: domain time, `from` inclusive. */
export interface DecisionRange {
  readonly run_id?: string;
  readonly from?: UtcMicros;
  readonly to?: UtcMicros;
}

/** How many decisions there are where a dry run looks. */
@Injectable()
export class DryRunStore {
  constructor(private readonly database: Database) {}

  /** Runs with decisions in the range, in the order of their ids. */
  async runs({
    run_id,
    from,
    to,
  }: DecisionRange): Promise<readonly { readonly run_id: RunId; readonly decisions: number }[]> {
    const { rows } = await this.database.query<{ run_id: RunId; decisions: number }>(
      {
        text: `select run_id, count(*)::integer as decisions from decisions
               where ($1::text is null or run_id = $1) and ($2::timestamptz is null or ts_utc >= $2)
                 and ($3::timestamptz is null or ts_utc < $3)
               group by run_id order by run_id`,
        readOnly: true,
      },
      [run_id ?? null, from ?? null, to ?? null],
    );
    return rows;
  }
}
