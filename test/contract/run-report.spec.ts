import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import type { DecisionLogAuditPort } from '../../src/modules/decision-log-audit/decision-log-audit.port.js';
import type { IngestionGatePort, Reconciliation } from '../../src/modules/ingestion-gate/ingestion-gate.port.js';
import type { LabelStorePort } from '../../src/modules/label-store/label-store.port.js';
import { ReconcileRunJob } from '../../src/modules/run-operate/jobs/kinds/reconcile-run.job.js';
import { RunReporter } from '../../src/modules/run-operate/reports/run-reporter.js';
import type { RunReport } from '../../src/modules/run-operate/reports/run-report.core.js';
import type { RunStatus, ScenarioRunnerPort } from '../../src/modules/scenario-runner/scenario-runner.port.js';
import type {
  StreamStatus,
  WorldStreamProducerPort,
} from '../../src/modules/world-stream-producer/world-stream-producer.port.js';
import type { RunPins } from '../../src/rails/pins.js';
import { sealPolicy } from '../../src/rails/policy-rev.js';
import { asRef } from '../../src/rails/ref.js';
import { SystemClock } from '../../src/substrate/clock/system.clock.js';
import { FilesObjects } from '../../src/substrate/objects/files.objects.js';
import type { Objects } from '../../src/substrate/objects/objects.port.js';
import { StaticPolicies } from '../../src/substrate/policy/policy.port.js';
import { scratchDataFolder } from '../support/data-folder.js';
import { putSealedRun, transactionPayload } from '../support/run-facts.js';
import { recordedTelemetry } from '../support/telemetry.js';

const ROWS = 5;
const none = { count: 0, ids: [] };

/** A run of five payments of which everything is there, as the units tell it. */
function sound(runId: string) {
  const stream = { run_id: runId, state: 'COMPLETED', sent: 5, admitted: 4, duplicate: 0, quarantined: 1 };
  const gate = {
    ...{ state: 'DONE', run_id: runId, admitted: 4, duplicate: 0, quarantined: 1, on_bus: 4, reconciled: true },
    by_type: {
      transaction: { admitted: 4, on_bus: 4 },
      decision: { admitted: 4, on_bus: 4 },
      action_intent: { admitted: 3, on_bus: 3 },
      action_outcome: { admitted: 3, on_bus: 3 },
    },
    custody: {
      ...{ decisions: 4, actions_planned: 3, intents: 3, outcomes: 3, undecided: {} as object },
      ...{ decided_without_event: none, planned_without_intent: none, intents_unplanned: none },
      ...{ intents_open: none, outcomes_orphaned: none },
    },
    ...{ missing_on_bus: [] as string[], not_in_ledger: [], more_than_once_on_bus: [], other_content: [] },
  };
  const leaves: Record<string, number> = { event: 4, decision: 4, intent: 3, outcome: 3 };
  const labels = {
    ...{ state: 'NONE', sealed: null as object | null, refusals: [] as object[], offending: {} },
    written: [{ namespace: 'bank', submitted: 3, accepted: 1, duplicate: 1, rejected: 1, in_ledger: 1 }],
  };
  return { stream, gate, leaves, labels };
}
type Told = ReturnType<typeof sound>;

describe('the report of a run', () => {
  const folder = scratchDataFolder('run report');
  let objects: Objects;
  let pins: RunPins;
  let told: Told;

  beforeAll(async () => {
    objects = await FilesObjects.open(folder, new SystemClock());
    const rows = Array.from({ length: ROWS }, (_, at) => ({
      ...{ key: `r-${at}`, ts_utc: `2026-01-01T00:00:0${at}.000000Z`, payload: transactionPayload(at) },
    }));
    pins = await putSealedRun(objects, { key: 'report', scenario: 'report', rows });
  });
  afterAll(() => objects.close());
  beforeEach(() => {
    told = sound(pins.run_id);
  });

  function job(): ReconcileRunJob {
    const run = { run_id: pins.run_id, kind: 'generate', state: 'READY' } as unknown as RunStatus;
    const runs = {
      run: () => Promise.resolve(run),
      runs: () => Promise.resolve({ runs: [run] }),
    } as unknown as ScenarioRunnerPort;
    const streams = {
      status: () => Promise.resolve(told.stream as unknown as StreamStatus),
    } as unknown as WorldStreamProducerPort;
    const gate = {
      reconcile: () => Promise.resolve(told.gate as unknown as Reconciliation),
    } as unknown as IngestionGatePort;
    const log = { leaves: () => Promise.resolve({ by_kind: told.leaves }) } as unknown as DecisionLogAuditPort;
    const labels = { counts: () => Promise.resolve(told.labels) } as unknown as LabelStorePort;
    const policy = sealPolicy('df.decision', 1, { trigger_event_types: ['transaction'] });
    const policies = new StaticPolicies(new Map([['df.decision', policy]]));
    const clock = new SystemClock();
    const { telemetry } = recordedTelemetry();
    const reporter = new RunReporter(runs, streams, gate, log, labels, objects, policies, clock);
    return new ReconcileRunJob(reporter, runs, objects, clock, telemetry);
  }
  async function reported(scope: object = {}): Promise<{ readonly report: RunReport; readonly failing: unknown }> {
    const work = { opId: `op-${randomUUID()}`, signal: new AbortController().signal };
    const one = job();
    const outputs = await one.run(scope as never, work);
    await one.verify(scope as never, outputs);
    const [made] = outputs['runs'] as unknown as readonly { failing: unknown; report: unknown; reconciled: boolean }[];
    const report = JSON.parse((await objects.read(asRef(made?.report))).toString('utf8')) as RunReport;
    expect([outputs['reconciled'], made?.reconciled]).toEqual([report.reconciled, report.reconciled]);
    expect(one.tells(outputs)).toMatchObject([
      {
        ...{ kind: 'RUN_REPORT_GENERATED', subject: pins.run_id, evidence: [made?.report] },
        detail: { reconciled: report.reconciled ? 'yes' : 'no' },
      },
    ]);
    return { report, failing: made?.failing };
  }

  it('says that all counts agree, equation by equation, from the rows of the source to the leaves', async () => {
    const { report } = await reported({ run_id: pins.run_id });
    expect(report).toMatchObject({ reconciled: true, offending: {} });
    expect(report.equations.map(({ holds }) => holds)).toEqual(Array.from({ length: 13 }, () => true));
    expect((await reported()).report).toMatchObject({ run_id: pins.run_id, reconciled: true });
  });

  it.each<[string, (told: Told) => void, readonly string[], object]>([
    [
      'a row that was sent and never answered',
      ({ stream }) => (stream.admitted = 3),
      ['sent = admitted + duplicate + quarantined'],
      {},
    ],
    [
      'an event that was admitted and does not stand on the bus',
      ({ gate }) => Object.assign(gate, { on_bus: 3, reconciled: false, missing_on_bus: ['e-2'] }),
      [
        ...['rows_sealed - quarantined = records_on_bus', 'admitted = records_on_bus'],
        'ledger and bus hold the same events',
      ],
      { missing_on_bus: { count: 1, ids: ['e-2'] } },
    ],
    [
      'an event that was never decided',
      ({ gate, leaves }) => {
        gate.custody.decisions = 3;
        gate.custody.undecided = { transaction: { count: 1, ids: ['e-3'] } };
        gate.by_type.decision.on_bus = 3;
        leaves['decision'] = 3;
      },
      ['events to decide = decisions'],
      { undecided: { count: 1, ids: ['e-3'] } },
    ],
    [
      'an intent of which no outcome is told',
      ({ gate, leaves }) => {
        gate.custody.outcomes = 2;
        gate.custody.intents_open = { count: 1, ids: ['i-1'] } as never;
        gate.by_type.action_outcome.on_bus = 2;
        leaves['outcome'] = 2;
      },
      ['intents = outcomes'],
      { intents_open: { count: 1, ids: ['i-1'] } },
    ],
    [
      'a decision that is no leaf of the audit log',
      ({ leaves }) => (leaves['decision'] = 3),
      ['records of the run = leaves of the audit log'],
      { leaves_of_decision: { count: 1, ids: [] } },
    ],
    [
      'a label that was submitted and never answered',
      ({ labels }) => labels.written.forEach((of) => (of.submitted = 4)),
      ['labels submitted = accepted + duplicate + rejected'],
      {},
    ],
    [
      'a label that was accepted and does not stand in the ledger',
      ({ labels }) => {
        labels.written.forEach((of) => (of.in_ledger = 0));
        labels.offending = { labels_accepted_not_in_ledger: { count: 1, ids: ['ledger_seq 9'] } };
      },
      ['labels accepted = labels of the ledger'],
      { labels_accepted_not_in_ledger: { count: 1, ids: ['ledger_seq 9'] } },
    ],
  ])('flags %s', async (_, lose, failing, offending) => {
    lose(told);
    const found = await reported();
    expect(found.report.reconciled).toBe(false);
    expect(found.failing).toEqual(failing);
    expect(found.report.offending).toEqual(offending);
  });

  it('lists what was refused of labels, which is no loss', async () => {
    told.labels.refusals = [{ namespace: 'bank', handle: 'h-1', code: 'LBL_TARGET_UNKNOWN' }];
    const { report } = await reported();
    expect(report).toMatchObject({ reconciled: true, offending: {}, labels: { refusals: told.labels.refusals } });
  });

  it('names as many ids as it is asked for', async () => {
    const ids = Array.from({ length: 30 }, (_, at) => `e-${at}`);
    Object.assign(told.gate, { reconciled: false, missing_on_bus: ids });
    const { report } = await reported({ ids_max: 7 });
    expect(report.offending['missing_on_bus']).toEqual({ count: 30, ids: ids.slice(0, 7) });
  });
});
