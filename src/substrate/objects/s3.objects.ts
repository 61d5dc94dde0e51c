import {
  CreateBucketCommand,
  GetObjectCommand,
  HeadBucketCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
  type HeadObjectCommandOutput,
} from '@aws-sdk/client-s3';
import { Upload } from '@aws-sdk/lib-storage';
import { randomUUID } from 'node:crypto';
import { Readable } from 'node:stream';
import { digestBytes, isDigest } from '../../rails/digest.js';
import { ProbityError } from '../../rails/errors/probity-error.js';
import { refTo, type ObjectKey, type Ref } from '../../rails/ref.js';
import { type Clock } from '../clock/clock.port.js';
import { type Health } from '../health.js';
import {
  checkExpected,
  checkKey,
  checkPage,
  checkPut,
  checkRange,
  checkRead,
  checkRef,
  judgeStanding,
  mismatch,
  notFound,
  storedName,
} from './objects.core.js';
import { Objects, type ByteRange, type ObjectListing, type PutOptions, type PutResult } from './objects.port.js';
import { s3Error, s3Fault, type S3Fault } from './s3.errors.js';
import { type Listed, listPage, type Stretch } from './s3.listing.js';
import { SILENT, type S3ObjectsOptions } from './s3.options.js';
import { resumed } from './s3.resume.js';
import { contentOf, Spool, type Content } from './spool.js';
import { verified, verifiedRange, verify } from './verified.js';

const MIB = 1024 * 1024;

/** Up to here a stream is held in memory and sent as a buffer, which the client can send again by itself. */
const MEMORY_BYTES_MAX = MIB;

/** Two parts of 16 MiB under way at a time: 32 MiB of memory, and up to 160 GB in the 10,000 parts that S3 allows. */
const PART_BYTES = 16 * MIB;
const PARTS_AT_A_TIME = 2;
const PARTS_MAX = 10_000;

/** Metadata of an object: the digest of its bytes, and which call of putIfAbsent stored it. */
const DIGEST_FIELD = 'probity-sha256';
const PUT_FIELD = 'probity-put';

/**
 * Objects in a bucket of an S3-compatible server.
 *
 * The digest stands in the object's metadata, which S3 wants before the first byte, while a stream's digest is known
 * after its last. So a stream is first spooled to the local disk. That costs a disk's time and room once, and buys: one
 * request that stores bytes, metadata and condition together or not at all, a checksum that the server verifies over the
 * whole object, trials that can start anew, and nothing sent at all when the source fails or the bytes are not those
 * expected. Parts sent as they come would leave half uploads behind a killed process, and the digest in a second object.
 *
 * A put that is refused because the key is taken may be refused by itself: when the answer to the first trial is lost,
 * the second one finds the object. Each call therefore puts a name of its own into the metadata, and whoever is refused
 * looks whose object stands there.
 */
export class S3Objects extends Objects {
  readonly kind = 's3';
  readonly #client: S3Client;
  readonly #bucket: string;
  readonly #spool: Spool;
  readonly #singlePutBytesMax: number;
  readonly #attemptsMax: number;
  #closed = false;

  private constructor(
    options: S3ObjectsOptions,
    readonly clock: Clock,
  ) {
    super();
    this.#bucket = options.bucket;
    this.#attemptsMax = options.attemptsMax ?? 3;
    this.#singlePutBytesMax = options.singlePutBytesMax ?? 5 * 1024 * MIB;
    this.#spool = new Spool({
      folder: options.spoolFolder,
      memoryBytesMax: MEMORY_BYTES_MAX,
      diskBytesMax: options.spoolBytesMax ?? 64 * 1024 * MIB,
    });
    this.#client = clientOf(options, this.#attemptsMax);
  }

  /** @throws ProbityError OBJECTS_FORBIDDEN, or OBJECTS_UNAVAILABLE, also when there is no bucket */
  static async open(options: S3ObjectsOptions, clock: Clock): Promise<S3Objects> {
    const store = new S3Objects(options, clock);
    try {
      await store.#ensureBucket(options.createBucket);
      return store;
    } catch (error) {
      store.#client.destroy();
      throw s3Error(error, 'opening the bucket');
    }
  }

  async #ensureBucket(mayCreate: boolean): Promise<void> {
    try {
      await this.#client.send(new HeadBucketCommand({ Bucket: this.#bucket }));
    } catch (error) {
      if (s3Fault(error).meaning !== 'MISSING') throw error;
      if (!mayCreate) {
        throw new ProbityError('OBJECTS_UNAVAILABLE', `there is no bucket ${this.#bucket}, and none may be made`);
      }
      try {
        await this.#client.send(new CreateBucketCommand({ Bucket: this.#bucket }));
      } catch (refusal) {
        // Another process of the platform started at the same moment.
        if (s3Fault(refusal).reason !== 'BucketAlreadyOwnedByYou') throw refusal;
      }
    }
  }

  override async putIfAbsent(
    key: ObjectKey,
    body: Uint8Array | AsyncIterable<Uint8Array>,
    options: PutOptions,
  ): Promise<PutResult> {
    checkPut(key, options);
    this.#mustBeOpen();
    const content = body instanceof Uint8Array ? contentOf(body, digestBytes(body)) : await this.#spool.take(key, body);
    try {
      checkExpected(key, content.digest, options.expect);
      return await this.#place(key, content, options.mediaType);
    } finally {
      await content.close();
    }
  }

  async #place(key: ObjectKey, content: Content, mediaType: string): Promise<PutResult> {
    const { digest, size } = content;
    const putId = randomUUID();
    // Megabytes are not sent to hear that the key is taken. Some servers answer so before they have read the body, and
    // close the connection on the client, which then sees a broken connection instead of the answer.
    if (size > MEMORY_BYTES_MAX) {
      const standing = await this.#standing(key);
      if (standing !== null) return this.#meet(standing, content, putId);
    }
    for (let attempt = 1; ; attempt += 1) {
      try {
        await this.#send(key, content, mediaType, putId);
        return { outcome: 'NEW', ref: refTo(key, digest, size, mediaType), offered: digest };
      } catch (error) {
        const fault = s3Fault(error);
        if (fault.meaning !== 'TAKEN' && fault.meaning !== 'AGAIN') throw s3Error(error, 'the put', key);
        // A put that failed may have been done; look before it is tried again or given up.
        const standing = await this.#standing(key);
        if (standing !== null) return this.#meet(standing, content, putId);
        if (!this.#isTriedAgain(fault, content) || attempt >= this.#attemptsMax) throw s3Error(error, 'the put', key);
        await this.#pause(attempt);
      }
    }
  }

  /** What the client itself has tried again is not tried again here: a hung server would hold a call for 9 trials. */
  #isTriedAgain({ meaning, status }: S3Fault, content: Content): boolean {
    // Taken, and then nothing there: seen where a delete marker of somebody else's stands.
    if (meaning === 'TAKEN') return true;
    const sentAsOneStream = content.bytes === null && content.size <= this.#singlePutBytesMax;
    // Two puts at once (409) and bytes damaged on the way (400) are final to the client.
    return sentAsOneStream || (status !== null && status < 500);
  }

  /** The key was taken. A DUPLICATE is an acknowledgement like any other, so the bytes that stand are read and hashed. */
  async #meet(standing: Standing, offered: Content, putId: string): Promise<PutResult> {
    const { ref } = standing;
    if (standing.putId === putId) return { outcome: 'NEW', ref, offered: offered.digest };
    const result = judgeStanding(ref, offered.digest);
    if (result.outcome === 'DUPLICATE') await verify(ref, this.#contents(ref));
    return result;
  }

  /** One trial; what it rejects with is the client's error. */
  async #send(key: ObjectKey, content: Content, mediaType: string, putId: string): Promise<void> {
    const params = {
      Bucket: this.#bucket,
      Key: storedName(key),
      ContentType: mediaType,
      ContentLength: content.size,
      Metadata: { [DIGEST_FIELD]: content.digest, [PUT_FIELD]: putId },
      IfNoneMatch: '*',
    };
    const body = content.bytes ?? content.stream();
    const abort = new AbortController();
    // The client pipes a stream into its request: a stream that fails would leave the request waiting for the rest.
    if (body instanceof Readable) body.once('error', () => abort.abort());
    try {
      if (content.size > this.#singlePutBytesMax) {
        await this.#sendParts({ ...params, Body: body }, content.size, abort);
        return;
      }
      const command = new PutObjectCommand({
        ...params,
        Body: body,
        ChecksumSHA256: Buffer.from(content.digest, 'hex').toString('base64'),
      });
      // The signature covers the body by this header; without it the client would hash a buffer a second time, and send a
      // stream unsigned.
      command.middlewareStack.add(
        (next) => (args) => {
          if (hasHeaders(args.request)) args.request.headers['x-amz-content-sha256'] = content.digest;
          return next(args);
        },
        { step: 'build', name: 'probityPayloadDigest' },
      );
      await this.#client.send(command, { abortSignal: abort.signal });
    } finally {
      if (body instanceof Readable) body.destroy();
    }
  }

  /** The condition is checked when the parts are joined; until then, and when it fails, nothing is visible. */
  async #sendParts(
    params: { Bucket: string; Key: string; ContentLength: number; Body: Readable | Uint8Array },
    size: number,
    abortController: AbortController,
  ): Promise<void> {
    const upload = new Upload({
      client: this.#client,
      params,
      partSize: Math.max(PART_BYTES, Math.ceil(size / PARTS_MAX)),
      queueSize: PARTS_AT_A_TIME,
      leavePartsOnError: false,
      abortController,
    });
    await upload.done();
  }

  override async read(ref: Ref, options?: { readonly bytesMax?: number }): Promise<Buffer> {
    checkRead(ref, options?.bytesMax);
    const bytes = Buffer.allocUnsafe(ref.size);
    let offset = 0;
    for await (const chunk of verified(ref, this.#contents(ref))) {
      bytes.set(chunk, offset);
      offset += chunk.byteLength;
    }
    return bytes;
  }

  override open(ref: Ref): AsyncIterable<Uint8Array> {
    checkRef(ref);
    return verified(ref, this.#contents(ref));
  }

  override async readRange(ref: Ref, range: ByteRange): Promise<Buffer> {
    checkRange(ref, range);
    return verifiedRange(ref, this.#contents(ref), range);
  }

  #contents(ref: Ref): AsyncGenerator<Uint8Array> {
    return resumed(ref, {
      get: (offset) => this.#get(ref, offset),
      attemptsMax: this.#attemptsMax,
      pause: (failures) => this.#pause(failures),
    });
  }

  /** @throws ProbityError OBJECTS_NOT_FOUND; OBJECTS_DIGEST_MISMATCH when the length alone tells */
  async #get(ref: Ref, offset: number): Promise<Readable> {
    this.#mustBeOpen();
    const key = ref.locator;
    try {
      const answer = await this.#client.send(
        new GetObjectCommand({
          Bucket: this.#bucket,
          Key: storedName(key),
          ...(offset === 0 ? {} : { Range: `bytes=${offset}-` }),
        }),
      );
      if (!(answer.Body instanceof Readable)) throw new ProbityError('OBJECTS_UNAVAILABLE', `no body came of ${key}`);
      if (answer.ContentLength !== ref.size - offset) {
        answer.Body.destroy();
        const found = (answer.ContentLength ?? 0) + offset;
        throw mismatch(key, ref.digest.hex, null, `there are ${found} bytes instead of ${ref.size}`);
      }
      return answer.Body;
    } catch (error) {
      const { meaning, reason } = s3Fault(error);
      if (meaning === 'MISSING') throw notFound(key);
      // It got shorter than where we are, since the first part of it was read.
      if (reason === 'InvalidRange') throw mismatch(key, ref.digest.hex, null, `it ends before byte ${offset}`);
      throw s3Error(error, 'the reading', key);
    }
  }

  override async head(key: ObjectKey): Promise<Ref | null> {
    checkKey(key);
    this.#mustBeOpen();
    return (await this.#standing(key))?.ref ?? null;
  }

  async #standing(key: ObjectKey): Promise<Standing | null> {
    try {
      const answer = await this.#client.send(new HeadObjectCommand({ Bucket: this.#bucket, Key: storedName(key) }));
      return standingOf(key, answer);
    } catch (error) {
      if (s3Fault(error).meaning === 'MISSING') return null;
      throw s3Error(error, 'the look-up', key);
    }
  }

  override async list(
    prefix: string,
    options?: { readonly after?: ObjectKey; readonly limit?: number },
  ): Promise<ObjectListing> {
    const page = checkPage(prefix, options);
    this.#mustBeOpen();
    try {
      return await listPage((stretch, namesMax) => this.#names(stretch, namesMax), page);
    } catch (error) {
      throw s3Error(error, 'the listing');
    }
  }

  async #names({ prefix, startAfter }: Stretch, namesMax: number): Promise<Listed> {
    const answer = await this.#client.send(
      new ListObjectsV2Command({
        Bucket: this.#bucket,
        Prefix: prefix,
        MaxKeys: namesMax,
        ...(startAfter === undefined ? {} : { StartAfter: startAfter }),
      }),
    );
    const entries = (answer.Contents ?? []).map(({ Key: name = '', Size: size = 0 }) => ({ name, size }));
    return { entries, truncated: answer.IsTruncated === true };
  }

  override async health(): Promise<Health> {
    const startMs = this.clock.monotonicMs();
    const tookMs = (): number => this.clock.monotonicMs() - startMs;
    if (this.#closed) return { ok: false, detail: 'The object store is closed.', tookMs: 0 };
    try {
      await this.#client.send(new HeadBucketCommand({ Bucket: this.#bucket }));
      return { ok: true, detail: `The bucket ${this.#bucket} answered.`, tookMs: tookMs() };
    } catch (error) {
      const fault = s3Error(error, `asking for the bucket ${this.#bucket}`);
      return { ok: false, detail: `${fault.detail}.`, tookMs: tookMs() };
    }
  }

  override close(): Promise<void> {
    this.#closed = true;
    this.#client.destroy();
    return Promise.resolve();
  }

  #mustBeOpen(): void {
    if (this.#closed) throw new ProbityError('OBJECTS_UNAVAILABLE', 'the object store is closed');
  }

  /** 50, 100, 200 … ms, at most 1 s, and half of it by chance: fifty writers that collided do not meet again. */
  #pause(failures: number): Promise<void> {
    return this.clock.sleep(Math.min(25 * 2 ** failures, 1_000) * (0.5 + Math.random() / 2));
  }
}

interface Standing {
  readonly ref: Ref;
  readonly putId: string | null;
}

function standingOf(key: ObjectKey, answer: HeadObjectCommandOutput): Standing {
  const digest = answer.Metadata?.[DIGEST_FIELD];
  if (!isDigest(digest) || answer.ContentLength === undefined || answer.ContentType === undefined) {
    throw new ProbityError('OBJECTS_DIGEST_MISMATCH', `${key} carries no digest of the platform`, { data: { key } });
  }
  const ref = refTo(key, digest, answer.ContentLength, answer.ContentType);
  return { ref, putId: answer.Metadata?.[PUT_FIELD] ?? null };
}

function hasHeaders(request: unknown): request is { headers: Record<string, string> } {
  return typeof request === 'object' && request !== null && 'headers' in request;
}

function clientOf(options: S3ObjectsOptions, attemptsMax: number): S3Client {
  const sockets = { keepAlive: true, maxSockets: options.socketsMax ?? 64 };
  return new S3Client({
    ...(options.endpoint === undefined ? {} : { endpoint: options.endpoint }),
    region: options.region,
    forcePathStyle: options.forcePathStyle,
    credentials: {
      accessKeyId: options.accessKeyId,
      secretAccessKey: options.secretAccessKey,
      ...(options.sessionToken === undefined ? {} : { sessionToken: options.sessionToken }),
    },
    maxAttempts: attemptsMax,
    // AWS and others refuse streams in chunks below 8 KiB.
    requestStreamBufferSize: 65_536,
    // Every byte that is read goes through the platform's own digest, which finds more than the client's checksum does:
    // that one is not tested for objects in parts, nor for ranges. Hashing twice took 10 MB from 1.1 to 1.5 times the
    // time of a bare GetObject.
    responseChecksumValidation: 'WHEN_REQUIRED',
    logger: SILENT,
    requestHandler: {
      connectionTimeout: options.connectionTimeoutMs ?? 3_000,
      socketTimeout: options.idleTimeoutMs ?? 15_000,
      httpAgent: sockets,
      httpsAgent: sockets,
      logger: SILENT,
    },
  });
}
