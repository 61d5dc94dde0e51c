import { ProbityError } from '../../../rails/errors/probity-error.js';
import type { ErrorCode } from '../../../rails/errors/registry.js';
import type { Bundle } from '../../../rails/model/bundle.schema.js';
import { toEpochMicros } from '../../../rails/time.js';
import type { DatasetManifest } from '../../offline-feature-shadow/offline-feature-shadow.port.js';
import type { FactoryPolicy } from './gate-policy.schema.js';
import type { Recipe, RecipeInput } from './recipe.schema.js';

const FEATURE_PREFIX = 'f_';
const HOUR_MICROS = 3_600e6;
/** Members of the event that are numbers a model may read, with their columns. */
const EVENT_COLUMNS: Readonly<Record<string, string>> = { amount_minor: 'amount_minor' };
/** Names whom or what a row is about, or what became known of it: a model that reads one of them learns the answer, or the rows by heart. */
const NEVER_READ: ReadonlySet<string> = new Set([
  ...['event_id', 'decision_id', 'card_id', 'account_id', 'customer_id', 'merchant_id', 'terminal_id', 'device_id'],
  ...['label_state', 'label_value', 'is_fraud', 'split', 'weight', 'snapshot_hash', 'features_status', 'ts_utc'],
]);

/** What stands in a way of learning from these datasets, as far as their manifests tell. */
export interface InputFault {
  readonly code: ErrorCode;
  readonly detail: string;
}

/** A model's input with the column of the datasets that it is read from. */
export interface ResolvedInput extends RecipeInput {
  readonly reason_code: string;
  readonly column: string;
  /** Of a feature: the group that has it, which a bundle names as what it needs. */
  readonly group?: { readonly name: string; readonly version: number };
}

/** A manifest and the part that it plays. */
export interface RoledManifest {
  readonly role: 'train' | 'eval';
  readonly manifest: DatasetManifest;
}

export type InputsVerdict =
  | { readonly ok: true; readonly inputs: readonly ResolvedInput[] }
  | { readonly ok: false; readonly faults: readonly InputFault[] };

/**
 * Judges datasets by their manifests, before a byte of a row is read: roles, pins of features, labels, time, and the inputs of the recipe. What only rows
 * can tell (the time of each, their digests) is looked at again while they are read.
 */
export function evaluateInputs(
  datasets: readonly RoledManifest[],
  recipe: Pick<Recipe, 'inputs'>,
  policy: Pick<FactoryPolicy, 'leakage'>,
): InputsVerdict {
  const faults = [...setFaults(datasets), ...labelFaults(datasets, policy), ...timeFaults(datasets, policy)];
  const first = datasets[0];
  if (first === undefined) return { ok: false, faults };
  const { inputs, faults: unread } = resolved(recipe.inputs, first.manifest);
  faults.push(...unread);
  return faults.length === 0 ? { ok: true, inputs } : { ok: false, faults };
}

/** @throws the first fault */
export function demandInputs(...asked: Parameters<typeof evaluateInputs>): readonly ResolvedInput[] {
  const verdict = evaluateInputs(...asked);
  if (verdict.ok) return verdict.inputs;
  const [first, ...others] = verdict.faults;
  throw new ProbityError(
    first?.code ?? 'INTERNAL',
    [first?.detail ?? 'no fault is named', ...others.map(({ detail }) => detail)].join('; '),
  );
}

/** The columns that a bundle of whatever making reads. @throws MF_SCHEMA_INCOMPATIBLE_WITH_RECIPE */
export function inputsOfBundle({ model, compatibility }: Bundle, manifest: DatasetManifest): readonly ResolvedInput[] {
  const inputs = model.inputs as readonly {
    readonly source: string;
    readonly name: string;
    readonly reason_code?: string;
  }[];
  const columns = columnsIn(manifest);
  for (const { name, version } of compatibility.feature_groups) {
    const found = [...columns.values()].find(({ group }) => group === name);
    if (found?.group_version !== version)
      throw incompatible(
        `the bundle wants version ${version} of ${name}, and the dataset has ${found?.group_version ?? 'none'}`,
      );
  }
  return inputs.map(({ source, name, reason_code }) => {
    if (source === 'graph')
      throw incompatible(`the bundle reads graph.${name}, and no dataset has values of the graph`);
    const input = { source: source as RecipeInput['source'], name };
    const found = resolvedOne({ ...input, ...(reason_code === undefined ? {} : { reason_code }) }, columns);
    if (found === null) throw incompatible(`the bundle reads ${source}.${name}, which no column of the dataset is`);
    return found;
  });
}

/** One dataset for each role, at most two, all of them of one definition of features. */
function setFaults(datasets: readonly RoledManifest[]): InputFault[] {
  const faults: InputFault[] = [];
  const roles = datasets.map(({ role }) => role);
  if (roles.length === 0 || roles.length > 2 || new Set(roles).size < roles.length)
    faults.push(
      fault(
        'MF_SCHEMA_INCOMPATIBLE_WITH_RECIPE',
        `one dataset of each role is wanted, not ${roles.join(', ') || 'none'}`,
      ),
    );
  const pins = datasets.map(({ manifest }) => manifest.plan.definitions.content_digest);
  if (new Set(pins).size > 1)
    faults.push(fault('MF_FEATURE_PINS_INCONSISTENT_ACROSS_SET', 'the features were defined by different revisions'));
  const columns = datasets.map(({ manifest }) =>
    JSON.stringify(
      [...columnsIn(manifest).values()].map(({ name, type, scale, group, group_version }) => [
        name,
        type,
        scale,
        group,
        group_version,
      ]),
    ),
  );
  if (new Set(columns).size > 1)
    faults.push(fault('MF_SCHEMA_INCOMPATIBLE_WITH_RECIPE', 'the datasets do not have the same columns'));
  for (const { manifest } of datasets)
    if (manifest.built.materialisations.length !== 1)
      faults.push(fault('MF_SCHEMA_INCOMPATIBLE_WITH_RECIPE', 'a dataset of one file of rows is wanted'));
  return faults;
}

function labelFaults(datasets: readonly RoledManifest[], { leakage }: Pick<FactoryPolicy, 'leakage'>): InputFault[] {
  const faults: InputFault[] = [];
  for (const { role, manifest } of datasets)
    if (manifest.built.label === null)
      faults.push(fault('MF_MISSING_AS_OF_BOUNDARY', `the dataset of the role ${role} has no labels`));
  const rules = datasets.map(({ manifest: { built } }) => [
    built.label?.label_type,
    built.label?.rule_id,
    built.label?.maturity_days ?? null,
  ]);
  if (new Set(rules.map((rule) => JSON.stringify(rule))).size > 1)
    faults.push(
      fault('MF_AS_OF_INCONSISTENT_ACROSS_SET', 'label type, rule and maturity are not the same in all datasets'),
    );
  const train = datasets.find(({ role }) => role === 'train')?.manifest;
  const judged = datasets.find(({ role }) => role === 'eval')?.manifest;
  const [trainAsOf, evalAsOf] = [train?.built.label?.as_of_utc, judged?.built.label?.as_of_utc];
  if (trainAsOf !== undefined && evalAsOf !== undefined && trainAsOf > evalAsOf)
    faults.push(
      fault(
        'MF_AS_OF_INCONSISTENT_ACROSS_SET',
        `labels of training are as of ${trainAsOf}, after those of the evaluation (${evalAsOf})`,
      ),
    );
  if (leakage.labels_known_before_eval && train !== undefined) {
    const from = judged === undefined ? undefined : rangeOf(judged).from;
    if (from === undefined || trainAsOf === undefined || toEpochMicros(trainAsOf) > from)
      faults.push(
        fault(
          'MF_LEAKAGE_GUARD_VIOLATION',
          'the labels of training were not all known when the rows that are judged on begin',
        ),
      );
  }
  return faults;
}

function timeFaults(datasets: readonly RoledManifest[], { leakage }: Pick<FactoryPolicy, 'leakage'>): InputFault[] {
  const gap = leakage.gap_hours_min * HOUR_MICROS;
  const train = datasets.find(({ role }) => role === 'train')?.manifest;
  const judged = datasets.find(({ role }) => role === 'eval')?.manifest;
  if (train === undefined) return [];
  if (judged !== undefined) {
    const [{ to }, { from }] = [rangeOf(train), rangeOf(judged)];
    // Where a range is open, the rows themselves are asked.
    if (to !== undefined && from !== undefined && from - to < gap)
      return [
        fault(
          'MF_LEAKAGE_GUARD_VIOLATION',
          'the rows that are judged on do not lie after those of training by the gap of the policy',
        ),
      ];
    return [];
  }
  const splitAt = (name: string) => train.plan.splits.find((split) => split.name === name);
  const [learnt, later, test] = [splitAt('train'), splitAt('validation'), splitAt('test')];
  if (learnt === undefined || test === undefined)
    return [fault('MF_LEAKAGE_GUARD_VIOLATION', 'a dataset by itself wants the splits train and test')];
  const ends = [learnt, ...(later === undefined ? [] : [later])].map(({ to_utc }) => toEpochMicros(to_utc));
  const inOrder = later === undefined || toEpochMicros(later.from_utc) >= toEpochMicros(learnt.to_utc);
  return inOrder && toEpochMicros(test.from_utc) - Math.max(...ends) >= gap
    ? []
    : [fault('MF_LEAKAGE_GUARD_VIOLATION', 'the splits do not follow each other in time by the gap of the policy')];
}

/** Between which times its rows lie, in microseconds, as far as the plan says. */
function rangeOf({ plan: { rows } }: DatasetManifest): { readonly from?: number; readonly to?: number } {
  return {
    ...(rows.from_utc === undefined ? {} : { from: toEpochMicros(rows.from_utc) }),
    ...(rows.to_utc === undefined ? {} : { to: toEpochMicros(rows.to_utc) }),
  };
}

type ManifestColumn = DatasetManifest['built']['materialisations'][number]['columns'][number];

function columnsIn({ built }: DatasetManifest): ReadonlyMap<string, ManifestColumn> {
  return new Map((built.materialisations[0]?.columns ?? []).map((column) => [column.name, column]));
}

function resolved(
  wanted: Recipe['inputs'],
  manifest: DatasetManifest,
): { readonly inputs: readonly ResolvedInput[]; readonly faults: readonly InputFault[] } {
  const columns = columnsIn(manifest);
  const faults: InputFault[] = [];
  const inputs: ResolvedInput[] = [];
  const seen = new Set<string>();
  for (const input of wanted === 'all' ? allOf(columns) : wanted) {
    const name = `${input.source}.${input.name}`;
    const found = resolvedOne(input, columns);
    if (NEVER_READ.has(input.name))
      faults.push(
        fault('MF_LEAKAGE_GUARD_VIOLATION', `${name} says whom a row is about or what became of it, and is no input`),
      );
    else if (seen.has(name))
      faults.push(fault('MF_SCHEMA_INCOMPATIBLE_WITH_RECIPE', `${name} stands among the inputs twice`));
    else if (found === null)
      faults.push(fault('MF_SCHEMA_INCOMPATIBLE_WITH_RECIPE', `${name} is no column of the dataset`));
    else inputs.push(found);
    seen.add(name);
  }
  if (inputs.length === 0 && faults.length === 0)
    faults.push(fault('MF_SCHEMA_INCOMPATIBLE_WITH_RECIPE', 'the dataset has no column that a model could read'));
  return { inputs, faults };
}

function allOf(columns: ReadonlyMap<string, ManifestColumn>): readonly RecipeInput[] {
  const features = [...columns.values()]
    .filter(({ group }) => group !== undefined)
    .map(({ name }) => ({ source: 'features' as const, name: name.slice(FEATURE_PREFIX.length) }));
  const events = Object.keys(EVENT_COLUMNS)
    .filter((name) => columns.has(name) && !features.some((feature) => feature.name === name))
    .map((name) => ({ source: 'event' as const, name }));
  return [...events, ...features];
}

function resolvedOne(input: RecipeInput, columns: ReadonlyMap<string, ManifestColumn>): ResolvedInput | null {
  const column = input.source === 'event' ? EVENT_COLUMNS[input.name] : `${FEATURE_PREFIX}${input.name}`;
  const found = column === undefined ? undefined : columns.get(column);
  if (column === undefined || found?.type !== 'INT64') return null;
  const { group, group_version } = found;
  if ((input.source === 'features') !== (group !== undefined)) return null;
  return {
    ...input,
    reason_code: input.reason_code ?? input.name.toUpperCase().slice(0, 64),
    column,
    ...(group === undefined || group_version === undefined ? {} : { group: { name: group, version: group_version } }),
  };
}

function fault(code: ErrorCode, detail: string): InputFault {
  return { code, detail };
}

function incompatible(detail: string): ProbityError {
  return new ProbityError('MF_SCHEMA_INCOMPATIBLE_WITH_RECIPE', detail);
}
