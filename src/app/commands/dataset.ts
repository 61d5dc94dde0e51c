import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { BuildIntent } from '../../modules/offline-feature-shadow/dataset.schema.js';
import { canonicalJson } from '../../rails/canonical-json.js';
import { digestBytes } from '../../rails/digest.js';
import { ProbityError } from '../../rails/errors/probity-error.js';
import { parseUtc, type UtcMicros } from '../../rails/time.js';
import { DatasetApi, type DatasetReading, type ShownBuild } from '../client/dataset-api.js';
import type { Travel } from '../client/journey.js';
import { thousands } from '../client/progress.core.js';
import { throughDoor } from '../client/through-door.js';
import { EXIT, type ExitCode } from '../exit-codes.js';
import type { DoorFlags } from '../flags.js';
import { figures, table, type Terminal } from '../terminal.js';
import type { UnitTable } from '../unit-table.js';
import { runIdFrom } from './run.js';

const POLL_MS = 500;
const ENDED: ReadonlySet<string> = new Set(['DONE', 'FAILED', 'UNCHECKABLE', 'CANCELLED']);
/** A dataset needs the labels of its run, which come to the label store by the gate, and maybe the archive. */
const BUILD_ROLES = ['ig', 'labels', 'ops', 'ofs'] as const;

export interface DatasetBuildFlags extends DoorFlags {
  readonly run: string;
  readonly parity?: boolean;
  readonly label?: string;
  readonly asOf?: string;
  readonly rule?: string;
  readonly maturityDays?: number;
  readonly groups?: string;
  readonly from?: string;
  readonly to?: string;
  readonly train?: string;
  readonly validation?: string;
  readonly test?: string;
  readonly othersOneIn?: number;
  readonly seed: string;
  readonly anchor: string;
  readonly source: string;
  readonly appendedUntil?: string;
  readonly requestId?: string;
  /** False with --no-wait. */
  readonly wait: boolean;
}

/** Asks for a dataset and waits for it. Exit 1 where it was not published. */
export async function buildDataset(units: UnitTable, flags: DatasetBuildFlags, terminal: Terminal): Promise<ExitCode> {
  const intent = intentFrom(flags);
  return await throughDoor({ table: units, flags, terminal, name: 'dataset', roles: BUILD_ROLES }, async (travel) => {
    const api = new DatasetApi(travel.api);
    const { outcome, build } = await api.request(intent);
    const id = build.dataset_manifest_id;
    const shown = flags.wait ? await ended(api, id, travel) : await api.show(id);
    const reading = shown.build.state === 'DONE' ? await api.manifest(id) : undefined;
    terminal.answer({ outcome, ...shown, ...reading }, linesOf(shown, reading));
    return !flags.wait || shown.build.state === 'DONE' ? EXIT.OK : EXIT.FAILED;
  });
}

/** Where a build stands, and the manifest of what was published, which is verified first. */
export async function showDataset(
  units: UnitTable,
  id: string,
  flags: DoorFlags,
  terminal: Terminal,
): Promise<ExitCode> {
  return await throughDoor({ table: units, flags, terminal, name: 'dataset', roles: BUILD_ROLES }, async (travel) => {
    const api = new DatasetApi(travel.api);
    const shown = await api.show(id);
    const reading = shown.build.state === 'DONE' ? await api.manifest(id) : undefined;
    terminal.answer({ ...shown, ...reading }, linesOf(shown, reading));
    return EXIT.OK;
  });
}

export interface DatasetListFlags extends DoorFlags {
  readonly run?: string;
  readonly limit: number;
  readonly cursor?: string;
}

/** Datasets and builds, youngest first. */
export async function listDatasets(units: UnitTable, flags: DatasetListFlags, terminal: Terminal): Promise<ExitCode> {
  const { limit, cursor } = flags;
  const run = flags.run === undefined ? undefined : runIdFrom(flags.run);
  return await throughDoor({ table: units, flags, terminal, name: 'dataset', roles: BUILD_ROLES }, async (travel) => {
    const page = await new DatasetApi(travel.api).list({ limit, cursor, run });
    terminal.answer(page, [
      ...table(
        ['DATASET', 'KIND', 'STATE', 'PARITY', 'RUN', 'ASKED FOR'],
        page.builds.map((one) => [
          ...[one.dataset_manifest_id, one.kind, one.detail.code ?? one.state, one.detail.parity?.outcome ?? '-'],
          ...[one.run_id, one.requested_at_utc],
        ]),
      ),
      ...(page.next_cursor === undefined ? [] : [`There are more: --cursor ${page.next_cursor}`]),
    ]);
    return EXIT.OK;
  });
}

export interface DatasetExportFlags extends DoorFlags {
  readonly to: string;
}

/** Writes the files, the manifest and the receipt into a folder of their own; each file's digest is taken of what came. */
export async function exportDataset(
  units: UnitTable,
  id: string,
  flags: DatasetExportFlags,
  terminal: Terminal,
): Promise<ExitCode> {
  const { to } = flags;
  if (existsSync(to) && (await readdir(to)).length > 0)
    throw new ProbityError('CONFIG_INVALID', `${to} is not empty: an export is written into a folder of its own`);
  return await throughDoor({ table: units, flags, terminal, name: 'dataset', roles: BUILD_ROLES }, async (travel) => {
    const api = new DatasetApi(travel.api);
    const { manifest, receipt } = await api.manifest(id);
    await mkdir(to, { recursive: true });
    const files: string[] = [];
    for (const [number, { ref }] of manifest.built.materialisations.entries()) {
      const bytes = await api.file(id, number);
      if (digestBytes(bytes) !== ref.digest.hex)
        throw new ProbityError(
          'OFS_MATERIALISATION_TAMPERED',
          `what came of ${ref.locator} is not what the manifest names`,
        );
      const file = join(to, basename(ref.locator));
      await writeFile(file, bytes);
      files.push(file);
    }
    // Last: a folder with a manifest is a whole one.
    await writeFile(join(to, 'receipt.json'), canonicalJson(receipt));
    await writeFile(join(to, 'manifest.json'), canonicalJson(manifest));
    terminal.answer({ folder: to, files }, [
      ...figures([
        ['rows', thousands(manifest.built.rows_kept)],
        ['files', thousands(files.length)],
      ]),
      `Read it anywhere, such as with pandas.read_parquet('${files[0] ?? to}').`,
    ]);
    return EXIT.OK;
  });
}

async function ended(api: DatasetApi, id: string, { progress, clock, signal }: Travel): Promise<ShownBuild> {
  for (;;) {
    const shown = await api.show(id);
    if (ENDED.has(shown.build.state)) {
      progress.clear();
      return shown;
    }
    signal.throwIfAborted();
    progress.say(`The build ${id.slice(0, 12)}… is ${shown.build.state}`);
    await clock.sleep(POLL_MS, signal);
  }
}

function intentFrom(flags: DatasetBuildFlags): BuildIntent {
  const { label, asOf, parity, anchor, othersOneIn, seed } = flags;
  if ((label === undefined) !== (asOf === undefined))
    throw new ProbityError('CONFIG_INVALID', '--label and --as-of come together: what is known depends on when');
  const splits = (['train', 'validation', 'test'] as const).flatMap((name) => {
    const range = flags[name];
    return range === undefined ? [] : [{ name, ...rangeOf(range, `--${name}`) }];
  });
  const rows = {
    ...(flags.from === undefined ? {} : { from_utc: timeOf(flags.from, '--from') }),
    ...(flags.to === undefined ? {} : { to_utc: timeOf(flags.to, '--to') }),
  };
  return {
    request_id: flags.requestId ?? randomUUID(),
    kind: parity === true ? 'parity_rebuild' : 'dataset_build',
    run_id: runIdFrom(flags.run) as BuildIntent['run_id'],
    basis:
      flags.appendedUntil === undefined
        ? { at: 'head' }
        : { appended_until_utc: timeOf(flags.appendedUntil, '--appended-until') },
    ...(label === undefined || asOf === undefined
      ? {}
      : {
          label: {
            ...{ label_type: label, as_of_utc: timeOf(asOf, '--as-of') },
            ...(flags.rule === undefined ? {} : { rule_id: flags.rule }),
            ...(flags.maturityDays === undefined ? {} : { maturity_days: flags.maturityDays }),
          },
        }),
    ...(flags.groups === undefined ? {} : { feature_groups: flags.groups.split(',') }),
    ...(Object.keys(rows).length === 0 ? {} : { rows }),
    ...(anchor === 'auto' ? {} : { anchor: anchor as 'decision' | 'event' }),
    ...(flags.source === 'auto' ? {} : { source: flags.source as 'bus' | 'archive' }),
    ...(othersOneIn === undefined ? {} : { sampling: { others_one_in: othersOneIn, seed } }),
    ...(splits.length === 0 ? {} : { splits }),
  };
}

function rangeOf(text: string, flag: string): { readonly from_utc: UtcMicros; readonly to_utc: UtcMicros } {
  const [from, to, more] = text.split('..');
  if (from === undefined || to === undefined || more !== undefined)
    throw new ProbityError('CONFIG_INVALID', `${flag} is FROM..TO, two times in RFC 3339`);
  return { from_utc: timeOf(from, flag), to_utc: timeOf(to, flag) };
}

function timeOf(text: string, flag: string): UtcMicros {
  try {
    return parseUtc(/^\d{4}-\d{2}-\d{2}$/.test(text) ? `${text}T00:00:00Z` : text);
  } catch {
    throw new ProbityError('CONFIG_INVALID', `${flag} is no time in RFC 3339, and no date`);
  }
}

function linesOf({ build, states }: ShownBuild, reading: DatasetReading | undefined): readonly string[] {
  const { detail } = build;
  const head = [
    `Dataset ${build.dataset_manifest_id}: ${build.state}`,
    ...(detail.code === undefined ? [] : [`  ${detail.code}: ${detail.says ?? ''}`]),
    ...(detail.parity?.first_mismatches ?? []).map(
      ({ event_id, fields }) => `  differs: event ${event_id} in ${fields.join(', ')}`,
    ),
    `  ${states.map(({ state }) => state).join(' → ')}`,
  ];
  if (reading === undefined) return head;
  const { built } = reading.manifest;
  return [
    ...head,
    ...figures([
      ['rows', thousands(built.rows_kept)],
      ['columns', thousands(built.materialisations[0]?.columns.length ?? 0)],
      ['decisions rebuilt as served', `${thousands(built.parity.match)} of ${thousands(built.parity.decisions)}`],
      ...Object.entries(built.label?.by_state ?? {}).map(([state, rows]): [string, string] => [
        `label ${state}`,
        thousands(rows),
      ]),
      ...Object.entries(built.dropped).map(([why, rows]): [string, string] => [`left out: ${why}`, thousands(rows)]),
    ]),
  ];
}
