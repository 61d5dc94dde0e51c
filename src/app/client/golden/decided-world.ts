import type { RunRequest } from '../../../modules/scenario-runner/scenario-runner.port.js';
import { ProbityError } from '../../../rails/errors/probity-error.js';
import { auditReport, auditVerified, leavesOf, waitForOutcomes, waitForSigned } from '../audited.js';
import { readyToDecide, verificationReport, verified, waitForDecisions } from '../decided.js';
import type { Run } from '../door-api.js';
import { bringToReady, followed, reconcile, streamToEnd } from '../journey.js';
import { thousands } from '../progress.core.js';
import { allHold, pathEquations } from '../../../rails/reconciliation.js';
import { passed, type Way } from './hop.js';

/** A world that was made, admitted, decided, carried out and logged. */
export interface DecidedWorld {
  readonly run: Run;
  readonly payments: number;
  readonly firstUtc: string;
  readonly lastUtc: string;
}

/**
 * From a seed to the last leaf. Each link is counted at both its ends.
 * @throws HopFailed where one does not hold, ProbityError CONFIG_INVALID where the world was here before
 */
export async function decidedWorld(
  way: Way,
  request: RunRequest,
  triggerTypes: readonly string[],
): Promise<DecidedWorld> {
  const run = await bringToReady(way, request);
  const { run_id } = run;
  if (run.state !== 'READY')
    passed(way, {
      ...{ units: 'engine, sr', what: 'a world from a seed', ok: false, document: { run } },
      proof: `run ${run_id} is ${run.state}: ${run.reasons.join(', ')}`,
    });
  if ((await way.api.stream(run_id)) !== undefined)
    throw new ProbityError(
      'CONFIG_INVALID',
      `the world of run ${run_id} was streamed here before: name another --seed, or another data folder`,
    );
  const facts = await way.api.facts(run_id);
  const { window, outputs } = facts;
  if (window === undefined) throw new ProbityError('RPC_RESPONSE_INVALID', `run ${run_id} has no window of time`);
  passed(way, {
    units: 'engine, sr',
    what: 'a world from a seed, sealed and READY',
    proof: `${outputs.map(({ output_id, rows }) => `${thousands(rows)} ${output_id}`).join(', ')}; world ${short(run.pins.manifest_fingerprint)}`,
    ok: true,
    document: { run, facts },
  });

  await readyToDecide(way, run_id);
  const stream = await streamToEnd(way, run_id, undefined);
  const counted = await reconcile(way, run_id);
  passed(way, {
    units: 'wsp, ig',
    what: 'streamed through the gate, each counted once',
    proof: `${thousands(stream.sent)} sent, ${thousands(counted.gate.admitted)} admitted, ${thousands(counted.gate.on_bus)} on the bus${brokenOf(counted.equations)}`,
    ok: allHold(counted.equations) && counted.gate.reconciled,
    document: { stream, equations: counted.equations },
  });

  const payments = counted.gate.admitted;
  await waitForDecisions(way, run_id, payments);
  await waitForOutcomes(way, payments);
  const leaves = async (count: number) => await leavesOf(way, run_id, count);
  const { path } = await followed(way, run_id, { triggerTypes, leaves });
  const equations = pathEquations({ path });
  passed(way, {
    units: 'ofp, ieg, dl, df, al, dla',
    what: 'each payment decided, carried out and logged',
    proof: `${thousands(path.decisions)} decisions, ${thousands(path.intents)} intents, ${thousands(path.outcomes)} outcomes, ${thousands(path.logged?.leaves ?? 0)} leaves${brokenOf(equations)}`,
    ok: allHold(equations) && path.decisions === payments,
    document: { path, equations },
  });
  return { run, payments, firstUtc: window.first_ts_utc, lastUtc: window.last_ts_utc };
}

/** All decisions of the run made again from the bus, and compared byte for byte. @throws HopFailed */
export async function madeAgain(way: Way, { run, payments }: DecidedWorld): Promise<void> {
  const report = verificationReport(await verified(way, { run_id: run.run_id }));
  const { compared, equal } = report.document as { readonly compared: number; readonly equal: number };
  passed(way, {
    units: 'df',
    what: 'every decision made again from the bus',
    proof: `${thousands(equal)} of ${thousands(payments)} equal, byte for byte`,
    ok: report.ok && compared === payments,
    document: report.document,
  });
}

/** Signatures, tree and bus of the whole log. @throws HopFailed */
export async function logVerified(way: Way): Promise<void> {
  await waitForSigned(way, 1);
  const report = auditReport(await auditVerified(way));
  const { size, checkpoints } = report.document as { readonly size: number; readonly checkpoints: number };
  passed(way, {
    units: 'dla',
    what: 'the audit log verified',
    proof: `${thousands(size)} leaves under ${thousands(checkpoints)} signed checkpoints${report.ok ? '' : `: ${report.lines.slice(-2).join(' ')}`}`,
    ok: report.ok,
    document: report.document,
  });
}

export const short = (digest: string): string => `${digest.slice(0, 12)}…`;

function brokenOf(
  equations: readonly { readonly equation: string; readonly figures: string; readonly holds: boolean }[],
): string {
  return equations
    .filter(({ holds }) => !holds)
    .map(({ equation, figures }) => `; NOT ${equation}: ${figures}`)
    .join('');
}
