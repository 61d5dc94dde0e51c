import { Injectable } from '@nestjs/common';
import { Database } from '../../substrate/database/database.port.js';
import type { TimeQuery } from '../../substrate/http/requests.js';
import type { BuildRow } from './build-facts.core.js';

const within = (
  key: string,
): string => `($2::timestamptz is null or s.at >= $2) and ($3::timestamptz is null or s.at < $3)
  and ($4::timestamptz is null or s.at < $4 or (s.at = $4 and (${key}) collate "C" < $5))`;
const ASKED = `'1/' || s.request_id`;
const ENDED = `'2/' || s.plan_id || '/' || s.seq`;

/** Who asked for what, and how it ended: what the shadow keeps for ever, in the order of time. */
@Injectable()
export class BuildFactsStore {
  constructor(private readonly database: Database) {}

  /** Youngest first. */
  async rows({ limit, before, from, to }: TimeQuery): Promise<readonly BuildRow[]> {
    const { rows } = await this.database.query<BuildRow>(
      {
        text: `select f.at, f.key, f.plan_id, p.plan, f.actor, f.state, f.request_id, f.seq, f.detail from (
            (select s.at, (${ASKED}) collate "C" as key, s.plan_id, s.actor, 'ASKED' as state, s.request_id, null::integer as seq,
               null::jsonb as detail
             from requests as s where ${within(ASKED)} order by 1 desc, 2 desc limit $1)
            union all
            (select s.at, (${ENDED}) collate "C", s.plan_id, s.actor, s.state, null, s.seq, s.detail
             from states as s where s.state in ('DONE', 'FAILED', 'UNCHECKABLE', 'CANCELLED') and ${within(ENDED)}
             order by 1 desc, 2 desc limit $1)
          ) as f join plans as p using (plan_id) order by f.at desc, f.key collate "C" desc limit $1`,
        readOnly: true,
      },
      [limit, from, to, before?.at ?? null, before?.key ?? null],
    );
    return rows;
  }
}
