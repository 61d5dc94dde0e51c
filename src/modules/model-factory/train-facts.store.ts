import { Injectable } from '@nestjs/common';
import { Database } from '../../substrate/database/database.port.js';
import type { TimeQuery } from '../../substrate/http/requests.js';
import type { TrainRow } from './train-facts.core.js';

const within = (
  key: string,
): string => `($2::timestamptz is null or s.at >= $2) and ($3::timestamptz is null or s.at < $3)
  and ($4::timestamptz is null or s.at < $4 or (s.at = $4 and (${key}) collate "C" < $5))`;
const ASKED = `'1/' || s.request_id`;
const ENDED = `'2/' || s.train_run_id || '/' || s.seq`;
const STATES = `('GATED', 'REJECTED_INPUTS', 'FAILED_GATES', 'FAILED_CONFLICT', 'FAILED_RETRY_EXHAUSTED', 'CANCELLED')`;

/** Who asked for what, what the gates said, and how it ended: what the factory keeps for ever, in the order of time. */
@Injectable()
export class TrainFactsStore {
  constructor(private readonly database: Database) {}

  /** Youngest first. */
  async rows({ limit, before, from, to }: TimeQuery): Promise<readonly TrainRow[]> {
    const { rows } = await this.database.query<TrainRow>(
      {
        text: `select f.at, f.key, f.train_run_id, r.plan, f.actor, f.state, f.request_id, f.seq, f.detail, g.receipt as trained from (
            (select s.at, (${ASKED}) collate "C" as key, s.train_run_id, s.actor, 'ASKED' as state, s.request_id,
               null::integer as seq, null::jsonb as detail
             from requests as s where ${within(ASKED)} order by 1 desc, 2 desc limit $1)
            union all
            (select s.at, (${ENDED}) collate "C", s.train_run_id, s.actor, s.state, null, s.seq, s.detail
             from states as s where s.state in ${STATES} and (s.state <> 'GATED' or s.detail ->> 'result' = 'PASS')
               and ${within(ENDED)} order by 1 desc, 2 desc limit $1)
          ) as f
          join runs as r using (train_run_id)
          left join stages as g on g.train_run_id = f.train_run_id and g.stage = 'TRAINED' and f.state in ('GATED', 'FAILED_GATES')
          order by f.at desc, f.key collate "C" desc limit $1`,
        readOnly: true,
      },
      [limit, from, to, before?.at ?? null, before?.key ?? null],
    );
    return rows;
  }
}
