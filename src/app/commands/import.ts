import type { Readable } from 'node:stream';
import { type ImportInvocation, worldPinsOf } from '../../modules/data-engine/data-engine.port.js';
import { runIdOf } from '../../modules/scenario-runner/scenario-runner.port.js';
import type { JsonObject } from '../../rails/canonical-json.js';
import { ProbityError } from '../../rails/errors/probity-error.js';
import type { Ref } from '../../rails/ref.js';
import type { Preview } from '../client/door-api.js';
import { bringToReady, polled, type Travel } from '../client/journey.js';
import { thousands } from '../client/progress.core.js';
import { digestOfFile, uploadFile, uploadStream } from '../client/source-file.js';
import { throughDoor } from '../client/through-door.js';
import { finishWorld } from '../client/world-end.js';
import { EXIT, type ExitCode } from '../exit-codes.js';
import type { ImportFlags } from '../flags.js';
import { table, type Terminal } from '../terminal.js';
import type { UnitTable } from '../unit-table.js';
import { YamlFile } from '../yaml-file.js';
import { offerNamed, paceFrom, scenarioFrom } from './door-options.js';

/** Everything between a user's file and its counted events: upload, run, READY, stream, reconciliation. */
export async function importFile(
  units: UnitTable,
  file: string,
  flags: ImportFlags,
  terminal: Terminal,
  stdin: Readable,
): Promise<ExitCode> {
  if ((flags.preset === undefined) === (flags.map === undefined)) {
    throw new ProbityError(
      'CONFIG_INVALID',
      'say how the file is to be read: either --preset NAME or --map mapping.yaml',
    );
  }
  const pace = paceFrom(flags.pace);
  const scenario = scenarioFrom(flags.name ?? flags.preset ?? 'import');
  const dry = flags.dryRun === true;
  const roles = dry ? (['engine'] as const) : (['engine', 'sr', 'wsp', 'ig'] as const);
  const mapping = flags.map === undefined ? undefined : mappingFile(flags.map);
  return await throughDoor({ table: units, flags, terminal, name: 'import', roles }, async (travel) => {
    const parameters = mapping ?? (await offerNamed(travel.api, 'presets', flags.preset ?? ''));
    if (dry) return await dryRun(travel, terminal, await sourceFor(travel, file, stdin), parameters, flags.rows);

    const source = file === '-' ? await uploadStream(stdin, travel) : await digestOfFile(file, travel);
    const world: ImportInvocation = { kind: 'import', scenario_id: scenario, source, parameters };
    const key = `import:${worldPinsOf(world).manifest_fingerprint}`;
    // A run that is known has its source: hashing a file is much cheaper than sending it.
    const known = await travel.api.findRun(runIdOf(key));
    const stored = file === '-' || known !== undefined ? source : await uploadFile(file, travel);
    const request = { run_equivalence_key: key, world: { ...world, source: stored }, strategy: 'AUTO' as const };
    const run = await bringToReady(travel, request, flags.supersede);
    return await finishWorld(travel, terminal, run, { stream: flags.stream, pace, rowsWord: 'rows in the file' });
  });
}

async function sourceFor(travel: Travel, file: string, stdin: Readable): Promise<Ref> {
  return file === '-' ? await uploadStream(stdin, travel) : await uploadFile(file, travel);
}

function mappingFile(path: string): JsonObject {
  const { value } = YamlFile.read(path);
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as JsonObject;
  throw new ProbityError('CONFIG_INVALID', `${path}:1: a mapping is a list of names and values, see docs/import.md`);
}

async function dryRun(
  travel: Travel,
  terminal: Terminal,
  source: Ref,
  parameters: JsonObject,
  rowsMax: number,
): Promise<ExitCode> {
  const preview = await polled(
    travel,
    async () => {
      const now = await travel.api.preview({ source, parameters, rows_max: rowsMax });
      travel.progress.at('Mapping the file', now.rows_read);
      return now;
    },
    ({ state }) => state === 'DONE',
  );
  travel.progress.clear();
  terminal.answer(preview, previewLines(preview));
  return preview.problems.length === 0 && preview.rows_mapped > 0 ? EXIT.OK : EXIT.FAILED;
}

function previewLines({ rows_read, rows_mapped, rows, problems, columns }: Preview): readonly string[] {
  const members = [...new Set(rows.flatMap(({ traffic }) => Object.keys(traffic.payload)))].filter(
    (name) => name !== 'source' && name !== 'transaction_id',
  );
  return [
    `Columns: ${columns.join(', ')}`,
    ...table(
      ['ROW', 'TS_UTC', 'TRANSACTION_ID', ...members.map((name) => name.toUpperCase()), 'FRAUD'],
      rows.map(({ row, traffic, label }) => [
        String(row),
        traffic.ts_utc,
        shown(traffic.payload['transaction_id']),
        ...members.map((name) => shown(traffic.payload[name])),
        label === undefined ? '' : label.is_fraud ? (label.fraud_kind ?? 'yes') : 'no',
      ]),
    ),
    `${thousands(rows_mapped)} of ${thousands(rows_read)} rows can be imported.`,
    ...problems.flatMap(({ reason, count, examples }) => [
      `${reason}: ${thousands(count)} rows`,
      ...examples.map(({ row, detail }) => `  row ${row}: ${detail}`),
    ]),
  ];
}

const shown = (value: unknown): string =>
  value === undefined ? '' : typeof value === 'string' ? value : JSON.stringify(value);
