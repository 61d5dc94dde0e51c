import { Type } from '@sinclair/typebox';
import { RefusedLabelSchema, WrittenLabelsSchema } from '../../../rails/labels/counts.js';
import { RunIdSchema } from '../../../rails/pins.js';
import type { Accounts, DecisionPath, Equation, LabelAccounts } from '../../../rails/reconciliation.js';
import { closed, safeInteger, type Sealed } from '../../../rails/schema.js';
import { UtcMicrosSchema } from '../../../rails/time.js';

const OffendersSchema = closed({
  count: safeInteger(0, 'all of them'),
  ids: Type.Array(Type.String(), { maxItems: 100 }),
});

/** Stands in `gov/reports/<op_id>/<run_id>.json`. */
export const RunReportSchema = closed(
  {
    run_id: RunIdSchema,
    generated_at_utc: UtcMicrosSchema,
    /** Whether all equations hold. */
    reconciled: Type.Boolean(),
    equations: Type.Array(
      closed({
        equation: Type.String(),
        holds: Type.Boolean(),
        /** Both sides in figures, or what is the matter. */
        figures: Type.String(),
      }),
    ),
    /** Who lacks what, by kind; the first of each. */
    offending: Type.Record(Type.String(), OffendersSchema),
    /** What writers said of the run, and what was refused of it: that loses nothing, and is for the writers to know. */
    labels: Type.Optional(
      closed({
        written: Type.Array(WrittenLabelsSchema),
        refusals: Type.Array(RefusedLabelSchema),
      }),
    ),
  },
  { description: 'Whether everything of a run was counted from its source to its leaf.' },
);
export type RunReport = Sealed<typeof RunReportSchema>;

/** Who lacks what on any link, at most so many ids of each kind; kinds of which there are none are left out. */
export function offendersOf(
  gate: Accounts['gate'],
  path: DecisionPath,
  labels: LabelAccounts,
  idsMax: number,
): Readonly<Record<string, { readonly count: number; readonly ids: string[] }>> {
  const found = [
    ...Object.entries(gate.offending).map(([kind, ids]) => [kind, { count: ids.length, ids }] as const),
    ...Object.entries(path.offending),
    ...Object.entries(labels.offending),
    // Leaves are counted by kind; which one is missing `verify audit` says.
    ...Object.entries(path.logged?.differing ?? {}).map(
      ([kind, { records, leaves }]) => [`leaves_of_${kind}`, { count: Math.abs(records - leaves), ids: [] }] as const,
    ),
  ];
  return Object.fromEntries(
    found
      .filter(([, { count }]) => count > 0)
      .map(([kind, { count, ids }]) => [kind, { count, ids: [...ids].slice(0, idsMax) }] as const),
  );
}

export function failing(equations: readonly Equation[]): readonly string[] {
  return equations.filter(({ holds }) => !holds).map(({ equation }) => equation);
}
