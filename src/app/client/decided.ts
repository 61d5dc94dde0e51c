import type { BundleRef } from '../../rails/events/decision.schema.js';
import { figures, table } from '../terminal.js';
import { DecisionApi, type Quality, type VerificationAnswer } from './decision-api.js';
import { polled, type Travel } from './journey.js';
import { thousands } from './progress.core.js';
import type { Report } from './report.js';

/** A bundle for people. */
export function named({ bundle_id, bundle_version, digest }: BundleRef): string {
  return `${bundle_id} version ${bundle_version} (${digest.slice(0, 12)}…)`;
}

/** Before a world is streamed: its labels stand on the bus, and there is a posture to decide under. */
export async function readyToDecide(travel: Travel, runId: string): Promise<void> {
  const api = new DecisionApi(travel.api);
  travel.progress.at('Publishing what became known', 0);
  await polled(
    travel,
    () => api.labels(runId),
    (feed) => feed !== undefined && feed.state !== 'WAITING' && feed.state !== 'PUBLISHING',
  );
  await polled(
    travel,
    () => api.mode(),
    (mode) => mode === 'NORMAL',
  );
}

/** Until every transaction of the run has its decision. */
export async function waitForDecisions(travel: Travel, runId: string, transactions: number): Promise<number> {
  const api = new DecisionApi(travel.api);
  const { decisions } = await polled(
    travel,
    async () => {
      const summary = await api.summary(runId);
      travel.progress.at('Deciding', summary.decisions, transactions);
      return summary;
    },
    (summary) => summary.decisions >= transactions,
  );
  return decisions;
}

/** Makes decisions again, and waits until they are compared. */
export async function verified(travel: Travel, request: object): Promise<VerificationAnswer> {
  const api = new DecisionApi(travel.api);
  const { verification_id: id } = await api.verify(request);
  return await polled(
    travel,
    async () => {
      const now = await api.verification(id);
      travel.progress.at('Deciding once more, to compare', now.compared);
      return now;
    },
    ({ state }) => state !== 'RUNNING',
  );
}

/** Whether there were decisions to make again, and none of them was left out. */
function allMadeAgain({ state, compared, not_made_again }: VerificationAnswer): boolean {
  return state === 'DONE' && compared > 0 && not_made_again === 0;
}

/** What was compared; what differs first, by decision and place. */
export function verificationReport(found: VerificationAnswer): Report {
  const { state, compared, equal, not_made_again, first_difference, first_not_made_again, took_ms, detail } = found;
  const ok = allMadeAgain(found) && equal === compared;
  return {
    ok,
    document: { verified: ok, ...found },
    lines: [
      ...figures([
        ['decisions made again', thousands(compared)],
        ['equal, byte for byte', thousands(equal)],
        ...(not_made_again === 0 ? [] : [['not made again', thousands(not_made_again)] as const]),
      ]),
      ...(first_difference === undefined
        ? []
        : [
            `The first that differs: decision ${first_difference.decision_id} of event ${first_difference.event_id}`,
            `  at ${first_difference.at}: recorded ${first_difference.recorded}, made again ${first_difference.again}`,
          ]),
      ...(first_not_made_again === undefined
        ? []
        : [`The first that was not: decision ${first_not_made_again.decision_id}: ${first_not_made_again.why}`]),
      ...(detail === undefined ? [] : [detail]),
      ok
        ? `Verified in ${(took_ms / 1_000).toFixed(1)} s: from the bus alone every decision comes out as it was recorded.`
        : compared === 0 && state === 'DONE'
          ? 'NOT verified: there was no decision to make again.'
          : 'NOT verified.',
    ],
  };
}

/** Whether other artifacts would have decided alike: no, where one has another outcome, could not be made again, or there was none. */
export function counterfactualReport(found: VerificationAnswer): Report {
  const { state, compared, not_made_again, first_other_outcome: first, first_not_made_again, outcomes, detail } = found;
  const all = allMadeAgain(found);
  const turned = Object.entries(outcomes).reduce((sum, [turn, count]) => {
    const [recorded, again] = turn.split('>');
    return sum + (recorded === again ? 0 : count);
  }, 0);
  return {
    ok: all && turned === 0,
    document: { alike: all && turned === 0, ...found },
    lines: [
      `${thousands(compared)} decisions made again with other artifacts`,
      ...table(
        ['AS DECIDED', 'OTHERWISE', 'DECISIONS'],
        Object.entries(outcomes)
          .map(([turn, count]) => [...turn.split('>'), thousands(count)])
          .sort(),
      ),
      ...(first === undefined
        ? []
        : [
            `The first with another outcome: decision ${first.decision_id} of event ${first.event_id}: ${first.recorded}, otherwise ${first.again}`,
          ]),
      ...(not_made_again === 0
        ? []
        : [
            `${thousands(not_made_again)} could not be made again; the first, decision ${first_not_made_again?.decision_id ?? ''}: ${first_not_made_again?.why ?? ''}`,
          ]),
      ...(detail === undefined ? [] : [detail]),
      all
        ? turned === 0
          ? 'Every decision would have had the outcome that it has.'
          : `${thousands(turned)} of ${thousands(compared)} decisions would have had another outcome.`
        : compared === 0 && state === 'DONE'
          ? 'Nothing was compared: there was no decision to make again.'
          : 'Not all was compared.',
    ],
  };
}

/** How a run was decided: verdicts, and what of the fraud that became known was stopped at what price. */
export function qualityReport(quality: Quality): Report {
  const { decisions, frauds, frauds_by_outcome: caught, others_by_outcome: others } = quality;
  const stopped = (counts: Readonly<Record<string, number>>): number =>
    Object.entries(counts).reduce((sum, [outcome, count]) => sum + (outcome === 'APPROVE' ? 0 : count), 0);
  const share = (part: number, whole: number): string =>
    whole === 0 ? 'none' : `${((100 * part) / whole).toFixed(1)} %`;
  return {
    ok: true,
    document: { ...quality },
    lines: figures([
      ['decisions', thousands(decisions)],
      ...['APPROVE', 'STEP_UP', 'QUEUE', 'DECLINE'].map(
        (outcome) => [`  ${outcome}`, thousands((caught[outcome] ?? 0) + (others[outcome] ?? 0))] as const,
      ),
      ['known as fraud by now', thousands(frauds)],
      ['  of them not approved', `${thousands(stopped(caught))} (${share(stopped(caught), frauds)})`],
      ['others not approved', `${thousands(stopped(others))} (${share(stopped(others), decisions - frauds)})`],
    ]),
  };
}
