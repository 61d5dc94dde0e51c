import { describe, expect, it } from '@jest/globals';
import { learningTask, plantedDataset } from '../../../../test/support/learning-dataset.js';
import type { EvalReport } from './eval-report.schema.js';
import { learn } from './learn.js';
import { DEFAULT_RECIPE } from './recipe.schema.js';
import { htmlOf } from './report-html.js';

const dataset = await plantedDataset({ rows: 2_500, seed: 1, splits: [0.6, 0.2, 0.2] });
const ground = {
  monotonicMs: () => 0,
  onProgress: () => undefined,
  scoreExternal: () => Promise.reject(new Error('not asked')),
};
const recipe = {
  ...DEFAULT_RECIPE,
  learner: { kind: 'boosted_trees' as const, rounds: 20 },
  search: { trials: 2, seconds: 99 },
};
const { bundle } = await learn(learningTask([dataset], { recipe }), ground);
const { html, report, receipt } = await learn(learningTask([dataset], { recipe, active: bundle }), ground);

/** The exact values of all figures of a page. */
const valuesIn = (page: string): ReadonlySet<string> =>
  new Set([...page.matchAll(/<data value="([^"]*)">/g)].map(([, value]) => value ?? ''));

/** All numbers of a value, at any depth. */
function numbersIn(value: unknown): number[] {
  if (typeof value === 'number') return [value];
  if (typeof value !== 'object' || value === null) return [];
  return Object.values(value).flatMap(numbersIn);
}

describe('the report as a page', () => {
  it('has every figure that the JSON has', () => {
    const shown = valuesIn(html);
    const { quality, parts, slices, importance, drift, active, cheapest, search } = report;
    const trials = search?.trials.map(({ average_precision }) => average_precision);
    const figures = numbersIn([quality, parts, slices, importance, drift, active.difference, cheapest, trials]);
    expect(figures.length).toBeGreaterThan(100);
    // `k` of the card precision is a word of its row.
    const missing = figures.filter((each) => !shown.has(String(each)) && ![10, 50, 100].includes(each));
    expect(missing).toEqual([]);
    for (const { name, observed, demanded } of receipt.criteria) {
      expect(html).toContain(`<td>${name}</td>`);
      expect(html).toContain(demanded.replaceAll('<', '&lt;'));
      if (typeof observed === 'number') expect(shown.has(String(observed))).toBe(true);
    }
    // The twin: a figure of another report is not on this page.
    const other: EvalReport = { ...report, quality: { ...report.quality, brier: 0.987654 } };
    expect(shown.has('0.987654')).toBe(false);
    expect(valuesIn(htmlOf(other, receipt)).has('0.987654')).toBe(true);
  });

  it('fetches nothing, runs nothing, and draws its curves', () => {
    expect(html).toMatch(/^<!doctype html>/);
    expect(html).not.toMatch(/<script|<link|<img|<iframe|https?:|url\(|@import|\son[a-z]+=/i);
    expect(html).toContain("default-src 'none'");
    expect(html).toContain('prefers-color-scheme:dark');
    expect(html).toContain('name="viewport"');
    expect(html.match(/<polyline class="curve" points="[0-9]/g)).toHaveLength(3);
    expect(html.match(/<circle class="dot"/g)?.length).toBe(report.curves.reliability.length);
    expect(html).not.toMatch(/NaN|undefined|Infinity/);
    const balance = (name: string): number => html.split(`<${name}`).length - html.split(`</${name}>`).length;
    for (const name of ['table', 'tr', 'section', 'figure', 'svg', 'main', 'html'])
      expect([name, balance(name)]).toEqual([name, 0]);
  });

  it('shows what others wrote as text', () => {
    const nasty = `<b onclick="x">'&`;
    const [first] = report.slices;
    if (first === undefined) throw new Error('a slice is wanted');
    const page = htmlOf(
      {
        ...report,
        slices: [{ ...first, slice: nasty }],
        warnings: [nasty],
        split_rule: nasty,
        active: { ...report.active, difference: null, why: nasty },
      },
      { ...receipt, criteria: [{ name: 'lift', observed: nasty, demanded: nasty, passed: false }], result: 'FAIL' },
    );
    expect(page).not.toContain('<b onclick');
    expect(page.split('&lt;b onclick=&quot;x&quot;&gt;&#39;&amp;')).toHaveLength(7);
    expect(page).toContain('Gates: FAIL');
  });
});
