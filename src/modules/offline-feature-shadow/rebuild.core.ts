import type { Decision } from '../../rails/events/decision.schema.js';
import type { FeatureDefinitions } from '../../rails/features/definition.schema.js';
import type { GroupValues } from '../../rails/features/feature-state.js';
import { KEY_COLUMNS, type RowText } from './build-job.js';
import { ROW_EVENT } from './build-plan.core.js';
import type { Column } from './dataset.schema.js';

/** Features of the rows: their columns are named so that no other column can have such a name. */
export const FEATURE_PREFIX = 'f_';

/** The columns of the features of these groups, in the order of the definitions. */
export function featureColumns({ groups }: FeatureDefinitions, wanted: readonly string[]): readonly Column[] {
  return groups
    .filter(({ name, event_type }) => event_type === ROW_EVENT && wanted.includes(name))
    .flatMap(({ name: group, version, features }) =>
      features.map((feature) => ({
        name: `${FEATURE_PREFIX}${feature.name}`,
        type: 'INT64',
        nullable: true,
        group,
        group_version: version,
        ...('scale' in feature ? { scale: feature.scale } : {}),
      })),
    );
}

/** The row of a payment. `values` is null where none were served. */
export function rowText(
  payload: Readonly<Record<string, unknown>>,
  columns: readonly Column[],
  values: readonly GroupValues[] | null,
  served: { readonly decisionId: string | null; readonly status: string; readonly hash: string | null },
): RowText {
  const amount = payload['amount_minor'];
  const known = values === null ? new Map<string, string | null>() : textsOf(values);
  return [
    served.decisionId,
    served.status,
    served.hash,
    typeof amount === 'number' ? amount : null,
    KEY_COLUMNS.map((name) => {
      const member = payload[name];
      return typeof member === 'string' ? member : null;
    }),
    columns.map(({ name }) => known.get(name.slice(FEATURE_PREFIX.length)) ?? null),
  ];
}

/**
 * Which parts of what was served are not what was rebuilt. A decision has the hash of its features and not the features: a value is
 * named where the model's explanation holds it, and is among `values` otherwise.
 */
export function differing(decision: Decision, rebuilt: readonly GroupValues[]): readonly string[] {
  const fields: string[] = [];
  const served = (decision.features.groups ?? []).map(({ name, version, status }) => `${name} ${version} ${status}`);
  const now = rebuilt.map(({ group, status }) => `${group.definition.name} ${group.definition.version} ${status}`);
  if (served.join('\n') !== now.join('\n')) fields.push('groups');
  const values = textsOf(rebuilt);
  for (const { feature, value } of decision.model.contributions ?? [])
    if (values.has(feature) && values.get(feature) !== value) fields.push(feature);
  return fields.length === 0 ? ['values'] : fields;
}

function textsOf(groups: readonly GroupValues[]): Map<string, string | null> {
  const texts = new Map<string, string | null>();
  for (const { group, values } of groups)
    group.features.forEach(({ definition }, at) => texts.set(definition.name, values[at]?.toString() ?? null));
  return texts;
}
