import { Injectable } from '@nestjs/common';
import { type Static } from '@sinclair/typebox';
import { isProbityError, ProbityError } from '../../rails/errors/probity-error.js';
import { Clock } from '../../substrate/clock/clock.port.js';
import type { CallContext } from '../../substrate/rpc/rpc.port.js';
import { Telemetry } from '../../substrate/telemetry/telemetry.port.js';
import { fromEpochMs } from '../../rails/time.js';
import { RunObjects } from './run-objects.js';
import { statusOf } from './run-status.js';
import { decodeCursor, encodeCursor } from './runs-cursor.core.js';
import { demandSameIntent, intentOf, livePinsOf, settled, unbound } from './scenario-runner.core.js';
import { factsViews, intents, type RunEvent, type RunIntent } from './scenario-runner.documents.js';
import { ScenarioRunnerJob } from './scenario-runner.job.js';
import {
  requestKey,
  type RunFactsView,
  RunQuery,
  type RunRequest,
  runIdOf,
  RunRequestSchema,
  RunsPage,
  RunsQuery,
  type RunStatus,
  ScenarioRunnerPort,
} from './scenario-runner.port.js';
import { type RunRow, ScenarioRunnerStore } from './scenario-runner.store.js';
import { worldPinsOf } from './sealed-world.js';

/** Accepts runs, once per equivalence key, and says how they are. */
@Injectable()
export class ScenarioRunnerService extends ScenarioRunnerPort {
  constructor(
    private readonly store: ScenarioRunnerStore,
    private readonly objects: RunObjects,
    private readonly job: ScenarioRunnerJob,
    private readonly telemetry: Telemetry,
    private readonly clock: Clock,
  ) {
    super();
  }

  async request(request: Static<typeof RunRequestSchema>, context: CallContext): Promise<RunStatus> {
    const offered = this.#intentOf(request, context);
    const runId = offered.pins.run_id;
    const known = await this.#find(runId);
    if (known !== null) {
      await this.#demandSame(known.intent, offered);
      await this.store.note(runId, {
        event: 'DUPLICATE_REQUEST_OBSERVED',
        data: { requested_by: offered.requested_by.actor_id },
      });
      if (!known.settled) this.job.wake(runId);
      return statusOf(known);
    }

    await this.#demandSupersedable(offered);
    // The object is the arbiter between two that ask at once: the first stands, and the row is made of what stands.
    const { outcome, ref } = await this.objects.put(requestKey(runId), offered);
    const standing = outcome === 'CONFLICT' ? await this.objects.read(ref, intents) : offered;
    const { isNew } = await this.store.accept(standing);
    await this.#demandSame(standing, offered);
    if (isNew) {
      const { kind, intent_fingerprint } = standing;
      this.telemetry.logger.info('run_accepted', { ...standing.pins, kind, intent_fingerprint, trace: context.trace });
    }
    this.job.wake(runId);
    return await this.#status(runId);
  }

  async run({ run_id }: Static<typeof RunQuery>, _context: CallContext): Promise<RunStatus> {
    return await this.#status(run_id);
  }

  async runs(query: Static<typeof RunsQuery>, _context: CallContext): Promise<Static<typeof RunsPage>> {
    const { limit, cursor, state } = query;
    const after = cursor === undefined ? null : decodeCursor(cursor);
    // One more than the page tells whether there is another one.
    const rows = await this.store.page({ limit: limit + 1, state: state ?? null, after });
    const page = rows.slice(0, limit);
    const last = rows.length > limit ? page.at(-1) : undefined;
    return {
      runs: page.map(statusOf),
      ...(last === undefined
        ? {}
        : { next_cursor: encodeCursor({ at: last.intent.requested_at_utc, runId: last.intent.pins.run_id }) }),
    };
  }

  /** The facts view, read by ref with its digest checked. @throws SR_RUN_NOT_FOUND, SR_RUN_NOT_READY */
  async facts(runId: string): Promise<RunFactsView> {
    const { state, factsView } = await this.#demand(runId);
    if (state !== 'READY' || factsView === null)
      throw new ProbityError('SR_RUN_NOT_READY', `run ${runId} is ${state}`, { data: { run_id: runId, state } });
    return await this.objects.read(factsView, factsViews);
  }

  /** What happened to the run, in order, also after its end. @throws SR_RUN_NOT_FOUND */
  async events(runId: string): Promise<readonly RunEvent[]> {
    await this.#demand(runId);
    return await this.store.events(runId);
  }

  #intentOf(request: RunRequest, { caller }: CallContext): RunIntent {
    const asked = settled(request);
    const { world } = asked;
    const worldPins = world.kind === 'live' ? livePinsOf(world) : worldPinsOf(world);
    return intentOf(asked, { worldPins, at: fromEpochMs(this.clock.nowMs()), by: caller.actor });
  }

  /** The refused intent leaves its fingerprint in the record of the run that stands (law R6). */
  async #demandSame(standing: RunIntent, offered: RunIntent): Promise<void> {
    try {
      demandSameIntent(standing, offered);
    } catch (error) {
      if (isProbityError(error, 'SR_EQUIV_KEY_COLLISION')) {
        await this.store.note(standing.pins.run_id, {
          event: 'EQUIV_KEY_COLLISION_REFUSED',
          data: { offered: offered.intent_fingerprint, requested_by: offered.requested_by.actor_id },
        });
      }
      throw error;
    }
  }

  async #demandSupersedable({ pins, request: { supersedes } }: RunIntent): Promise<void> {
    if (supersedes === undefined) return;
    if ((await this.#find(supersedes.run_id)) === null)
      throw unbound(`there is no run ${supersedes.run_id} to supersede`);
    const by = await this.store.supersededBy(supersedes.run_id);
    if (by !== null && by !== pins.run_id)
      throw unbound(`run ${supersedes.run_id} is superseded by run ${by}: supersede that one`);
  }

  /** A row that is lost, or was never made because its process died, is made of the request that stands. */
  async #find(runId: string): Promise<RunRow | null> {
    const row = await this.store.find(runId);
    if (row !== null) return row;
    const standing = await this.objects.standing(requestKey(runId), intents);
    if (standing === null || runIdOf(standing.request.run_equivalence_key) !== runId) return null;
    await this.store.accept(standing);
    this.job.wake(runId);
    return await this.store.find(runId);
  }

  async #demand(runId: string): Promise<RunRow> {
    const row = await this.#find(runId);
    if (row === null)
      throw new ProbityError('SR_RUN_NOT_FOUND', `there is no run ${runId}`, { data: { run_id: runId } });
    return row;
  }

  async #status(runId: string): Promise<RunStatus> {
    return statusOf(await this.#demand(runId));
  }
}
