import {
  type DryRun,
  type DryRunChange,
  DryRunChangesSchema,
  type DryRunRequest,
  DryRunSchema,
} from '../../modules/decision-fabric/dry-run.schema.js';
import { validatorOf } from '../../rails/validator.js';
import { type DoorApi, got, posted, queryOf } from './door-api.js';
import { polled, type Travel } from './journey.js';

const PATH = '/v1/decisions/dry-runs';
const PAGE = 500;
const readers = {
  dryRun: validatorOf(DryRunSchema, 'the dry run'),
  changes: validatorOf(DryRunChangesSchema, 'the changed decisions'),
};

/** The routes of dry runs on history. */
export class DryRunApi {
  constructor(private readonly door: DoorApi) {}

  /** Starts one, and waits until it is over. */
  async done(travel: Travel, request: DryRunRequest): Promise<DryRun> {
    const { dry_run_id: id } = await this.door.ask('df', posted(PATH, request), readers.dryRun);
    return await polled(
      travel,
      async () => {
        const now = await this.door.ask('df', got(`${PATH}/${encodeURIComponent(id)}`), readers.dryRun);
        travel.progress.at('Deciding once more, with the candidate', now.seen, now.decisions);
        return now;
      },
      ({ state }) => state !== 'RUNNING',
    );
  }

  /** Changed decisions, page by page, until there are `max`. */
  async *changes(id: string, max: number): AsyncGenerator<readonly DryRunChange[], void> {
    let cursor: string | undefined;
    for (let left = max; left > 0;) {
      const query = queryOf({ limit: Math.min(PAGE, left), cursor });
      const page = await this.door.ask('df', got(`${PATH}/${encodeURIComponent(id)}/changes${query}`), readers.changes);
      yield page.changes;
      left -= page.changes.length;
      cursor = page.next_cursor;
      if (cursor === undefined) return;
    }
  }
}
