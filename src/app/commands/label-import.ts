import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { CsvError, parse } from 'csv-parse';
import { type LabelMapping, LabelMappingSchema, mapRow } from '../../modules/label-store/mapping.core.js';
import { ProbityError } from '../../rails/errors/probity-error.js';
import { LabelApi, type LabelResult } from '../client/label-api.js';
import { thousands } from '../client/progress.core.js';
import { demandFile } from '../client/source-file.js';
import { throughDoor } from '../client/through-door.js';
import { EXIT, type ExitCode } from '../exit-codes.js';
import type { DoorFlags } from '../flags.js';
import { figures, type Terminal } from '../terminal.js';
import type { UnitTable } from '../unit-table.js';
import { YamlFile } from '../yaml-file.js';
import { runIdFrom } from './run.js';

export interface LabelImportFlags extends DoorFlags {
  readonly map: string;
  readonly run: string;
  readonly namespace: string;
  readonly format?: string;
  readonly delimiter: string;
  readonly dryRun?: boolean;
  readonly rows: number;
}

const BATCH_ROWS = 500;
const LISTED_MAX = 1_000;

/** A row with the line or number that people find it by. */
interface Numbered {
  readonly number: number;
  readonly row: unknown;
}

/**
 * A file of labels that somebody else made: chargebacks of an acquirer, dispositions of an older system. The same file again is duplicates, so
 * after an interruption the same command goes on.
 */
export async function importLabels(
  units: UnitTable,
  file: string,
  flags: LabelImportFlags,
  terminal: Terminal,
  stdin: Readable,
): Promise<ExitCode> {
  const mapping = YamlFile.read(flags.map).as(LabelMappingSchema);
  if (file !== '-') demandFile(file);
  const rows = rowsOf(file, flags, stdin);
  if (flags.dryRun === true) return await preview(rows, mapping, flags, terminal);
  return await throughDoor(
    { table: units, flags, terminal, name: 'label-import', roles: ['ig', 'labels'] },
    async ({ api, progress }) => {
      const labels = new LabelApi(api);
      const tally = new Tally((line) => {
        progress.clear();
        terminal.note(line);
      });
      const of = { run_id: runIdFrom(flags.run), namespace: flags.namespace, mapping };
      try {
        for await (const batch of batches(rows)) {
          tally.add(batch, await labels.appendRows({ ...of, rows: batch.map(({ row }) => row) }));
          progress.at('Sending', tally.rows);
        }
      } finally {
        progress.clear();
        // Also when it broke off on the way: what was answered until then was done.
        terminal.answer(tally.document(), tally.summary());
      }
      return tally.refused === 0 ? EXIT.OK : EXIT.FAILED;
    },
  );
}

/** What the first rows would be, and nothing is sent. */
async function preview(
  rows: AsyncIterable<Numbered>,
  mapping: LabelMapping,
  flags: LabelImportFlags,
  terminal: Terminal,
): Promise<ExitCode> {
  const of = { runId: runIdFrom(flags.run), namespace: flags.namespace };
  const shown: object[] = [];
  const lines: string[] = [];
  let [all, faulty] = [0, 0];
  for await (const { number, row } of rows) {
    all += 1;
    const mapped = mapRow(row, mapping, of);
    if (!mapped.ok) {
      faulty += 1;
      if (faulty <= LISTED_MAX) lines.push(`row ${number}: ${mapped.says}`);
    } else if (shown.length < flags.rows) shown.push(mapped.assertion);
  }
  terminal.answer({ rows: all, faulty, first: shown, faults: lines }, [
    ...shown.map((each) => JSON.stringify(each)),
    ...lines,
    ...figures([
      ['rows read', thousands(all)],
      ['that the mapping cannot read', thousands(faulty)],
    ]),
    'Nothing was sent. Whether each event is known is seen when it is.',
  ]);
  return faulty === 0 ? EXIT.OK : EXIT.FAILED;
}

async function* rowsOf(
  file: string,
  { format, delimiter }: LabelImportFlags,
  stdin: Readable,
): AsyncGenerator<Numbered, void> {
  const bytes =
    file === '-' ? stdin : file.endsWith('.gz') ? createReadStream(file).pipe(createGunzip()) : createReadStream(file);
  const kind = format ?? (/\.(ndjson|jsonl)(\.gz)?$/.test(file) ? 'ndjson' : 'csv');
  if (kind === 'ndjson') yield* ndjsonRows(bytes);
  else if (kind === 'csv') yield* csvRows(bytes, delimiter);
  else throw new ProbityError('CONFIG_INVALID', `--format ${kind}: say csv or ndjson`);
}

async function* csvRows(bytes: Readable, delimiter: string): AsyncGenerator<Numbered, void> {
  const parser = bytes.pipe(
    parse({ columns: true, bom: true, delimiter, skip_empty_lines: true, max_record_size: 1_048_576 }),
  );
  bytes.on('error', (error) => parser.destroy(error));
  let number = 0;
  try {
    for await (const row of parser as AsyncIterable<unknown>) {
      number += 1;
      yield { number, row };
    }
  } catch (error) {
    if (!(error instanceof CsvError)) throw error;
    throw new ProbityError('CONFIG_UNREADABLE', `behind row ${number} the file is no CSV: ${error.code}`, {
      cause: error,
    });
  }
}

async function* ndjsonRows(bytes: Readable): AsyncGenerator<Numbered, void> {
  let number = 0;
  for await (const line of createInterface({ input: bytes, crlfDelay: Number.POSITIVE_INFINITY })) {
    number += 1;
    if (line.trim() === '') continue;
    let row: unknown;
    try {
      row = JSON.parse(line);
    } catch (cause) {
      throw new ProbityError('CONFIG_UNREADABLE', `line ${number} is not JSON; the lines before it were sent`, {
        cause,
      });
    }
    yield { number, row };
  }
}

async function* batches(rows: AsyncIterable<Numbered>): AsyncGenerator<readonly Numbered[], void> {
  let batch: Numbered[] = [];
  for await (const row of rows) {
    batch.push(row);
    if (batch.length < BATCH_ROWS) continue;
    yield batch;
    batch = [];
  }
  if (batch.length > 0) yield batch;
}

class Tally {
  rows = 0;
  refused = 0;
  readonly #counts = { ACCEPTED: 0, DUPLICATE: 0, REJECTED: 0 };
  readonly #listed: object[] = [];

  constructor(private readonly tell: (line: string) => void) {}

  add(batch: readonly Numbered[], results: readonly LabelResult[]): void {
    results.forEach(({ outcome, code = '', detail = '' }, index) => {
      this.rows += 1;
      this.#counts[outcome] += 1;
      if (outcome !== 'REJECTED') return;
      this.refused += 1;
      const row = batch[index]?.number ?? 0;
      this.tell(`row ${row}: ${code}: ${detail}`);
      if (this.#listed.length < LISTED_MAX) this.#listed.push({ row, code, detail });
    });
  }

  document(): object {
    const { ACCEPTED: accepted, DUPLICATE: duplicate, REJECTED: refused } = this.#counts;
    return { rows: this.rows, accepted, duplicate, refused, refused_rows: this.#listed };
  }

  summary(): readonly string[] {
    return figures([
      ['rows answered', thousands(this.rows)],
      ['accepted', thousands(this.#counts.ACCEPTED)],
      ['duplicate', thousands(this.#counts.DUPLICATE)],
      ['refused', thousands(this.#counts.REJECTED)],
    ]);
  }
}
