import { ProbityError } from '../../rails/errors/probity-error.js';
import type { Clock } from '../../substrate/clock/clock.port.js';
import { endOf } from '../../substrate/clock/deadline.js';
import { LABELS_OUTPUT } from '../../modules/label-store/label-store.port.js';
import { type RunFactsView, type RunRequest, runIdOf } from '../../modules/scenario-runner/scenario-runner.port.js';
import type { Pace } from '../../modules/world-stream-producer/world-stream-producer.port.js';
import type { EventType, SchemaVersion } from '../../rails/envelope.schema.js';
import type { ScenarioId } from '../../rails/pins.js';
import type { DoorApi, DoorRole, Reconciliation, Run, Stream } from './door-api.js';
import type { Progress } from './progress.js';
import {
  type Counts,
  type DecisionPath,
  type Equation,
  equationsOf,
  labelAccountsOf,
  type LabelAccounts,
  type LabelsTold,
  loggedOf,
  pathOf,
  waits,
} from '../../rails/reconciliation.js';

/** What every step of a command works with. */
export interface Travel {
  readonly api: DoorApi;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly progress: Progress;
  /** Whether somebody runs the role. */
  readonly serves: (role: DoorRole) => boolean;
}

export interface Reconciled {
  readonly facts: RunFactsView | undefined;
  readonly stream: Stream | undefined;
  readonly gate: Reconciliation;
  readonly equations: readonly Equation[];
  readonly path?: DecisionPath;
  readonly labels?: LabelAccounts;
}

const POLL_FIRST_MS = 50;
const POLL_MAX_MS = 500;

/** Asks again, less and less often, until the answer is accepted or the command is interrupted. */
export async function polled<Value>(
  { clock, signal }: Travel,
  ask: () => Promise<Value>,
  accepts: (value: Value) => boolean,
): Promise<Value> {
  for (let waitMs = POLL_FIRST_MS; ; waitMs = Math.min(POLL_MAX_MS, waitMs * 1.5)) {
    const value = await ask();
    if (accepts(value)) return value;
    await clock.sleep(waitMs, signal);
    if (signal.aborted) throw endOf(signal);
  }
}

const isOver = ({ state }: Pick<Run, 'state'>): boolean =>
  state === 'READY' || state === 'FAILED' || state === 'QUARANTINED';

/** Waits until the run is READY, FAILED or QUARANTINED. */
export async function waitForRun(travel: Travel, runId: string): Promise<Run> {
  return await polled(
    travel,
    async () => {
      const run = await travel.api.run(runId);
      tellRun(travel.progress, run);
      return run;
    },
    isOver,
  );
}

function tellRun(progress: Progress, { state, engine, kind }: Run): void {
  if (state === 'EXECUTING' && engine !== undefined) {
    const { stage, rows_done, share_done } = engine;
    const total = share_done !== undefined && share_done > 0 ? Math.round(rows_done / share_done) : undefined;
    progress.at(`Making the world (${stage})`, rows_done, total);
  } else if (!isOver({ state }) && kind !== 'live') {
    progress.at(state === 'VERIFYING' || state === 'WAITING_EVIDENCE' ? 'Verifying the evidence' : 'Planning', 0);
  }
}

/**
 * Requests the run and waits until it is over. A run that failed stays failed under its key; with `supersede` the next one
 * in the row (`key`, `key/2`, `key/3` …) takes its place and names it.
 */
export async function bringToReady(travel: Travel, request: RunRequest, supersede?: string): Promise<Run> {
  const { api } = travel;
  const first = await api.findRun(runIdOf(request.run_equivalence_key));
  const latest = first === undefined ? undefined : await latestOf(api, request.run_equivalence_key, first);
  if (latest !== undefined && (latest.run.state === 'READY' || !isOver(latest.run) || supersede === undefined))
    return await waitForRun(travel, latest.run.run_id);
  const asked =
    latest === undefined || supersede === undefined
      ? request
      : {
          ...request,
          run_equivalence_key: `${request.run_equivalence_key}/${latest.number + 1}`,
          supersedes: { run_id: latest.run.run_id, reason: supersede },
        };
  return await waitForRun(travel, (await api.requestRun(asked)).run_id);
}

/** The last of the runs that took each other's place under one key. */
async function latestOf(api: DoorApi, key: string, first: Run): Promise<{ run: Run; number: number }> {
  let run = first;
  for (let number = 2; ; number += 1) {
    const next = await api.findRun(runIdOf(`${key}/${number}`));
    if (next === undefined) return { run, number: number - 1 };
    run = next;
  }
}

/** Makes sure that the open-ended run is there, into which producers push. */
export async function ensureLiveRun(travel: Travel, name: string, scenario = name): Promise<Run> {
  const request: RunRequest = {
    run_equivalence_key: name,
    world: {
      kind: 'live',
      scenario_id: scenario as ScenarioId,
      traffic: [{ event_type: 'transaction' as EventType, schema_version: 'v1' as SchemaVersion }],
    },
    strategy: 'AUTO',
  };
  const run = await travel.api.requestRun(request);
  return isOver(run) ? run : await waitForRun(travel, run.run_id);
}

/**
 * Streams the run to its end. Where its last pass has ended another one is begun: everything that was admitted before is a
 * DUPLICATE then. Says why, where it stops on the way.
 */
export async function streamToEnd(travel: Travel, runId: string, pace: Pace | undefined): Promise<Stream> {
  await beginStream(travel, runId, pace);
  return await waitForStream(travel, runId);
}

export async function beginStream(travel: Travel, runId: string, pace: Pace | undefined): Promise<Stream> {
  const { api } = travel;
  const paced = pace === undefined ? {} : { pace };
  const before = await api.stream(runId);
  if (before?.state !== 'COMPLETED') return await api.startStream(runId, paced);
  travel.progress.say(`Pass ${before.pass} has ended: streaming once more, which must change nothing.`);
  try {
    return await api.startStream(runId, { ...paced, again: true });
  } catch (error) {
    // Whether a lost answer began the pass is seen by its number; asking again blindly could begin one too many.
    const now = await api.stream(runId);
    if (now !== undefined && now.pass > before.pass) return now;
    throw error;
  }
}

/** Until it is COMPLETED or FAILED, or PAUSED by something that waiting does not mend. */
export async function waitForStream(travel: Travel, runId: string): Promise<Stream> {
  const { clock } = travel;
  let told = '';
  let last = { sent: -1, atMs: clock.monotonicMs() };
  return await polled(
    travel,
    async () => {
      const stream = await travel.api.stream(runId);
      if (stream === undefined) throw new ProbityError('WSP_STREAM_NOT_FOUND', `nothing of run ${runId} was streamed`);
      travel.progress.at(`Streaming (pass ${stream.pass})`, stream.sent, stream.rows_total);
      const why = stream.reason === undefined ? '' : `${stream.state}: ${stream.reason.detail}`;
      if (why !== told && why !== '') travel.progress.say(why);
      told = why;
      if (stream.sent !== last.sent || stream.state !== 'PAUSED')
        last = { sent: stream.sent, atMs: clock.monotonicMs() };
      return stream;
    },
    ({ state, reason }) => {
      if (state !== 'PAUSED') return state === 'COMPLETED' || state === 'FAILED';
      return !resumesByItself(reason?.code) || clock.monotonicMs() - last.atMs > PAUSED_MAX_MS;
    },
  );
}

/** A stream that goes on by itself once the gate answers is waited for so long, and no longer: a script must come to an end. */
const PAUSED_MAX_MS = 120_000;

/** A stream that paused because the gate does not answer goes on by itself; what a person or the policy paused does not. */
function resumesByItself(code: string | undefined): boolean {
  return code !== undefined && !STAYS_PAUSED.has(code);
}

const STAYS_PAUSED: ReadonlySet<string> = new Set(['PAUSE_ASKED_FOR', 'QUARANTINE_SHARE_TOO_LARGE']);

/** What is to follow from the traffic of a run, and how far it is asked for. */
export interface Following {
  /** Types of the events that are to be decided. */
  readonly triggerTypes: readonly string[];
  /** Leaves of the run in the audit log, by kind, once there are `records` of them or the log has had its time. */
  readonly leaves?: (records: number) => Promise<Counts>;
  /** What the label store tells of the run, once the labels of its world have entered or no more do. */
  readonly labels?: () => Promise<LabelsTold>;
}

/**
 * Lets the gate compare ledger and bus, and sets the accounts of world, stream and gate side by side; with `following` those of what followed from the
 * traffic as well, once it has come to rest.
 */
export async function reconcile(travel: Travel, runId: string, following?: Following): Promise<Reconciled> {
  const { api } = travel;
  const run = await api.run(runId);
  const facts = run.state === 'READY' ? await api.facts(runId) : undefined;
  const stream = run.kind === 'live' ? undefined : await api.stream(runId);
  const { gate, path } =
    following === undefined
      ? { gate: await compared(travel, runId), path: undefined }
      : await followed(travel, runId, following);
  const released = stream !== undefined && stream.quarantined > 0 ? await releasedOf(travel, runId) : 0;
  const labels =
    following?.labels === undefined ? undefined : labelAccountsOf(sealedLabelsOf(facts), await following.labels());
  travel.progress.clear();
  const counts = facts?.counts;
  const equations = equationsOf({
    ...(counts === undefined
      ? {}
      : {
          world: {
            rowsRead: counts.rows_read,
            rowsSealed: counts.rows_sealed,
            rowsRejected: counts.rows_rejected,
          },
        }),
    ...(stream === undefined ? {} : { stream }),
    gate: {
      admitted: gate.admitted,
      onBus: gate.on_bus,
      reconciled: gate.reconciled,
      offending: offendingOf(gate),
    },
    released,
    ...(path === undefined ? {} : { path }),
    ...(labels === undefined ? {} : { labels }),
  });
  const asked = { ...(path === undefined ? {} : { path }), ...(labels === undefined ? {} : { labels }) };
  return { facts, stream, gate, equations, ...asked };
}

/** Rows of the sealed output of labels; null where the world has none, or the run is not READY. */
export function sealedLabelsOf(facts: RunFactsView | undefined): number | null {
  return facts?.outputs.find(({ output_id }) => output_id === LABELS_OUTPUT)?.rows ?? null;
}

async function compared(travel: Travel, runId: string): Promise<Reconciliation> {
  return await polled(
    travel,
    async () => {
      const now = await travel.api.reconciliation(runId);
      travel.progress.at('Comparing ledger and bus', now.on_bus);
      return now;
    },
    ({ state }) => state === 'DONE',
  );
}

const AT_REST_MS = 2_000;

interface Followed {
  readonly gate: Reconciliation;
  readonly path: DecisionPath;
  /** All that the run has on the bus. */
  readonly records: number;
}

/** What followed from the traffic of a run, up to its leaves where they are asked for. */
export async function followed(travel: Travel, runId: string, { triggerTypes, leaves }: Following): Promise<Followed> {
  const { gate, path, records } = await cameToRest(travel, runId, triggerTypes);
  if (leaves === undefined) return { gate, path, records };
  // A run without records has no leaves: nobody needs an audit log to know that.
  const found = records === 0 ? {} : await leaves(records);
  return { gate, path: { ...path, logged: loggedOf(gate.by_type, found) }, records };
}

/** Compares until every link is closed, or nothing more has followed for a while: then what is open stays open. */
async function cameToRest(travel: Travel, runId: string, triggerTypes: readonly string[]): Promise<Followed> {
  for (let before = -1; ;) {
    const gate = await compared(travel, runId);
    const records = Object.values(gate.by_type).reduce((sum, { on_bus }) => sum + on_bus, 0);
    if (gate.custody === undefined)
      throw new ProbityError('RPC_RESPONSE_INVALID', 'the gate does not say what followed from the run');
    const path = pathOf(gate.custody, triggerTypes);
    if (!waits(path) || records === before) return { gate, path, records };
    before = records;
    travel.progress.at('Waiting for what follows', records);
    await travel.clock.sleep(AT_REST_MS, travel.signal);
    if (travel.signal.aborted) throw endOf(travel.signal);
  }
}

export function offendingOf(gate: Reconciliation): Readonly<Record<string, readonly string[]>> {
  const { missing_on_bus, not_in_ledger, more_than_once_on_bus, other_content } = gate;
  return { missing_on_bus, not_in_ledger, more_than_once_on_bus, other_content };
}

const PAGE_MAX = 200;

/** How many quarantined events of the run were released or corrected since. */
async function releasedOf({ api }: Travel, runId: string): Promise<number> {
  let released = 0;
  let cursor: string | undefined;
  do {
    const page = await api.quarantine({ limit: PAGE_MAX, run_id: runId, cursor });
    released += page.entries.filter(({ superseded_by }) => superseded_by !== undefined).length;
    cursor = page.next_cursor;
  } while (cursor !== undefined);
  return released;
}
