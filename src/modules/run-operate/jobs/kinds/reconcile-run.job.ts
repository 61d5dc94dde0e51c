import { Injectable } from '@nestjs/common';
import { type Static, Type } from '@sinclair/typebox';
import type { Counter } from '@opentelemetry/api';
import { canonicalJson, type JsonObject } from '../../../../rails/canonical-json.js';
import { ProbityError } from '../../../../rails/errors/probity-error.js';
import { RunIdSchema, type RunId } from '../../../../rails/pins.js';
import { asRef, objectKey, type Ref } from '../../../../rails/ref.js';
import { closed } from '../../../../rails/schema.js';
import { validatorOf } from '../../../../rails/validator.js';
import { Clock } from '../../../../substrate/clock/clock.port.js';
import { Objects } from '../../../../substrate/objects/objects.port.js';
import { outgoing } from '../../../../substrate/rpc/outgoing.js';
import { Telemetry } from '../../../../substrate/telemetry/telemetry.port.js';
import { ScenarioRunnerPort } from '../../../scenario-runner/scenario-runner.port.js';
import { failing, type RunReport, RunReportSchema } from '../../reports/run-report.core.js';
import { RunReporter } from '../../reports/run-reporter.js';
import type { Told } from '../../operation-facts.js';
import type { JobKind, JobWork } from '../job-kind.js';

const IDS_DEFAULT = 20;
const PAGE = 200;
const PAGE_LIMIT_MS = 30_000;
const reports = validatorOf(RunReportSchema, 'the report');

export const ReconcileScopeSchema = closed({
  /** Left out: the youngest runs that are READY. */
  run_id: Type.Optional(RunIdSchema),
  runs_max: Type.Optional(Type.Integer({ minimum: 1, maximum: PAGE })),
  /** Ids of each kind of offender in a report. */
  ids_max: Type.Optional(Type.Integer({ minimum: 1, maximum: 100 })),
});

/**
 * A report for each run. That a report finds a loss does not make the job fail: it has done what it was to do, and says `reconciled: false`. Reports
 * stand under the op_id, so that each look is a fact of its own.
 */
@Injectable()
export class ReconcileRunJob implements JobKind {
  readonly kind = 'reconcile_run';
  readonly summary = 'Counts runs from their source to their leaves, and names who lacks what.';
  readonly scope = ReconcileScopeSchema;
  readonly #reports: Counter;

  constructor(
    private readonly reporter: RunReporter,
    private readonly runs: ScenarioRunnerPort,
    private readonly objects: Objects,
    private readonly clock: Clock,
    private readonly telemetry: Telemetry,
  ) {
    this.#reports = telemetry.meter.createCounter('ops.run.reports', {
      description: 'reports, by whether all counts agree',
    });
  }

  async run(scope: JsonObject, { opId, signal }: JobWork): Promise<JsonObject> {
    // The kinds have compared the scope with the schema.
    const { run_id, runs_max = 10, ids_max = IDS_DEFAULT } = scope as Static<typeof ReconcileScopeSchema>;
    const made: { run_id: RunId; reconciled: boolean; failing: string[]; report: Ref }[] = [];
    for (const runId of run_id === undefined ? await this.#youngest(runs_max, signal) : [run_id]) {
      signal.throwIfAborted();
      const ref = await this.#reported(opId, runId, ids_max, signal);
      const { reconciled, equations } = await readReport(this.objects, ref);
      made.push({ run_id: runId, reconciled, failing: [...failing(equations as never)], report: ref });
    }
    return { reconciled: made.every((one) => one.reconciled), runs: made };
  }

  /** Every report is read once more, and says what the receipt says of it. */
  async verify(_: JsonObject, { runs }: JsonObject): Promise<JsonObject> {
    const made = runs as readonly { readonly reconciled: boolean; readonly report: unknown }[];
    for (const { reconciled, report } of made)
      if ((await readReport(this.objects, asRef(report))).reconciled !== reconciled)
        throw new ProbityError('OPS_RECEIPT_TAMPERED', 'a report says something else than when it was made');
    return { reports_read: made.length };
  }

  tells({ runs }: JsonObject): readonly Told[] {
    const made = runs as unknown as readonly { run_id: string; reconciled: boolean; failing: string[]; report: Ref }[];
    return made.map(({ run_id, reconciled, failing: equations, report }, step) => ({
      ...{ kind: 'RUN_REPORT_GENERATED', subject: run_id, evidence: [report], step },
      reason: reconciled ? 'all counts agree' : `counts differ: ${equations.join('; ')}`.slice(0, 1_000),
      detail: { reconciled: reconciled ? 'yes' : 'no' },
    }));
  }

  /** What was reported under this op_id stands, also where the process died behind it. */
  async #reported(opId: string, runId: RunId, idsMax: number, signal: AbortSignal): Promise<Ref> {
    const key = objectKey(`gov/reports/${opId}/${runId}.json`);
    const standing = await this.objects.head(key);
    if (standing !== null) return standing;
    const report = await this.reporter.report(runId, idsMax, signal);
    const { ref } = await this.objects.putIfAbsent(key, Buffer.from(canonicalJson(report)), {
      mediaType: 'application/json',
    });
    const { reconciled, equations } = report;
    this.#reports.add(1, { reconciled });
    const fields = { run_id: runId, op_id: opId, report: ref.locator };
    if (reconciled) this.telemetry.logger.info('ops_run_reconciled', fields);
    else this.telemetry.logger.error('ops_run_unreconciled', { ...fields, failing: failing(equations as never) });
    return ref;
  }

  async #youngest(max: number, signal: AbortSignal): Promise<readonly RunId[]> {
    const context = outgoing(this.clock, PAGE_LIMIT_MS, { signal });
    const { runs } = await this.runs.runs({ limit: max, state: 'READY' }, context);
    return runs.map(({ run_id }) => run_id);
  }
}

async function readReport(objects: Objects, ref: Ref): Promise<RunReport> {
  return reports.demand(JSON.parse((await objects.read(ref)).toString('utf8')));
}
