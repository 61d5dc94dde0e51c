import { labelsWait, type LabelsTold } from '../../rails/reconciliation.js';
import { polled, type Travel } from './journey.js';
import { LabelApi } from './label-api.js';

/** So long nothing more may enter before the label store is said to lack something. */
const AT_REST_MS = 5_000;

/** What the label store tells of a run, once all labels of its world have entered, or no more have for a while. */
export async function labelsOf(travel: Travel, runId: string): Promise<LabelsTold> {
  const api = new LabelApi(travel.api);
  let [read, sinceMs] = [-1, 0];
  return await polled(
    travel,
    async () => await api.counts(runId),
    ({ state, sealed }) => {
      const nowMs = travel.clock.monotonicMs();
      if ((sealed?.read ?? 0) !== read) [read, sinceMs] = [sealed?.read ?? 0, nowMs];
      travel.progress.at('Counting labels', read);
      return !labelsWait({ state }) || nowMs - sinceMs > AT_REST_MS;
    },
  );
}
