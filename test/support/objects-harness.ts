import { DeleteObjectCommand, GetObjectCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { chmod, mkdtemp, open, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createReadStream, createWriteStream } from 'node:fs';
import { digestBytes } from '../../src/rails/digest.js';
import { type ObjectKey } from '../../src/rails/ref.js';
import { type ChildTask, type ObjectsHarness, type Tampering } from '../../src/substrate/objects/contract/kit.js';
import { encodeSeal, SEAL_BYTES } from '../../src/substrate/objects/seal.core.js';
import { type S3ObjectsOptions } from '../../src/substrate/objects/s3.options.js';
import { type SoakTask } from './objects-soak.js';
import { openStore, STORE_VARIABLE, type StoreSpec } from './objects-store.js';

/** `npm run build:test` compiles it. */
const CHILD = '.build/test/support/objects-child.js';

export function temporaryFolder(): Promise<string> {
  return mkdtemp(join(tmpdir(), 'probity objects-'));
}

export function startChild(
  spec: StoreSpec,
  task: ChildTask | SoakTask,
  nodeOptions: readonly string[] = [],
): ChildProcessByStdio<null, Readable, Readable> {
  return spawn(process.execPath, [...nodeOptions, CHILD, JSON.stringify(task)], {
    // Jest's own flags are not for the child.
    env: { ...process.env, NODE_OPTIONS: '--no-warnings', [STORE_VARIABLE]: JSON.stringify(spec) },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}

/** Runs a task to its end. */
export async function runChild(spec: StoreSpec, task: ChildTask, heapMb = 256): Promise<unknown> {
  const child = startChild(spec, task, ['--expose-gc', `--max-old-space-size=${heapMb}`]);
  const [output, complaint, code] = await Promise.all([
    textOf(child.stdout),
    textOf(child.stderr),
    new Promise<number | null>((resolve) => child.once('close', resolve)),
  ]);
  if (code !== 0) throw new Error(`the child ended with ${code ?? 'a signal'}: ${complaint.slice(-2_000)}`);
  return JSON.parse(output) as unknown;
}

async function textOf(stream: Readable): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks).toString('utf8');
}

/** The files adapter on a folder of its own, with a blank in its name. */
export async function filesHarness(): Promise<ObjectsHarness> {
  const folder = await temporaryFolder();
  const spec: StoreSpec = { kind: 'files', folder };
  return {
    open: () => openStore(spec),
    tamper: (key, tampering) => tamperFile(join(folder, 'objects', `${key}!`), tampering),
    run: (task, heapMb) => runChild(spec, task, heapMb),
    close: () => rm(folder, { recursive: true }),
  };
}

/** The bytes and the record of a stored file may be changed by anybody who may write in the folder. */
export async function tamperFile(path: string, tampering: Tampering): Promise<void> {
  await chmod(path, 0o640);
  switch (tampering.how) {
    case 'flip': {
      const handle = await open(path, 'r+');
      const byte = Buffer.alloc(1);
      await handle.read(byte, 0, 1, tampering.offset);
      await handle.write(Buffer.from([byte.readUInt8() ^ 1]), 0, 1, tampering.offset);
      return handle.close();
    }
    case 'truncate': {
      const stored = await readFile(path);
      const size = stored.byteLength - SEAL_BYTES;
      // The seal is put back behind what is left: an attack rather than an accident.
      await writeFile(path, Buffer.concat([stored.subarray(0, size - tampering.bytes), stored.subarray(size)]));
      return;
    }
    case 'extend': {
      const stored = await readFile(path);
      const size = stored.byteLength - SEAL_BYTES;
      const more = Buffer.alloc(tampering.bytes, 'x');
      await writeFile(path, Buffer.concat([stored.subarray(0, size), more, stored.subarray(size)]));
      return;
    }
    case 'remove':
      await rm(path);
      return;
    case 'replace': {
      const { by } = tampering;
      const seal = { digest: digestBytes(by), size: by.byteLength, mediaType: 'application/octet-stream' };
      await truncate(path, 0);
      await writeFile(path, Buffer.concat([by, encodeSeal(seal)]));
    }
  }
}

/** The server that the environment names; a run without it fails rather than passes. */
export function s3Options(change: Partial<S3ObjectsOptions> & Pick<S3ObjectsOptions, 'spoolFolder'>): S3ObjectsOptions {
  return {
    endpoint: variable('S3_ENDPOINT'),
    region: 'us-east-1',
    bucket: 'probity-test',
    forcePathStyle: true,
    createBucket: true,
    accessKeyId: variable('S3_ACCESS_KEY_ID'),
    secretAccessKey: variable('S3_SECRET_ACCESS_KEY'),
    ...change,
  };
}

export function variable(name: string): string {
  const value = process.env[name];
  if (value === undefined || value === '') throw new Error(`set ${name}: these tests run on a real server`);
  return value;
}

/** A client beside the adapter, as anybody with the same rights has one. */
export function rawClient(options: S3ObjectsOptions): S3Client {
  return new S3Client({
    ...(options.endpoint === undefined ? {} : { endpoint: options.endpoint }),
    region: options.region,
    forcePathStyle: options.forcePathStyle,
    credentials: { accessKeyId: options.accessKeyId, secretAccessKey: options.secretAccessKey },
  });
}

export async function s3Harness(bucket = 'probity-test'): Promise<ObjectsHarness> {
  const folder = await temporaryFolder();
  const options = s3Options({ bucket, spoolFolder: folder });
  const spec: StoreSpec = { kind: 's3', options };
  const client = rawClient(options);
  return {
    open: () => openStore(spec),
    tamper: (key, tampering) => tamperObject(client, options.bucket, key, tampering, join(folder, 'tampered')),
    run: (task, heapMb) => runChild(spec, task, heapMb),
    close: async () => {
      client.destroy();
      await rm(folder, { recursive: true });
    },
  };
}

/** Overwrites text of an object, with the metadata that it had. @returns the way back */
export async function spoiltObject(
  bucket: string,
  key: string,
  from: string,
  to: string,
): Promise<() => Promise<void>> {
  const client = rawClient(s3Options({ bucket, spoolFolder: tmpdir() }));
  const place = { Bucket: bucket, Key: `${key}!` };
  const { Body, ContentType, Metadata } = await client.send(new GetObjectCommand(place));
  const before = await Body?.transformToByteArray();
  if (before === undefined) throw new Error('no body came');
  const put = async (bytes: Uint8Array): Promise<void> => {
    await client.send(new PutObjectCommand({ ...place, Body: bytes, ContentType, Metadata }));
  };
  await put(Buffer.from(Buffer.from(before).toString('latin1').replace(from, to), 'latin1'));
  return async () => {
    await put(before);
    client.destroy();
  };
}

/** Overwrites the object with changed bytes and, save for `replace`, the metadata that it had. */
async function tamperObject(
  client: S3Client,
  bucket: string,
  key: ObjectKey,
  tampering: Tampering,
  scratch: string,
): Promise<void> {
  const place = { Bucket: bucket, Key: `${key}!` };
  if (tampering.how === 'remove') {
    await client.send(new DeleteObjectCommand(place));
    return;
  }
  const standing = await client.send(new GetObjectCommand(place));
  if (!(standing.Body instanceof Readable)) throw new Error('no body came');
  await pipeline(standing.Body, createWriteStream(scratch));
  const size = standing.ContentLength ?? 0;
  const sealed = Buffer.alloc(SEAL_BYTES);
  // The scratch file gets a tail, so that the same hands tamper with both kinds of stores.
  await writeFile(scratch, sealed, { flag: 'a' });
  await tamperFile(scratch, tampering);
  const changed = { flip: 0, truncate: -1, extend: 1, replace: 0 }[tampering.how];
  const bytes =
    tampering.how === 'replace'
      ? tampering.by.byteLength
      : size + changed * (tampering.how === 'flip' ? 0 : tampering.bytes);
  await client.send(
    new PutObjectCommand({
      ...place,
      Body: bytes === 0 ? Buffer.alloc(0) : createReadStream(scratch, { end: bytes - 1, highWaterMark: 256 * 1024 }),
      ContentLength: bytes,
      ContentType: standing.ContentType,
      Metadata:
        tampering.how === 'replace'
          ? { ...standing.Metadata, 'probity-sha256': digestBytes(tampering.by) }
          : standing.Metadata,
    }),
  );
}
