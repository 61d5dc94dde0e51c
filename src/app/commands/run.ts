import { EquivalenceKeySchema, runIdOf, type RunRequest } from '../../modules/scenario-runner/scenario-runner.port.js';
import { ProbityError } from '../../rails/errors/probity-error.js';
import { validatorOf } from '../../rails/validator.js';
import { adviceForRun } from '../client/advice.js';
import type { Run } from '../client/door-api.js';
import { bringToReady, ensureLiveRun, waitForRun } from '../client/journey.js';
import { thousands } from '../client/progress.core.js';
import { throughDoor } from '../client/through-door.js';
import { EXIT, type ExitCode } from '../exit-codes.js';
import type { DoorFlags, RunStartFlags } from '../flags.js';
import { table, type Terminal } from '../terminal.js';
import type { UnitTable } from '../unit-table.js';
import { YamlFile } from '../yaml-file.js';
import { scenarioFrom } from './door-options.js';

const keys = validatorOf(EquivalenceKeySchema, 'the equivalence key');

/** A run by its id, or by the equivalence key that it was requested under. */
export function runIdFrom(text: string): string {
  return /^[0-9a-f]{32}$/.test(text) ? text : runIdOf(text);
}

/** Requests a run, once per key: an open-ended one with --live, or any other as a document of its world. */
export async function startRun(units: UnitTable, flags: RunStartFlags, terminal: Terminal): Promise<ExitCode> {
  if ((flags.live === undefined) === (flags.world === undefined)) {
    throw new ProbityError('CONFIG_INVALID', 'say which run: --live NAME for an open-ended one, or --world FILE');
  }
  const key = flags.equivalenceKey ?? flags.live;
  if (key === undefined) throw new ProbityError('CONFIG_INVALID', '--world FILE wants an --equivalence-key as well');
  if (!keys.check(key).ok) throw new ProbityError('CONFIG_INVALID', `"${key}" is no equivalence key`);
  const scenario = flags.live === undefined ? undefined : scenarioFrom(flags.live);
  const asked = flags.world === undefined ? undefined : worldRequest(flags.world, key, flags.strategy);
  const roles = scenario === undefined ? (['engine', 'sr'] as const) : (['sr'] as const);
  return await throughDoor({ table: units, flags, terminal, name: 'run', roles }, async (travel) => {
    const run =
      scenario !== undefined
        ? await ensureLiveRun(travel, key, scenario)
        : asked !== undefined
          ? await bringToReady(travel, asked)
          : await travel.api.run(runIdFrom(key));
    return answerRun(terminal, run);
  });
}

function worldRequest(file: string, key: string, strategy: string): RunRequest {
  const { value } = YamlFile.read(file);
  if (strategy !== 'AUTO' && strategy !== 'FORCE_INVOKE' && strategy !== 'FORCE_REUSE') {
    throw new ProbityError('CONFIG_INVALID', `--strategy ${strategy}: say AUTO, FORCE_INVOKE or FORCE_REUSE`);
  }
  // The scenario runner checks the document and names the place.
  return { run_equivalence_key: key, world: value as RunRequest['world'], strategy };
}

export async function listRuns(
  units: UnitTable,
  flags: DoorFlags & { readonly limit: number; readonly state?: string },
  terminal: Terminal,
): Promise<ExitCode> {
  return await throughDoor({ table: units, flags, terminal, name: 'run', roles: ['sr'] }, async ({ api }) => {
    const page = await api.runs({ limit: flags.limit, state: flags.state });
    terminal.answer(page, [
      ...table(
        ['RUN', 'STATE', 'KIND', 'SCENARIO', 'REQUESTED', 'KEY'],
        page.runs.map((run) => [
          run.run_id,
          run.state,
          run.kind,
          run.pins.scenario_id,
          run.requested_at_utc,
          run.run_equivalence_key,
        ]),
      ),
      ...(page.next_cursor === undefined ? [] : [`There are more: --limit ${flags.limit * 2}`]),
    ]);
    return EXIT.OK;
  });
}

export async function runStatus(
  units: UnitTable,
  name: string,
  flags: DoorFlags & { readonly wait?: boolean },
  terminal: Terminal,
): Promise<ExitCode> {
  // Whoever waits wants the run to advance: the scenario runner and the engine are run here where nobody runs them.
  const roles = flags.wait === true ? (['engine', 'sr'] as const) : (['sr'] as const);
  return await throughDoor({ table: units, flags, terminal, name: 'run', roles }, async (travel) => {
    const id = runIdFrom(name);
    return answerRun(terminal, flags.wait === true ? await waitForRun(travel, id) : await travel.api.run(id));
  });
}

/** All that is known of a run: its status, what it stands on, and what happened to it. */
export async function showRun(units: UnitTable, name: string, flags: DoorFlags, terminal: Terminal): Promise<ExitCode> {
  return await throughDoor({ table: units, flags, terminal, name: 'run', roles: ['sr'] }, async ({ api }) => {
    const run = await api.run(runIdFrom(name));
    const facts = run.state === 'READY' ? await api.facts(run.run_id) : undefined;
    const record = await api.record(run.run_id);
    terminal.answer({ run, ...(facts === undefined ? {} : { facts }), record }, [
      ...runLines(run),
      ...(facts?.outputs ?? []).map(
        ({ output_id, role, rows, index }) =>
          `  output ${output_id}: ${thousands(rows)} rows, ${role}, digest ${index.digest.hex}`,
      ),
      ...(facts?.traffic ?? []).map(
        ({ event_type, schema_version }) => `  may enter as traffic: ${event_type} ${schema_version}`,
      ),
      ...recordLines(record),
    ]);
    return EXIT.OK;
  });
}

/** What happened, one line per event: when, what, and what it is about. */
function recordLines(record: unknown): readonly string[] {
  const events: unknown = Reflect.get(Object(record) as object, 'events');
  if (!Array.isArray(events)) return [];
  const lines = events.map((event) => {
    const { at_utc, event: name, data } = Object(event) as Readonly<Record<string, unknown>>;
    return [`  ${String(at_utc)}`, String(name), JSON.stringify(data ?? {})];
  });
  return ['Record:', ...table(['  WHEN', 'WHAT', 'ABOUT'], lines)];
}

function answerRun(terminal: Terminal, run: Run): ExitCode {
  terminal.answer(run, [...runLines(run), ...adviceForRun(run.reasons)]);
  return run.state === 'FAILED' || run.state === 'QUARANTINED' ? EXIT.FAILED : EXIT.OK;
}

function runLines(run: Run): readonly string[] {
  const { pins, engine, reasons, detail } = run;
  const why = reasons.length === 0 ? '' : `: ${reasons.join(', ')}${detail === undefined ? '' : `. ${detail}`}`;
  return [
    `Run ${run.run_id} is ${run.state}${why}`,
    `  key ${run.run_equivalence_key}, ${run.kind}, requested ${run.requested_at_utc}`,
    `  manifest_fingerprint ${pins.manifest_fingerprint}`,
    `  parameter_hash ${pins.parameter_hash}  seed ${pins.seed}  scenario_id ${pins.scenario_id}`,
    ...(engine !== undefined && run.state === 'EXECUTING'
      ? [`  engine: ${engine.stage}, ${thousands(engine.rows_done)} rows`]
      : []),
    ...(run.supersedes === undefined ? [] : [`  takes the place of ${run.supersedes}`]),
    ...(run.superseded_by === undefined ? [] : [`  its place was taken by ${run.superseded_by}`]),
  ];
}
