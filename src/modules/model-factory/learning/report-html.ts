import type { ModelGateReceipt } from '../../../rails/registry/gate-receipt.schema.js';
import type { EvalReport, QualityFigures } from './eval-report.schema.js';
import { barOf, chartOf, escaped } from './report-charts.js';

/**
 * The report as one page: no script, no picture from elsewhere, nothing that a browser would have to fetch. Every figure stands in it as the JSON says it,
 * as the value of a `data` element; the text is that figure, rounded for people.
 */
export function htmlOf(report: EvalReport, receipt: ModelGateReceipt): string {
  const { bundle } = report;
  const title = `${bundle.bundle_id} version ${bundle.bundle_version}`;
  return [
    '<!doctype html><html lang="en"><head><meta charset="utf-8">',
    '<meta name="viewport" content="width=device-width, initial-scale=1">',
    `<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">`,
    `<title>${escaped(title)}: evaluation</title><style>${STYLE}</style></head><body><main>`,
    `<h1>${escaped(title)}</h1>`,
    `<p class="verdict ${receipt.result === 'PASS' ? 'good' : 'bad'}">Gates: ${receipt.result}</p>`,
    report.warnings.length === 0
      ? ''
      : `<ul class="warnings">${report.warnings.map((each) => `<li>${escaped(each)}</li>`).join('')}</ul>`,
    section('Gates', gatesTable(receipt)),
    section('How well it tells fraud from the rest', qualityTable(report) + alertsTable(report) + charts(report)),
    section('What a threshold costs', costs(report)),
    section('Which rows', partsTable(report)),
    section('Slices', slicesTable(report)),
    section('Inputs', inputsTable(report)),
    section('How it was made', making(report)),
    '</main></body></html>\n',
  ].join('');
}

const STYLE = `:root{color-scheme:light dark;--ink:#1a1d21;--soft:#5b6470;--paper:#fff;--line:#d8dde3;--mark:#0b62c4;--good:#0a7a3c;--bad:#b3261e}
@media (prefers-color-scheme:dark){:root{--ink:#e8eaed;--soft:#a3abb5;--paper:#15181c;--line:#353b43;--mark:#6cb2ff;--good:#5ccf8b;--bad:#ff8a80}}
*{box-sizing:border-box}body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.5 system-ui,sans-serif}
main{max-width:60rem;margin:0 auto;padding:1rem}h1{font-size:1.5rem;overflow-wrap:anywhere}h2{font-size:1.15rem;margin-top:2rem}
.verdict{font-weight:600;font-size:1.2rem}.good{color:var(--good)}.bad{color:var(--bad)}.soft,.warnings{color:var(--soft)}
.wide{overflow-x:auto}table{border-collapse:collapse;width:100%;font-size:.9rem}caption{text-align:left;color:var(--soft);padding:.3rem 0}
th,td{text-align:left;padding:.3rem .6rem .3rem 0;border-bottom:1px solid var(--line);vertical-align:top}td.n{text-align:right;font-variant-numeric:tabular-nums}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(18rem,100%),1fr));gap:1rem}figure{margin:0}figcaption{font-size:.9rem;color:var(--soft)}
svg{width:100%;height:auto;display:block}svg text{fill:var(--soft);font-size:11px}.grid{stroke:var(--line)}.reference{stroke:var(--soft);stroke-dasharray:4 4}
.curve{fill:none;stroke:var(--mark);stroke-width:2}.dot,.bar rect{fill:var(--mark)}.bar{height:.5rem;min-width:5rem}code{font-size:.85em;overflow-wrap:anywhere}`;

function section(title: string, content: string): string {
  return `<section><h2>${escaped(title)}</h2>${content}</section>`;
}

/** A figure with its exact value. */
function figure(value: number | null): string {
  if (value === null) return '–';
  return `<data value="${String(value)}">${escaped(shown(value))}</data>`;
}

function shown(value: number): string {
  if (Number.isInteger(value)) return value.toLocaleString('en');
  return Math.abs(value) >= 1_000
    ? value.toLocaleString('en', { maximumFractionDigits: 1 })
    : String(Number(value.toPrecision(4)));
}

type Cell = string | number | null;

/** Numbers are figures, texts are escaped; what is markup already comes as `html`. */
function table(
  caption: string,
  head: readonly string[],
  rows: readonly (readonly (Cell | { readonly html: string })[])[],
): string {
  const cell = (each: Cell | { readonly html: string }): string => {
    if (typeof each === 'string') return `<td>${escaped(each)}</td>`;
    if (each === null || typeof each === 'number') return `<td class="n">${figure(each)}</td>`;
    return `<td>${each.html}</td>`;
  };
  return [
    `<div class="wide"><table><caption>${escaped(caption)}</caption><thead><tr>`,
    head.map((name) => `<th scope="col">${escaped(name)}</th>`).join(''),
    '</tr></thead><tbody>',
    rows.map((row) => `<tr>${row.map(cell).join('')}</tr>`).join(''),
    '</tbody></table></div>',
  ].join('');
}

function gatesTable({ criteria, policy_rev }: ModelGateReceipt): string {
  const mark = (passed: boolean) => ({
    html: passed ? '<span class="good">passed</span>' : '<span class="bad">failed</span>',
  });
  return table(
    `Under the policy ${policy_rev.policy_id}, revision ${policy_rev.revision}`,
    ['criterion', 'observed', 'demanded', ''],
    criteria.map(({ name, observed, demanded, passed }) => [name, observed, demanded, mark(passed)]),
  );
}

function qualityTable({ quality, active }: EvalReport): string {
  const beside = active.quality;
  const interval = (
    name: string,
    of: (from: QualityFigures) => QualityFigures['roc_auc'],
  ): (Cell | { html: string })[] => {
    const range = (from: QualityFigures) => ({
      html: `${figure(of(from).value)} <span class="soft">(${figure(of(from).low)} to ${figure(of(from).high)})</span>`,
    });
    return [name, range(quality), beside === null ? null : range(beside)];
  };
  const plain = (name: string, of: (from: QualityFigures) => number | null): Cell[] => [
    name,
    of(quality),
    beside === null ? null : of(beside),
  ];
  const { difference, bundle, why } = active;
  const rival = bundle === null ? 'active' : `active: ${bundle.bundle_id} ${bundle.bundle_version}`;
  const said =
    difference === null
      ? `<p class="soft">No comparison with an active bundle: ${escaped(why ?? '')}.</p>`
      : `<p>Difference in average precision, candidate − active: ${figure(difference.value)} (${figure(difference.low)} to ${figure(difference.high)}).</p>`;
  return (
    table(
      'On the rows that are judged on, with intervals',
      ['figure', 'candidate', rival],
      [
        interval('average precision', (from) => from.average_precision),
        interval('area under the ROC curve', (from) => from.roc_auc),
        plain('lift over the share of fraud', (from) => from.lift),
        plain('log loss', (from) => from.log_loss),
        plain('Brier score', (from) => from.brier),
        plain('expected calibration error', (from) => from.calibration_error),
        ...quality.card_precision.map(({ k }, at) =>
          plain(`card precision at ${k} per day`, (from) => from.card_precision[at]?.value ?? null),
        ),
      ],
    ) + said
  );
}

function alertsTable({ quality, active }: EvalReport): string {
  return table(
    'With time for a share of all payments',
    ['share (ppm)', 'payments', 'frauds caught', 'precision', 'recall', 'recall of active', 'from score (millionths)'],
    quality.alerts.map(({ share_ppm, alerts, caught, precision, recall, score_e6 }, at) => [
      ...[share_ppm, alerts, caught, precision, recall],
      ...[active.quality?.alerts[at]?.recall ?? null, score_e6],
    ]),
  );
}

function charts({ curves, parts }: EvalReport): string {
  const base = parts.eval.base_rate ?? 0;
  const most = Math.max(...curves.reliability.flatMap(({ said, was }) => [said, was]), 0);
  return `<div class="charts">${[
    chartOf({
      title: 'Precision and recall (dashed: chance)',
      xLabel: 'recall',
      yLabel: 'precision',
      points: curves.precision_recall.map(({ recall, precision }) => ({ x: recall, y: precision })),
      reference: [
        { x: 0, y: base },
        { x: 1, y: base },
      ],
    }),
    chartOf({
      title: 'ROC (dashed: chance)',
      xLabel: 'share of others alerted',
      yLabel: 'recall',
      points: [
        { x: 0, y: 0 },
        ...curves.roc.map(({ false_positive_share, recall }) => ({ x: false_positive_share, y: recall })),
      ],
      reference: [
        { x: 0, y: 0 },
        { x: 1, y: 1 },
      ],
    }),
    chartOf({
      title: 'Calibration (dashed: said is what was)',
      xLabel: 'mean score',
      yLabel: 'share of fraud',
      points: curves.reliability.map(({ said, was }) => ({ x: said, y: was })),
      reference: [
        { x: 0, y: 0 },
        { x: most, y: most },
      ],
      xMax: most,
      yMax: most,
      dots: true,
    }),
  ].join('')}</div>`;
}

function costs({ curves, cheapest }: EvalReport): string {
  const least =
    cheapest.score_e6 === null
      ? 'No alert at all is cheapest'
      : `Cheapest is an alert from the score ${figure(cheapest.score_e6)} millionths on`;
  return [
    `<p>${least}: ${figure(cheapest.alerts)} alerts, ${figure(cheapest.missed_minor)} minor units of fraud missed, ${figure(cheapest.cost_minor)} in all.</p>`,
    chartOf({
      title: 'Cost by number of alerts',
      xLabel: 'alerts',
      yLabel: 'minor units',
      points: curves.cost.map(({ alerts, cost_minor }) => ({ x: alerts, y: cost_minor })),
      xMax: Math.max(...curves.cost.map(({ alerts }) => alerts)),
      yMax: Math.max(...curves.cost.map(({ cost_minor }) => cost_minor)),
    }),
  ].join('');
}

function partsTable({ parts, datasets, split_rule }: EvalReport): string {
  const named = [
    ['learnt from', parts.train],
    ['held back', parts.later],
    ['judged on', parts.eval],
  ] as const;
  return [
    `<p>${escaped(split_rule)}.</p>`,
    table(
      'Parts, in order of time',
      ['part', 'rows', 'frauds', 'payments they stand for', 'share of fraud', 'from', 'to'],
      named.flatMap(([name, part]) =>
        part === null
          ? []
          : [[name, part.rows, part.frauds, part.weight, part.base_rate, part.from_utc ?? '', part.to_utc ?? '']],
      ),
    ),
    table(
      'Datasets',
      ['role', 'manifest', 'labels as of', 'rows', 'left out'],
      datasets.map(({ role, manifest_digest, label_as_of_utc, rows, left_out }) => [
        ...[role, { html: `<code>${escaped(manifest_digest)}</code>` }, label_as_of_utc, rows],
        Object.entries(left_out)
          .map(([why, count]) => `${why}: ${count}`)
          .join(', '),
      ]),
    ),
  ].join('');
}

function slicesTable({ slices }: EvalReport): string {
  return table(
    'A slice with few frauds is shown, and not judged',
    ['by', 'slice', 'rows', 'frauds', 'average precision', 'area under ROC', 'mean score', 'share of fraud', 'judged'],
    slices.map(({ by, slice, rows, frauds, average_precision, roc_auc, mean_score, fraud_share, judged }) => [
      ...[by, slice, rows, frauds, average_precision, roc_auc, mean_score, fraud_share],
      judged ? 'yes' : 'no',
    ]),
  );
}

function inputsTable({ importance, drift }: EvalReport): string {
  const most = Math.max(...importance.map(({ permutation, gain }) => permutation ?? gain ?? 0), 1e-9);
  const moved = new Map(drift?.inputs.map(({ input, psi }) => [input, psi]));
  const scores =
    drift === null
      ? ''
      : `<p>Population stability index of the scores, beside the rows of training: ${figure(drift.score_psi)}.</p>`;
  return (
    scores +
    table(
      'Worth: average precision that is lost without the input; drift beside the rows of training: above 0.25 it is another population',
      ['input', 'worth', '', 'share of gains', 'drift', 'reason'],
      importance.map(({ input, permutation, gain, reason_code }) => [
        ...[input, permutation, { html: barOf((permutation ?? gain ?? 0) / most) }, gain],
        ...[moved.get(input) ?? null, reason_code ?? ''],
      ]),
    )
  );
}

function making(report: EvalReport): string {
  const { learner, search, calibration, retrained, bundle } = report;
  const facts: readonly (readonly [string, string])[] = [
    ['bundle', bundle.digest],
    ['format', bundle.format],
    ['recipe', report.recipe_digest ?? 'not made here'],
    ['program', report.code_release],
    ['judged at', report.decided_at_utc],
    ...(learner === null ? [] : [['learner', `${learner.kind} ${JSON.stringify(learner.settings)}`] as const]),
    ...(learner === null || learner.trees.length === 0 ? [] : [['trees', learner.trees.join(', ')] as const]),
    ...(calibration === null
      ? []
      : [
          [
            'calibration',
            `slope ${calibration.slope}, intercept ${calibration.intercept}${calibration.held ? ' (held)' : ''}`,
          ] as const,
        ]),
    ...(retrained === null
      ? []
      : [['trained again', retrained.same ? 'the same bundle' : `another one: ${retrained.digest}`] as const]),
  ];
  return [
    table(
      'Facts',
      ['what', ''],
      facts.map(([what, is]) => [what, { html: `<code>${escaped(is)}</code>` }]),
    ),
    search === null
      ? ''
      : table(
          `Trials, ended by ${search.ended_by}; the best is number ${search.best + 1}`,
          ['', 'settings', 'average precision'],
          search.trials.map(({ settings, average_precision }, at) => [
            at + 1,
            { html: `<code>${escaped(JSON.stringify(settings))}</code>` },
            average_precision,
          ]),
        ),
  ].join('');
}
