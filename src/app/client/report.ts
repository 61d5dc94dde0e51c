import type { WorldSeal } from '../../modules/data-engine/data-engine.port.js';
import { figures, table } from '../terminal.js';
import { adviceForRun } from './advice.js';
import type { Reject, Run, Stream } from './door-api.js';
import { offendingOf, type Reconciled } from './journey.js';
import { thousands } from './progress.core.js';
import { allHold, type DecisionPath, type Equation, type LabelAccounts } from '../../rails/reconciliation.js';

/** An answer in both forms: for machines and for people. */
export interface Report {
  readonly document: Readonly<Record<string, unknown>>;
  readonly lines: readonly string[];
  readonly ok: boolean;
}

/** How a run stands at the end: every count, every equation, and what offends. */
export function reconciledReport(run: Run, found: Reconciled, rowsWord = 'rows in the source'): Report {
  const { facts, stream, gate, equations } = found;
  const ok = allHold(equations);
  const labels = labelsOf(found);
  const counts = facts?.counts;
  const accounts = {
    ...(counts === undefined ? {} : counts),
    ...(stream === undefined
      ? {}
      : {
          pass: stream.pass,
          sent: stream.sent,
          admitted: stream.admitted,
          duplicate: stream.duplicate,
          quarantined: stream.quarantined,
        }),
    admitted_in_ledger: gate.admitted,
    records_on_bus: gate.on_bus,
    ...(labels === undefined ? {} : { labels_kept_apart: labels }),
  };
  const rows: (readonly [string, number | undefined])[] = [
    [rowsWord, counts?.rows_read],
    ['rejected', counts?.rows_rejected],
    ['sealed', counts?.rows_sealed],
    [stream === undefined ? 'sent' : `sent (pass ${stream.pass})`, stream?.sent],
    ['admitted', stream?.admitted],
    ['duplicate', stream?.duplicate],
    ['quarantined', stream?.quarantined],
    ['admitted in the ledger, all passes', gate.admitted],
    ['records on the bus', gate.on_bus],
    ['labels kept apart', labels],
    ['decisions', found.path?.decisions],
    ['actions planned', found.path?.planned],
    ['intents', found.path?.intents],
    ['outcomes', found.path?.outcomes],
    ['leaves of the audit log', found.path?.logged?.leaves],
    ['sealed labels in the ledger', found.labels?.sealed?.inLedger],
    ['labels of writers in the ledger', writtenOf(found.labels)],
  ];
  return {
    ok,
    document: {
      reconciled: ok,
      run,
      accounts,
      equations,
      offending: offendingOf(gate),
      ...(found.path === undefined ? {} : { decision_path: found.path }),
      ...(found.labels === undefined ? {} : { labels: found.labels }),
      ...(gate.set_digest === undefined ? {} : { set_digest: gate.set_digest }),
      ...(stream === undefined ? {} : { stream }),
    },
    lines: [
      `Run ${run.run_id} (${run.run_equivalence_key}), world ${run.pins.manifest_fingerprint}`,
      ...figures(
        rows.flatMap(([name, count]): [string, string][] => (count === undefined ? [] : [[name, thousands(count)]])),
      ),
      ...verdictLines(ok, equations, found),
    ],
  };
}

function writtenOf(labels: LabelAccounts | undefined): number | undefined {
  if (labels === undefined || labels.written.length === 0) return undefined;
  return labels.written.reduce((sum, { in_ledger }) => sum + in_ledger, 0);
}

function labelsOf({ facts }: Reconciled): number | undefined {
  const labels = facts?.outputs.filter(({ output_id }) => output_id === 'labels');
  return labels === undefined || labels.length === 0 ? undefined : labels.reduce((sum, { rows }) => sum + rows, 0);
}

function verdictLines(
  ok: boolean,
  equations: readonly Equation[],
  { gate, stream, path, labels }: Reconciled,
): readonly string[] {
  if (ok)
    return [
      'Reconciled: all counts agree, and ledger and bus hold the same events.',
      ...(path === undefined
        ? []
        : [
            `Every event to decide has its decision, every action its outcome${path.logged === undefined ? '' : ', every record its leaf'}.`,
          ]),
    ];
  const broken = equations.filter(({ holds }) => !holds);
  const offending = Object.entries(offendingOf(gate)).flatMap(([kind, ids]) => ids.map((id) => `  ${kind}  ${id}`));
  return [
    'NOT reconciled:',
    ...broken.map(({ equation, figures: found }) => `  ${equation}: ${found}`),
    ...offending,
    ...Object.entries({ ...path?.offending, ...labels?.offending }).flatMap(([kind, { count, ids }]) => [
      ...ids.map((id) => `  ${kind}  ${id}`),
      ...(count > ids.length ? [`  ${kind}  … and ${thousands(count - ids.length)} more`] : []),
    ]),
    ...(path === undefined ? [] : pathAdvice(path)),
    ...(stream === undefined ? [] : streamTroubles(stream)),
  ];
}

/** What may be under way rather than lost, and how to find out. */
function pathAdvice({ decisions, offending }: DecisionPath): readonly string[] {
  const has = (kind: string): boolean => (offending[kind]?.count ?? 0) > 0;
  return [
    ...(decisions === 0 && has('undecided')
      ? ['Nothing of this run was decided. Does anybody run the role df? With --to bus the door alone is asked.']
      : []),
    ...(has('intents_open')
      ? [
          'An intent is open until its outcome is known: a target outside that is slow or silent keeps it so. Ask again.',
        ]
      : []),
  ];
}

/** Why a stream did not come to its end, and what to do. */
export function streamTroubles(stream: Stream): readonly string[] {
  const { state, reason, run_id } = stream;
  if (state === 'COMPLETED') return [];
  const why = reason === undefined ? '' : `: ${reason.code}, ${reason.detail}`;
  return [
    `The stream is ${state}${why}.`,
    state === 'FAILED'
      ? `Put right what it names; then probity stream ${run_id} --wait goes on from the last row that was answered.`
      : `probity stream ${run_id} --wait goes on where it stands.`,
    ...(stream.quarantined === 0 ? [] : [`probity quarantine list --run ${run_id} shows what was refused.`]),
  ];
}

/** Why a run is not READY, with the rows that the mapping rejected where there are some. */
export function failedRunReport(run: Run, seal: WorldSeal | undefined, rejects: readonly Reject[] = []): Report {
  const { state, reasons, detail } = run;
  const rejected = Object.entries(seal?.counts.rejected_by_reason ?? {});
  return {
    ok: false,
    document: {
      reconciled: false,
      run,
      ...(seal === undefined ? {} : { counts: seal.counts, reason_codes: seal.reason_codes, rejects }),
    },
    lines: [
      `Run ${run.run_id} is ${state}: ${reasons.join(', ') || 'no reason given'}${detail === undefined ? '' : `. ${detail}`}`,
      ...(seal === undefined ? [] : seal.reason_codes.map((code) => `  the world says ${code}`)),
      ...(rejected.length === 0
        ? []
        : table(
            ['REJECTED BECAUSE', 'ROWS'],
            rejected.map(([reason, count]) => [reason, thousands(count)]),
          )),
      ...rejects.map(({ row, reason, detail: why }) => `  row ${row}: ${reason}: ${why}`),
      ...(rejected.length === 0
        ? []
        : ['probity import … --dry-run shows examples of each, with the row and the place.']),
      ...adviceForRun(reasons),
    ],
  };
}

export function streamReport(stream: Stream): Report {
  const { state, pass, sent, rows_total, admitted, duplicate, quarantined, sim_now_utc } = stream;
  return {
    ok: state !== 'FAILED',
    document: { ...stream },
    lines: [
      `Stream of run ${stream.run_id}: ${state}, pass ${pass}`,
      ...figures([
        ['rows of sealed traffic', thousands(rows_total)],
        ['sent', thousands(sent)],
        ['admitted', thousands(admitted)],
        ['duplicate', thousands(duplicate)],
        ['quarantined', thousands(quarantined)],
      ]),
      ...(sim_now_utc === undefined ? [] : [`  the world's time is ${sim_now_utc}`]),
      ...stream.quarantined_examples.map(
        ({ event_id, reason_codes }) => `  quarantined ${event_id}: ${reason_codes.join(', ')}`,
      ),
      ...(state === 'FAILED' || state === 'PAUSED' ? streamTroubles(stream) : []),
    ],
  };
}
