import { digestCanonical } from '../../rails/canonical-json.js';
import type { Digest } from '../../rails/digest.js';
import { ProbityError } from '../../rails/errors/probity-error.js';
import type { FeatureDefinitions } from '../../rails/features/definition.schema.js';
import { defineRecipe } from '../../rails/identity-recipe.js';
import { compareUtc, type UtcMicros } from '../../rails/time.js';
import type { BuildIntent, BuildPlan } from './dataset.schema.js';

/** The event of which a dataset has rows. */
export const ROW_EVENT = 'transaction';

const planRecipe = defineRecipe<{ [Name in keyof BuildPlan]: BuildPlan[Name] }, 'DatasetManifestId'>('ofs.plan', 2, {
  kind: true,
  pins: true,
  facts_view_digest: true,
  replay_start: true,
  replay_basis: true,
  source: true,
  label: true,
  definitions: true,
  feature_groups: true,
  rows: true,
  anchor: true,
  sampling: true,
  splits: true,
  code_release: true,
});

/** Two builds with one id are one dataset: everything that has a meaning is in it, the code's release included. */
export function planIdOf(plan: BuildPlan): Digest {
  return planRecipe.derive(plan) as string as Digest;
}

/** Under one request id there is one of these. The id itself is not part of it. */
export function intentDigest({ request_id: _, ...intent }: BuildIntent): Digest {
  return digestCanonical({ recipe: 'ofs.intent.v1', ...intent });
}

/** @throws OFS_INTENT_INVALID, OFS_ASOF_SPEC_INVALID */
export function demandSound(intent: BuildIntent, now: UtcMicros): void {
  const { kind, label, rows, splits = [], sampling } = intent;
  const fault = (says: string): never => {
    throw new ProbityError('OFS_INTENT_INVALID', says);
  };
  if (kind === 'parity_rebuild' && (label ?? sampling ?? intent.splits) !== undefined)
    fault('a rebuild for parity has no labels, samples or splits');
  if (kind === 'parity_rebuild' && intent.anchor === 'event') fault('parity is about decisions');
  if (sampling !== undefined && label === undefined) fault('sampling keeps every fraud, so it needs labels');
  if (label !== undefined && compareUtc(label.as_of_utc, now) > 0)
    throw new ProbityError('OFS_ASOF_SPEC_INVALID', 'label.as_of_utc lies in the future');
  const { from_utc: from, to_utc: to } = rows ?? {};
  if (from !== undefined && to !== undefined && compareUtc(from, to) >= 0)
    fault('rows.from_utc lies before rows.to_utc');
  const inOrder = [...splits].sort((a, b) => compareUtc(a.from_utc, b.from_utc));
  if (new Set(splits.map(({ name }) => name)).size < splits.length) fault('each split has one range');
  inOrder.forEach((split, at) => {
    const next = inOrder[at + 1];
    if (compareUtc(split.from_utc, split.to_utc) >= 0) fault(`the split ${split.name} ends before it begins`);
    if (next !== undefined && compareUtc(split.to_utc, next.from_utc) > 0)
      fault(`the splits ${split.name} and ${next.name} overlap`);
  });
}

/**
 * The groups of a dataset in the order of the definitions.
 * @throws OFS_FEATURE_PROFILE_UNRESOLVED for a name that the definitions do not have, or have for another type of event
 */
export function groupsOf({ groups }: FeatureDefinitions, wanted: readonly string[] | undefined): readonly string[] {
  const about = groups.filter(({ event_type }) => event_type === ROW_EVENT).map(({ name }) => name);
  const unknown = (wanted ?? []).filter((name) => !about.includes(name));
  if (unknown.length > 0)
    throw new ProbityError(
      'OFS_FEATURE_PROFILE_UNRESOLVED',
      `the definitions in force have no group ${unknown.map((name) => JSON.stringify(name)).join(', ')} of payments`,
    );
  return wanted === undefined ? about : about.filter((name) => wanted.includes(name));
}
