import type { DryRun, DryRunChange, DryRunReport } from '../../modules/decision-fabric/dry-run.schema.js';
import { OUTCOMES } from '../../rails/events/decision.schema.js';
import { figures, table } from '../terminal.js';
import { thousands } from './progress.core.js';
import type { Report } from './report.js';

/** What a dry run found, for people and for machines; `listed` are the first of the decisions that would be others. */
export function dryRunReport(found: DryRun, listed: readonly DryRunChange[]): Report {
  const { report, state, code, detail, left_out, first_left_out, took_ms, decisions_per_second } = found;
  const document = { ...found, changes: listed };
  const left = Object.entries(left_out);
  if (state !== 'DONE' || report === undefined)
    return { ok: false, document, lines: [`There is no report: ${code ?? state}. ${detail ?? ''}`] };
  const { control, decided, changed } = report;
  return {
    ok: control.compared > 0,
    document,
    lines: [
      `control: ${thousands(control.equal)} of ${thousands(control.compared)} equal`,
      ...figures([
        ['decided by the candidate', thousands(decided)],
        ['  with another verdict', thousands(changed)],
        ['  with the same verdict for other reasons', thousands(report.other_reasons)],
        ...left.map(([reason, count]) => [`left out: ${reason}`, thousands(count)] as const),
      ]),
      ...(first_left_out === undefined
        ? []
        : [`The first that was left out: decision ${first_left_out.decision_id}: ${first_left_out.why}`]),
      '',
      ...table(
        ['AS DECIDED', ...OUTCOMES.map((outcome) => `→ ${outcome}`), 'ALL'],
        OUTCOMES.map((from) => [
          from,
          ...OUTCOMES.map((to) => thousands(report.matrix[from][to])),
          thousands(report.before[from]),
        ]),
      ),
      ...moneyLines(report),
      ...ruleLines(report),
      ...labelLines(report),
      ...changeLines(listed, changed),
      '',
      control.compared === 0
        ? 'Nothing was compared: there was no decision to make again.'
        : `${thousands(changed)} of ${thousands(decided)} decisions would have had another verdict. ${thousands(decisions_per_second)} decisions/s, ${(took_ms / 1_000).toFixed(1)} s.`,
    ],
  };
}

function moneyLines({ money }: DryRunReport): readonly string[] {
  const rows = Object.entries(money).flatMap(([currency, { decided, ...moves }]) =>
    [['decided', decided] as const, ...Object.entries(moves)].flatMap(([name, { payments, amount_minor }]) =>
      payments === 0 ? [] : [[currency, name.replaceAll('_', ' '), thousands(payments), amount_minor]],
    ),
  );
  return rows.length === 0 ? [] : ['', ...table(['MONEY', 'PAYMENTS THAT ARE', 'COUNT', 'MINOR UNITS'], rows)];
}

function ruleLines({ rules }: DryRunReport): readonly string[] {
  const rows = Object.entries(rules).map(([id, { before, after }]) => [id, thousands(before), thousands(after)]);
  return rows.length === 0 ? [] : ['', ...table(['RULE', 'SPOKE', 'WOULD SPEAK'], rows)];
}

function labelLines({ labels }: DryRunReport): readonly string[] {
  if (labels === undefined) return [];
  const { label_type, as_of_utc, frauds, others, unknown, before, after } = labels;
  const money = (amounts: Readonly<Record<string, string>>): string =>
    Object.entries(amounts)
      .map(([currency, amount]) => `${amount} ${currency}`)
      .join(', ') || '0';
  const row = (name: string, of: 'caught' | 'missed' | 'false_positives', sum: keyof typeof before): string[] => [
    name,
    thousands(before[of]),
    thousands(after[of]),
    money(before[sum] as never),
    money(after[sum] as never),
  ];
  return [
    '',
    `By ${label_type} as of ${as_of_utc}: ${thousands(frauds)} frauds, ${thousands(others)} others, ${thousands(unknown)} of which it is not known`,
    ...table(
      ['KNOWN BY NOW', 'AS DECIDED', 'OTHERWISE', 'MINOR UNITS', 'OTHERWISE'],
      [
        row('frauds not approved', 'caught', 'caught_amounts'),
        row('frauds approved', 'missed', 'missed_amounts'),
        row('others not approved', 'false_positives', 'false_positive_amounts'),
      ],
    ),
  ];
}

function changeLines(listed: readonly DryRunChange[], changed: number): readonly string[] {
  if (listed.length === 0) return [];
  const score = (e6: number | null): string => (e6 === null ? '-' : (e6 / 1e6).toFixed(6));
  return [
    '',
    ...table(
      ['DECISION', 'AMOUNT', 'AS DECIDED', 'OTHERWISE', 'SCORE', 'OTHERWISE', 'REASONS', 'OTHERWISE'],
      listed.map((one) => [
        one.decision_id.slice(0, 16),
        one.amount_minor === null ? '-' : `${one.amount_minor} ${one.currency ?? ''}`,
        one.before,
        one.after,
        score(one.score_before_e6),
        score(one.score_after_e6),
        one.reasons_before.join(' ') || '-',
        one.reasons_after.join(' ') || '-',
      ]),
    ),
    ...(changed > listed.length
      ? [
          `The first ${thousands(listed.length)} of ${thousands(changed)}: more with --limit, all that are kept with --csv FILE.`,
        ]
      : []),
  ];
}

const COLUMNS: readonly (readonly [string, (change: DryRunChange) => string | number | null | undefined])[] = [
  ['decision_id', ({ decision_id }) => decision_id],
  ['event_id', ({ event_id }) => event_id],
  ['run_id', ({ run_id }) => run_id],
  ['ts_utc', ({ ts_utc }) => ts_utc],
  ['entity_key', ({ entity_key }) => entity_key],
  ['amount_minor', ({ amount_minor }) => amount_minor],
  ['currency', ({ currency }) => currency],
  ['before', ({ before }) => before],
  ['after', ({ after }) => after],
  ['score_before_e6', ({ score_before_e6 }) => score_before_e6],
  ['score_after_e6', ({ score_after_e6 }) => score_after_e6],
  ['rules_before', ({ rules_before }) => rules_before.join(' ')],
  ['rules_after', ({ rules_after }) => rules_after.join(' ')],
  ['reasons_before', ({ reasons_before }) => reasons_before.join(' ')],
  ['reasons_after', ({ reasons_after }) => reasons_after.join(' ')],
  ['known_as', ({ known_as }) => known_as],
];

export const CHANGES_CSV_HEAD = `${COLUMNS.map(([name]) => name).join(',')}\r\n`;

/** A row of RFC 4180. */
export function changeCsvRow(change: DryRunChange): string {
  const cell = (value: string | number | null | undefined): string => {
    const text = String(value ?? '');
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return `${COLUMNS.map(([, of]) => cell(of(change))).join(',')}\r\n`;
}
