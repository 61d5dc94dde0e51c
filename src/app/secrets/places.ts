import { createReadStream, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { asTopicName } from '../../rails/eb-ref.js';
import type { ObjectKey } from '../../rails/ref.js';
import type { Bus } from '../../substrate/bus/bus.port.js';
import type { Database, DatabaseServer, SchemaName } from '../../substrate/database/database.port.js';
import { SHARED_SCHEMA } from '../../substrate/database/roles.js';
import type { Objects } from '../../substrate/objects/objects.port.js';

/** Something that may hold a secret, in pieces. */
export interface Place {
  readonly name: string;
  readonly pieces: () => AsyncIterable<Buffer>;
}

const LIST_PAGE = 1_000;
const ROWS_PAGE = 2_000;
const RECORDS_PAGE = 1_000;
const POLL_MS = 500;

/** Every object; one that is packed by gzip is looked into. */
export async function* placesOfObjects(objects: Objects): AsyncGenerator<Place> {
  let from: { readonly after?: ObjectKey } = {};
  for (;;) {
    const { objects: found, next } = await objects.list('', { limit: LIST_PAGE, ...from });
    for (const { key } of found) {
      const ref = await objects.head(key);
      if (ref === null) continue;
      yield {
        name: `object ${key}`,
        pieces: () => {
          const bytes = objects.open(ref);
          return buffersOf(key.endsWith('.gz') ? Readable.from(bytes).pipe(createGunzip()) : bytes);
        },
      };
    }
    if (next === null) return;
    from = { after: next };
  }
}

/** Every table of the schemas, a page of rows as a piece. */
export async function* placesOfDatabase(server: DatabaseServer, schemas: readonly SchemaName[]): AsyncGenerator<Place> {
  // What no role here has needed yet is not there.
  const there = await server.forSchema(SHARED_SCHEMA).query<{ name: string }>({
    text: 'select nspname as name from pg_namespace',
    readOnly: true,
  });
  const names = new Set(there.rows.map(({ name }) => name));
  for (const schema of schemas.filter((each) => names.has(each))) {
    const database = server.forSchema(schema);
    const { rows } = await database.query<{ name: string; reads: string }>({
      text: `select tablename as name, format('select %I::text as line from %I', tablename, tablename) as reads
             from pg_tables where schemaname = current_schema() order by 1`,
      readOnly: true,
    });
    for (const { name, reads } of rows)
      yield { name: `table ${schema}.${name}`, pieces: () => linesOf(database, reads) };
  }
}

async function* linesOf(database: Database, reads: string): AsyncGenerator<Buffer> {
  const session = await database.session();
  try {
    await session.query('begin read only');
    await session.query(`declare page no scroll cursor for ${reads}`);
    for (;;) {
      const { rows } = await session.query<{ line: string }>(`fetch ${ROWS_PAGE} from page`);
      if (rows.length === 0) return;
      yield Buffer.from(rows.map(({ line }) => line).join('\n'));
    }
  } finally {
    await session.close();
  }
}

/** What can be read of each topic, where the log is no table. */
export async function* placesOfBus(bus: Bus, topics: readonly string[]): AsyncGenerator<Place> {
  for (const topic of topics.map(asTopicName)) {
    const marks = (await bus.marks(topic)).filter(({ lowWater, highWater }) => lowWater < highWater);
    for (const mark of marks)
      yield { name: `topic ${topic}, partition ${mark.partition}`, pieces: () => recordsOf(bus, mark) };
  }
}

async function* recordsOf(bus: Bus, mark: Awaited<ReturnType<Bus['marks']>>[number]): AsyncGenerator<Buffer> {
  const { topic, partition, lowWater, highWater } = mark;
  const reader = await bus.openReader([{ topic, partition, offset: lowWater }]);
  try {
    for (let at: number = lowWater; at < highWater;) {
      for (const { records, nextOffset } of await reader.poll({ recordsMax: RECORDS_PAGE, waitMs: POLL_MS })) {
        at = nextOffset;
        if (records.length === 0) continue;
        const parts = records.flatMap(({ key, headers, value }) => [key ?? '', JSON.stringify(headers), value]);
        yield Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part) : part)));
      }
    }
  } finally {
    await reader.close();
  }
}

/** Files below a folder, such as logs. */
export function* placesOfFiles(folder: string, what: string): Generator<Place> {
  for (const entry of readdirSync(folder, { withFileTypes: true, recursive: true })) {
    if (!entry.isFile()) continue;
    yield placeOfFile(join(entry.parentPath, entry.name), what);
  }
}

export function placeOfFile(file: string, what: string): Place {
  return { name: `${what} ${file}`, pieces: () => buffersOf(createReadStream(file)) };
}

async function* buffersOf(bytes: AsyncIterable<unknown>): AsyncGenerator<Buffer> {
  for await (const piece of bytes) yield Buffer.from(piece as Uint8Array);
}
