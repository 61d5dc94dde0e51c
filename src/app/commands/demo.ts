import type { GenerateInvocation } from '../../modules/data-engine/data-engine.port.js';
import type { JsonObject } from '../../rails/canonical-json.js';
import type { ScenarioId, Seed } from '../../rails/pins.js';
import { SystemClock } from '../../substrate/clock/system.clock.js';
import { ApiClient } from '../client/api-client.js';
import { askedAtOnce, waitsLines } from '../client/asked-at-once.js';
import { auditReport, auditVerified, leavesOf, waitForOutcomes, waitForSigned } from '../client/audited.js';
import {
  named,
  qualityReport,
  readyToDecide,
  verificationReport,
  verified,
  waitForDecisions,
} from '../client/decided.js';
import { DecisionApi } from '../client/decision-api.js';
import { DoorApi, type DoorRole, type Run } from '../client/door-api.js';
import { bringToReady, ensureLiveRun, followed, type Travel } from '../client/journey.js';
import { pathEquations } from '../../rails/reconciliation.js';
import { openProgress } from '../client/progress.js';
import { thousands } from '../client/progress.core.js';
import type { Report } from '../client/report.js';
import { endOfWorld } from '../client/world-end.js';
import type { Terminal } from '../terminal.js';
import { offerNamed } from './door-options.js';
import { generateRequest } from './world.js';

/** Roles without which the first start shows nothing. */
export const DEMO_ROLES: readonly DoorRole[] = [
  'engine',
  'sr',
  'wsp',
  'ig',
  'edge',
  'labels',
  'ofp',
  'ieg',
  'dl',
  'df',
  'al',
  'dla',
];

/** The open-ended run into which a first `curl` goes; the shipped policy of the edges names it. */
export const LIVE_RUN = 'live';
const PACK = 'small';
const DAYS = 16;
const SEED = '1' as Seed;

export interface DemoPlace {
  readonly url: string;
  readonly key: string;
  readonly terminal: Terminal;
  readonly signal: AbortSignal;
  /** Types of the events that are to be decided. */
  readonly triggerTypes: readonly string[];
  /** Also where there are runs already: for a start that is to end with a verdict. */
  readonly always: boolean;
}

/**
 * What a start does by itself: the open-ended run, so that a transaction can be sent at once, and on an empty data folder a small
 * world that is generated, streamed and reconciled. Undefined where there was nothing to show.
 */
export async function demo({
  url,
  key,
  terminal,
  signal,
  triggerTypes,
  always,
}: DemoPlace): Promise<Report | undefined> {
  const clock = new SystemClock();
  const progress = openProgress(terminal.screen, clock);
  const client = new ApiClient({ clock, signal });
  const api = new DoorApi(client, () => Promise.resolve({ url, key }));
  const travel: Travel = { api, clock, signal, progress, serves: () => true };
  try {
    // A start that was interrupted before it had anything to show left the open-ended run alone.
    const { runs } = await api.runs({ limit: 2 });
    const isEmpty = runs.every(({ run_equivalence_key }) => run_equivalence_key === LIVE_RUN);
    await ensureLiveRun(travel, LIVE_RUN);
    if (!isEmpty && !always) return undefined;
    // Half of the pack's month: everything has to be seen within a minute.
    const pack = await offerNamed(api, 'packs', PACK);
    const parameters = { ...pack, window: { ...(pack['window'] as JsonObject), days: DAYS } };
    const world: GenerateInvocation = { kind: 'generate', scenario_id: PACK as ScenarioId, seed: SEED, parameters };
    const run = await bringToReady(travel, generateRequest(world));
    // A pass that has ended is proof already: only what was not streamed yet is streamed.
    const streamed = (await api.stream(run.run_id))?.state === 'COMPLETED';
    if (run.state === 'READY') await readyToDecide(travel, run.run_id);
    const counted = await endOfWorld(travel, run, {
      stream: streamed ? 'as it is' : true,
      pace: undefined,
      rowsWord: 'rows generated',
    });
    return counted.ok ? await decided(travel, run, counted, triggerTypes) : counted;
  } finally {
    progress.clear();
    client.close();
  }
}

/** The second half of the story: each transaction decided, what of the fraud was stopped, and all of it made again and compared. */
async function decided(travel: Travel, run: Run, counted: Report, triggerTypes: readonly string[]): Promise<Report> {
  const { run_id } = run;
  const { admitted_in_ledger: admitted } = counted.document['accounts'] as { readonly admitted_in_ledger: number };
  await waitForDecisions(travel, run_id, admitted);
  await waitForOutcomes(travel, admitted);
  const quality = qualityReport(await new DecisionApi(travel.api).quality(run_id));
  const verification = verificationReport(await verified(travel, { run_id }));
  const leaves = async (count: number) => await leavesOf(travel, run_id, count);
  const { gate, path, records } = await followed(travel, run_id, { triggerTypes, leaves });
  const broken = pathEquations({ path }).filter(({ holds }) => !holds);
  const each = broken.length === 0 && path.decisions === admitted && gate.reconciled;
  const bundle = await bundleOf(travel, run_id);
  const waits = await askedAtOnce(travel);
  await waitForSigned(travel, records);
  const audit = auditReport(await auditVerified(travel));
  travel.progress.clear();
  return {
    ok: counted.ok && verification.ok && each && audit.ok,
    document: {
      ...counted.document,
      decisions: quality.document,
      verification: verification.document,
      by_type: gate.by_type,
      decision_path: path,
      bundle,
      waits,
      audit: audit.document,
    },
    lines: [
      ...counted.lines,
      '',
      'And decided:',
      ...quality.lines,
      `Scored by ${bundle}.`,
      each
        ? `Reconciled: one decision per transaction, ${thousands(path.intents)} intents and as many outcomes, a leaf for each of ${thousands(records)} records.`
        : `NOT reconciled: ${path.decisions} decisions of ${admitted} transactions on the bus.`,
      ...broken.map(({ equation, figures }) => `  ${equation}: ${figures}`),
      ...verification.lines,
      ...audit.lines,
      ...waitsLines(waits),
    ],
  };
}

/** The bundle that a decision of the run names. */
async function bundleOf({ api }: Travel, runId: string): Promise<string> {
  const decisions = new DecisionApi(api);
  const [row] = (await decisions.decisions({ run: runId, limit: 1 })).decisions;
  if (row === undefined) return 'nothing: there is no decision';
  const { bundle } = (await decisions.decision(row.decision_id)).decision;
  return bundle.status === 'ACTIVE'
    ? `bundle ${named(bundle)}, and judged by rules`
    : `no model (${bundle.reason}): rules alone judged`;
}
