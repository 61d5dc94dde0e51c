import type { GenerateInvocation } from '../../modules/data-engine/data-engine.port.js';
import type { ScenarioId, Seed } from '../../rails/pins.js';
import { SystemClock } from '../../substrate/clock/system.clock.js';
import { ApiClient } from '../client/api-client.js';
import { DoorApi, type DoorRole } from '../client/door-api.js';
import { bringToReady, ensureLiveRun, type Travel } from '../client/journey.js';
import { openProgress } from '../client/progress.js';
import type { Report } from '../client/report.js';
import { endOfWorld } from '../client/world-end.js';
import type { Terminal } from '../terminal.js';
import { offerNamed } from './door-options.js';
import { generateRequest } from './world.js';

/** Roles without which the first start shows nothing. */
export const DEMO_ROLES: readonly DoorRole[] = ['engine', 'sr', 'wsp', 'ig'];

/** The open-ended run into which a first `curl` goes; the shipped policy of the edges names it. */
export const LIVE_RUN = 'live';
const PACK = 'small';
const SEED = '1' as Seed;

export interface DemoPlace {
  readonly url: string;
  readonly key: string;
  readonly terminal: Terminal;
  readonly signal: AbortSignal;
  /** Also where there are runs already: for a start that is to end with a verdict. */
  readonly always: boolean;
}

/**
 * What a start does by itself: the open-ended run, so that a transaction can be sent at once, and on an empty data folder a small
 * world that is generated, streamed and reconciled. Undefined where there was nothing to show.
 */
export async function demo({ url, key, terminal, signal, always }: DemoPlace): Promise<Report | undefined> {
  const clock = new SystemClock();
  const progress = openProgress(terminal.screen, clock);
  const client = new ApiClient({ clock, signal });
  const api = new DoorApi(client, () => Promise.resolve({ url, key }));
  const travel: Travel = { api, clock, signal, progress };
  try {
    // A start that was interrupted before it had anything to show left the open-ended run alone.
    const { runs } = await api.runs({ limit: 2 });
    const isEmpty = runs.every(({ run_equivalence_key }) => run_equivalence_key === LIVE_RUN);
    await ensureLiveRun(travel, LIVE_RUN);
    if (!isEmpty && !always) return undefined;
    const parameters = await offerNamed(api, 'packs', PACK);
    const world: GenerateInvocation = { kind: 'generate', scenario_id: PACK as ScenarioId, seed: SEED, parameters };
    const run = await bringToReady(travel, generateRequest(world));
    // A pass that has ended is proof already: only what was not streamed yet is streamed.
    const streamed = (await api.stream(run.run_id))?.state === 'COMPLETED';
    return await endOfWorld(travel, run, {
      stream: streamed ? 'as it is' : true,
      pace: undefined,
      rowsWord: 'rows generated',
    });
  } finally {
    progress.clear();
    client.close();
  }
}
