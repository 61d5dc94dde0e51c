import { Injectable } from '@nestjs/common';
import { isProbityError, ProbityError } from '../../../rails/errors/probity-error.js';
import { DecisionPolicySchema } from '../../../rails/decision/policy.schema.js';
import type { RunId } from '../../../rails/pins.js';
import {
  type Accounts,
  allHold,
  equationsOf,
  labelAccountsOf,
  labelsWait,
  loggedOf,
  pathOf,
  waits,
} from '../../../rails/reconciliation.js';
import { fromEpochMs } from '../../../rails/time.js';
import { Clock } from '../../../substrate/clock/clock.port.js';
import { Objects } from '../../../substrate/objects/objects.port.js';
import { Policies, type PolicyKind } from '../../../substrate/policy/policy.port.js';
import { outgoing } from '../../../substrate/rpc/outgoing.js';
import { DecisionLogAuditPort } from '../../decision-log-audit/decision-log-audit.port.js';
import { IngestionGatePort, type Reconciliation } from '../../ingestion-gate/ingestion-gate.port.js';
import { type LabelCountsAnswer, LABELS_OUTPUT, LabelStorePort } from '../../label-store/label-store.port.js';
import { readRunFacts } from '../../scenario-runner/run-facts.port.js';
import { type RunStatus, ScenarioRunnerPort } from '../../scenario-runner/scenario-runner.port.js';
import { type StreamStatus, WorldStreamProducerPort } from '../../world-stream-producer/world-stream-producer.port.js';
import { offendersOf, type RunReport } from './run-report.core.js';

/** Which events are to be decided says the policy of the decision fabric. */
export const DECIDED_POLICY: PolicyKind<typeof DecisionPolicySchema> = {
  policy_id: 'df.decision',
  schema: DecisionPolicySchema,
};
const CALL_LIMIT_MS = 30_000;
const POLL_MS = 250;
const AT_REST_MS = 2_000;

/** Counts a run at every link, from the rows of its source to the leaves of the audit log, by asking the units whose truth each of them is. */
@Injectable()
export class RunReporter {
  constructor(
    private readonly runs: ScenarioRunnerPort,
    private readonly streams: WorldStreamProducerPort,
    private readonly gate: IngestionGatePort,
    private readonly log: DecisionLogAuditPort,
    private readonly labels: LabelStorePort,
    private readonly objects: Objects,
    private readonly policies: Policies,
    private readonly clock: Clock,
  ) {}

  /** @throws SR_RUN_NOT_FOUND; codes of the ports */
  async report(runId: RunId, idsMax: number, signal: AbortSignal): Promise<RunReport> {
    const context = (): ReturnType<typeof outgoing> => outgoing(this.clock, CALL_LIMIT_MS, { signal });
    const run = await this.runs.run({ run_id: runId }, context());
    const stream = run.kind === 'live' ? undefined : await this.#stream(runId, context());
    const { gate, path } = await this.#followed(runId, signal);
    const { by_kind } = await this.log.leaves({ run_id: runId }, context());
    const { world, sealedLabels } = await this.#world(run);
    const told = await this.#labels(runId, idsMax, signal);
    const labels = labelAccountsOf(sealedLabels, told);
    const accounts: Accounts = {
      ...(world === undefined ? {} : { world }),
      ...(stream === undefined ? {} : { stream }),
      gate: { admitted: gate.admitted, onBus: gate.on_bus, reconciled: gate.reconciled, offending: offendingOf(gate) },
      // Who was released since the pass the gate alone knows: up to all that were quarantined.
      released: stream?.quarantined ?? 0,
      path: { ...path, logged: loggedOf(gate.by_type, by_kind) },
      labels,
    };
    const equations = equationsOf(accounts);
    return {
      run_id: runId,
      generated_at_utc: fromEpochMs(this.clock.nowMs()),
      reconciled: allHold(equations),
      equations,
      offending: offendersOf(accounts.gate, accounts.path ?? path, labels, idsMax),
      labels: { written: told.written, refusals: told.refusals },
    };
  }

  async #world({
    run_id,
    state,
  }: RunStatus): Promise<Pick<Accounts, 'world'> & { readonly sealedLabels: number | null }> {
    const view = state === 'READY' ? (await readRunFacts(this.objects, run_id))?.view : undefined;
    if (view === undefined) return { sealedLabels: null };
    const { counts, outputs } = view;
    const labels = outputs.find(({ output_id, role }) => output_id === LABELS_OUTPUT && role === 'truth_products');
    const sealedLabels = labels?.rows ?? null;
    if (counts === undefined) return { sealedLabels };
    const { rows_read: rowsRead, rows_sealed: rowsSealed, rows_rejected: rowsRejected } = counts;
    return { sealedLabels, world: { rowsRead, rowsSealed, rowsRejected } };
  }

  /** Until all labels of its world have entered, or no more have for a while: then what is missing is missing. */
  async #labels(runId: RunId, idsMax: number, signal: AbortSignal): Promise<LabelCountsAnswer> {
    for (let before = -1; ;) {
      const told = await this.labels.counts(
        { run_id: runId, ids_max: idsMax },
        outgoing(this.clock, CALL_LIMIT_MS, { signal }),
      );
      const read = told.sealed?.read ?? 0;
      if (!labelsWait(told) || read === before) return told;
      before = read;
      await this.clock.sleep(AT_REST_MS, signal);
      signal.throwIfAborted();
    }
  }

  async #stream(runId: RunId, context: ReturnType<typeof outgoing>): Promise<StreamStatus | undefined> {
    try {
      return await this.streams.status({ run_id: runId }, context);
    } catch (error) {
      if (isProbityError(error, 'WSP_STREAM_NOT_FOUND')) return undefined;
      throw error;
    }
  }

  /** Until every link is closed, or nothing more has followed for a while: then what is open stays open. */
  async #followed(
    runId: RunId,
    signal: AbortSignal,
  ): Promise<{ readonly gate: Reconciliation; readonly path: ReturnType<typeof pathOf> }> {
    const { trigger_event_types } = this.policies.inForce(DECIDED_POLICY).body;
    for (let before = -1; ;) {
      const gate = await this.#compared(runId, signal);
      if (gate.custody === undefined)
        throw new ProbityError('RPC_RESPONSE_INVALID', 'the gate does not say what followed from the run');
      const path = pathOf(gate.custody, trigger_event_types);
      const records = Object.values(gate.by_type).reduce((sum, { on_bus }) => sum + on_bus, 0);
      if (!waits(path) || records === before) return { gate, path };
      before = records;
      await this.clock.sleep(AT_REST_MS, signal);
      signal.throwIfAborted();
    }
  }

  async #compared(runId: RunId, signal: AbortSignal): Promise<Reconciliation> {
    for (;;) {
      const now = await this.gate.reconcile({ run_id: runId }, outgoing(this.clock, CALL_LIMIT_MS, { signal }));
      if (now.state === 'DONE') return now;
      await this.clock.sleep(POLL_MS, signal);
      signal.throwIfAborted();
    }
  }
}

function offendingOf({
  missing_on_bus,
  not_in_ledger,
  more_than_once_on_bus,
  other_content,
}: Reconciliation): Readonly<Record<string, readonly string[]>> {
  return { missing_on_bus, not_in_ledger, more_than_once_on_bus, other_content };
}
