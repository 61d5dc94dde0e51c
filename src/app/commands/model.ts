import { randomUUID } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { DEFAULT_RECIPE, type Recipe, RecipeSchema } from '../../modules/model-factory/learning/recipe.schema.js';
import type { RunStatus, TrainRequest } from '../../modules/model-factory/train-run.schema.js';
import { canonicalJson } from '../../rails/canonical-json.js';
import { isDigest } from '../../rails/digest.js';
import { ProbityError } from '../../rails/errors/probity-error.js';
import { bundleDigest, onnxFile } from '../../rails/model/bundle.schema.js';
import { onnxOf } from '../../rails/model/onnx-export.js';
import type { ModelGateReceipt } from '../../rails/registry/gate-receipt.schema.js';
import { validatorOf } from '../../rails/validator.js';
import type { Travel } from '../client/journey.js';
import { ModelApi, type ShownRun } from '../client/model-api.js';
import { throughDoor } from '../client/through-door.js';
import { EXIT, type ExitCode } from '../exit-codes.js';
import type { DoorFlags } from '../flags.js';
import { table, type Terminal } from '../terminal.js';
import type { UnitTable } from '../unit-table.js';
import { readBundle } from './bundle-file.js';
import { bundleName } from './registry.js';

const POLL_MS = 500;
/** A training reads datasets, whose shadow needs labels and the gate, and puts what passes before the registry. */
const TRAIN_ROLES = ['ig', 'labels', 'ofs', 'mpr', 'mf'] as const;

const recipes = validatorOf(RecipeSchema, 'the recipe');

export interface ModelTrainFlags extends DoorFlags {
  readonly dataset: string;
  readonly recipe: string;
  readonly bundle?: string;
  readonly evaluate?: string;
  readonly slot: string;
  readonly requestId?: string;
  /** False with --no-publish. */
  readonly publish: boolean;
  /** False with --no-wait. */
  readonly wait: boolean;
}
export interface ModelListFlags extends DoorFlags {
  readonly limit: number;
  readonly cursor?: string;
}
export interface ModelReportFlags extends DoorFlags {
  readonly to: string;
}
export interface ModelExportFlags extends ModelReportFlags {
  readonly precision: 'double' | 'single';
}

/** Asks for a run and waits for its end. Exit 1 where nothing passed. */
export async function trainModel(units: UnitTable, flags: ModelTrainFlags, terminal: Terminal): Promise<ExitCode> {
  const candidate = flags.evaluate === undefined ? undefined : readBundle(flags.evaluate);
  const request = requestFrom(flags);
  return await throughDoor({ table: units, flags, terminal, name: 'model', roles: TRAIN_ROLES }, async (travel) => {
    const api = new ModelApi(travel.api);
    const { outcome, run } = await api.request(request, candidate);
    const shown = flags.wait ? await ended(api, run.train_run_id, travel) : await api.show(run.train_run_id);
    const receipt = await receiptOf(api, shown);
    terminal.answer({ outcome, ...shown, ...(receipt && { receipt }) }, linesOf(shown, receipt));
    return !flags.wait || hasPassed(shown.run) ? EXIT.OK : EXIT.FAILED;
  });
}

export async function showModel(units: UnitTable, id: string, flags: DoorFlags, terminal: Terminal): Promise<ExitCode> {
  return await throughDoor({ table: units, flags, terminal, name: 'model', roles: TRAIN_ROLES }, async (travel) => {
    const api = new ModelApi(travel.api);
    const shown = await api.show(id);
    const receipt = await receiptOf(api, shown);
    terminal.answer({ ...shown, ...(receipt && { receipt }) }, linesOf(shown, receipt));
    return EXIT.OK;
  });
}

/** Runs, youngest first. */
export async function listModels(units: UnitTable, flags: ModelListFlags, terminal: Terminal): Promise<ExitCode> {
  const { limit, cursor } = flags;
  return await throughDoor({ table: units, flags, terminal, name: 'model', roles: TRAIN_ROLES }, async (travel) => {
    const page = await new ModelApi(travel.api).list({ limit, cursor });
    terminal.answer(page, [
      ...table(
        ['RUN', 'KIND', 'STATE', 'GATES', 'BUNDLE', 'SLOT', 'ASKED FOR'],
        page.runs.map(({ train_run_id, kind, state, detail, trained, plan, requested_at_utc }) => [
          ...[train_run_id, kind, detail.code === undefined ? state : `${state} ${detail.code}`],
          ...[trained?.result ?? '-', trained === null ? '-' : nameOf(trained.bundle), plan.slot, requested_at_utc],
        ]),
      ),
      ...(page.next_cursor === undefined ? [] : [`There are more: --cursor ${page.next_cursor}`]),
    ]);
    return EXIT.OK;
  });
}

/** Writes the report of a run into a file: as a page, or as JSON where the file is called so. */
export async function reportModel(
  units: UnitTable,
  id: string,
  flags: ModelReportFlags,
  terminal: Terminal,
): Promise<ExitCode> {
  const { to } = flags;
  return await throughDoor({ table: units, flags, terminal, name: 'model', roles: TRAIN_ROLES }, async (travel) => {
    writeNew(to, await new ModelApi(travel.api).report(id, to.endsWith('.json') ? 'json' : 'html'));
    terminal.answer({ file: to }, [`Wrote ${to}. It is one file: open it in any browser, or send it to somebody.`]);
    return EXIT.OK;
  });
}

/** Writes the bundle of a run into a file: as it is, or as ONNX where the file is called so. */
export async function exportModel(
  units: UnitTable,
  id: string,
  flags: ModelExportFlags,
  terminal: Terminal,
): Promise<ExitCode> {
  const { to, precision } = flags;
  return await throughDoor({ table: units, flags, terminal, name: 'model', roles: TRAIN_ROLES }, async (travel) => {
    const bundle = await new ModelApi(travel.api).bundle(id);
    const digest = bundleDigest(bundle);
    if (to.endsWith('.onnx')) {
      const { model } = bundle;
      const input = precision === 'single' ? 'float' : 'double';
      writeNew(to, model.format === 'probity.onnx.v1' ? onnxFile(model) : onnxOf(model, { input }));
    } else {
      writeNew(to, `${canonicalJson(bundle)}\n`);
    }
    terminal.answer({ file: to, digest }, [
      `Wrote ${to}: ${nameOf(bundle)}, digest ${digest}.`,
      `Its inputs, in order: ${bundle.model.inputs.map(({ source, name }) => `${source}.${name}`).join(', ')}`,
    ]);
    return EXIT.OK;
  });
}

export async function cancelModel(
  units: UnitTable,
  id: string,
  flags: DoorFlags,
  terminal: Terminal,
): Promise<ExitCode> {
  return await throughDoor({ table: units, flags, terminal, name: 'model', roles: TRAIN_ROLES }, async (travel) => {
    const run = await new ModelApi(travel.api).cancel(id);
    terminal.answer(run, [`Run ${id}: ${run.state}`]);
    return EXIT.OK;
  });
}

function writeNew(file: string, content: string | Uint8Array): void {
  try {
    writeFileSync(file, content, { flag: 'wx' });
  } catch (cause) {
    throw new ProbityError('CONFIG_INVALID', `${file} cannot be written, or stands already`, { cause });
  }
}

async function ended(api: ModelApi, id: string, { progress, clock, signal }: Travel): Promise<ShownRun> {
  for (;;) {
    const shown = await api.show(id);
    const { at_rest, state, tries, last_code } = shown.run;
    if (at_rest) {
      progress.clear();
      return shown;
    }
    signal.throwIfAborted();
    const waits = tries === 0 ? '' : `, after ${tries} tries that came to nothing (${last_code ?? ''})`;
    progress.say(`The run ${id.slice(0, 12)}… is ${state}${waits}`);
    await clock.sleep(POLL_MS, signal);
  }
}

function requestFrom(flags: ModelTrainFlags): TrainRequest {
  const { evaluate, slot, publish } = flags;
  const request = {
    request_id: flags.requestId ?? randomUUID(),
    datasets: datasetsFrom(flags.dataset),
    slot: slot as NonNullable<TrainRequest['slot']>,
    publish,
  };
  if (evaluate === undefined) return { ...request, kind: 'baseline_train', recipe: recipeFrom(flags) };
  if (flags.recipe !== 'default' || flags.bundle !== undefined)
    throw new ProbityError(
      'CONFIG_INVALID',
      '--evaluate judges a bundle as it is: no --recipe and no --bundle with it',
    );
  return { ...request, kind: 'candidate_eval' };
}

/** `ID`, `ID,ID`, or `eval:ID`: the first is learnt from and the second judged on, unless it is said. */
function datasetsFrom(text: string): TrainRequest['datasets'] {
  return text.split(',').map((word, at) => {
    const [, said, id = ''] = /^(?:(train|eval):)?(.*)$/.exec(word.trim()) ?? [];
    if (!isDigest(id)) throw new ProbityError('CONFIG_INVALID', `${word} is no id of a dataset (64 hex digits)`);
    const role = said === 'train' || said === 'eval' ? said : at === 0 ? 'train' : 'eval';
    return { role, dataset_manifest_id: id };
  });
}

function recipeFrom({ recipe: file, bundle }: ModelTrainFlags): Recipe {
  const recipe = file === 'default' ? DEFAULT_RECIPE : recipeIn(file);
  return bundle === undefined ? recipe : { ...recipe, bundle: bundleName(bundle) };
}

function recipeIn(file: string): Recipe {
  let raw: unknown;
  try {
    raw = JSON.parse(readFileSync(file, 'utf8'));
  } catch (cause) {
    throw new ProbityError('CONFIG_INVALID', `${file} cannot be read as JSON`, { cause });
  }
  const checked = recipes.check(raw);
  if (checked.ok) return checked.value;
  throw new ProbityError('CONFIG_INVALID', `${file}: ${checked.fault.at || '/'} ${checked.fault.says}`);
}

const hasPassed = ({ state }: RunStatus): boolean => state === 'PUBLISHED' || state === 'GATED';
const nameOf = ({ bundle_id, bundle_version }: { bundle_id: string; bundle_version: number }): string =>
  `${bundle_id}@${bundle_version}`;

async function receiptOf(api: ModelApi, { run }: ShownRun): Promise<ModelGateReceipt | undefined> {
  return run.trained === null ? undefined : await api.receipt(run.train_run_id);
}

function linesOf({ run, states }: ShownRun, receipt: ModelGateReceipt | undefined): readonly string[] {
  const { train_run_id: id, trained, state, detail, published, trainings } = run;
  return [
    `Run ${id}: ${state}`,
    ...(detail.code === undefined ? [] : [`  ${detail.code}: ${detail.says ?? ''}`]),
    `  ${states.map((each) => each.state).join(' → ')}${trainings > 1 ? ` (${trainings} trainings were begun)` : ''}`,
    ...(trained === null || receipt === undefined ? [] : judgedLines(run, trained, receipt)),
    ...(published === null
      ? []
      : [
          `In the registry as ${nameOf(published.bundle)} (${published.state}), fact ${published.registry_seq}. Somebody approves it, and then puts it in force:`,
          `  probity registry approve ${nameOf(published.bundle)} --reason TEXT`,
          `  probity registry promote ${nameOf(published.bundle)} --slot ${run.plan.slot} --reason TEXT`,
        ]),
  ];
}

function judgedLines(
  { train_run_id: id, resolved }: RunStatus,
  { bundle }: NonNullable<RunStatus['trained']>,
  { criteria, result }: ModelGateReceipt,
): readonly string[] {
  const active = resolved?.active;
  return [
    `Bundle ${nameOf(bundle)}, digest ${bundle.digest}`,
    active ? `Compared with ${nameOf(active.bundle)}, which is active` : 'Compared with nothing: no bundle is active',
    '',
    ...table(
      ['GATE', 'PASSED', 'OBSERVED', 'DEMANDED'],
      criteria.map(({ name, passed, observed, demanded }) => [
        name,
        passed ? 'yes' : 'NO',
        typeof observed === 'number' ? String(Math.round(observed * 1e6) / 1e6) : observed,
        demanded,
      ]),
    ),
    '',
    `The gates say ${result}. The report: probity model report ${id} --to report.html`,
  ];
}
