import type { WorldSeal } from '../../modules/data-engine/data-engine.port.js';
import type { Pace } from '../../modules/world-stream-producer/world-stream-producer.port.js';
import { isProbityError } from '../../rails/errors/probity-error.js';
import { EXIT, type ExitCode } from '../exit-codes.js';
import type { Terminal } from '../terminal.js';
import type { Run } from './door-api.js';
import { reconcile, streamToEnd, type Travel } from './journey.js';
import { thousands } from './progress.core.js';
import { sealingEquation } from '../../rails/reconciliation.js';
import { failedRunReport, reconciledReport, type Report } from './report.js';

/** Rejected rows that a failed run shows. */
const REJECTS_SHOWN = 5;

export interface WorldEnd {
  /** False leaves the world sealed and READY; `as it is` reconciles what was streamed before. */
  readonly stream: boolean | 'as it is';
  readonly pace: Pace | undefined;
  readonly rowsWord: string;
}

/** What follows once a run of a sealed world is over: streamed and reconciled where it is READY, explained where it is not. */
export async function finishWorld(travel: Travel, terminal: Terminal, run: Run, end: WorldEnd): Promise<ExitCode> {
  const { document, lines, ok } = await endOfWorld(travel, run, end);
  travel.progress.clear();
  terminal.answer(document, lines);
  return ok ? EXIT.OK : EXIT.FAILED;
}

export async function endOfWorld(travel: Travel, run: Run, end: WorldEnd): Promise<Report> {
  if (run.state !== 'READY') {
    const seal = await sealOf(travel, run);
    const hasRejects = seal?.outputs.some(({ output_id }) => output_id === 'rejects') === true;
    const rejects = hasRejects ? await travel.api.rejects(run.pins.manifest_fingerprint, REJECTS_SHOWN) : [];
    return failedRunReport(run, seal, rejects);
  }
  if (end.stream === false) return await sealedReport(travel, run);
  if (end.stream === true) await streamToEnd(travel, run.run_id, end.pace);
  return reconciledReport(run, await reconcile(travel, run.run_id), end.rowsWord);
}

/** A world that failed its gate has a seal that says why; one that was never sealed has none. */
async function sealOf({ api }: Travel, run: Run): Promise<WorldSeal | undefined> {
  try {
    return await api.seal(run.pins.manifest_fingerprint);
  } catch (error) {
    if (isProbityError(error, 'ENGINE_WORLD_NOT_FOUND')) return undefined;
    throw error;
  }
}

async function sealedReport({ api }: Travel, run: Run): Promise<Report> {
  const { counts, outputs, window } = await api.facts(run.run_id);
  const equation =
    counts === undefined
      ? undefined
      : sealingEquation({
          rowsRead: counts.rows_read,
          rowsSealed: counts.rows_sealed,
          rowsRejected: counts.rows_rejected,
        });
  return {
    ok: equation?.holds ?? true,
    document: { run, counts, outputs, window, ...(equation === undefined ? {} : { equations: [equation] }) },
    lines: [
      `Run ${run.run_id} (${run.run_equivalence_key}) is READY, world ${run.pins.manifest_fingerprint}`,
      ...outputs.map(({ output_id, role, rows }) => `  ${output_id}: ${thousands(rows)} rows, ${role}`),
      ...(window === undefined ? [] : [`  from ${window.first_ts_utc} to ${window.last_ts_utc}`]),
      ...(equation === undefined || equation.holds
        ? []
        : [`NOT reconciled: ${equation.equation}: ${equation.figures}`]),
      `To stream it: probity stream ${run.run_id} --wait`,
    ],
  };
}
