import { isUtf8 } from 'node:buffer';
import type { Socket } from 'node:net';
import { pipeline, Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { RouteConfig } from '@nestjs/platform-fastify';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { ProbityError } from '../../rails/errors/probity-error.js';

const STREAMED = 'probityStreamedBody';

/** What stands in the configuration of a streamed route. */
export const STREAMED_ROUTE = { [STREAMED]: true } as const;

/** For a route that reads its body itself, piece by piece: `request.body` is then the raw stream, whatever its media type. */
export const StreamedBody = (): MethodDecorator => RouteConfig(STREAMED_ROUTE);

/**
 * A client of a streamed route must give so many bytes in each span of the server's request timeout that is spent waiting
 * for it. Without a floor a byte a minute would hold a connection for ever; time in which we do not read is not its fault.
 */
const PROGRESS_BYTES_MIN = 1_024;

/** What is read and thrown away of a body that is too large, as a multiple of the limit, so that the client hears why. */
const DISCARD_FACTOR = 4;

/**
 * How bodies are read. JSON is parsed as everywhere, save on streamed routes: a door that must keep the very bytes, or take
 * more of them than fit into memory, cannot have them parsed before it sees them.
 */
export function installBodies(fastify: FastifyInstance, bytesMax: number): void {
  const parseJson = fastify.getDefaultJsonParser('error', 'error');
  const streaming = exemptFromRequestTimeout(fastify);
  fastify.removeContentTypeParser(['application/json', 'text/plain']);
  fastify.addContentTypeParser('*', (request, payload, done) => {
    if (isStreamed(request)) {
      streaming.add(request.raw.socket);
      done(null, payload);
      return;
    }
    if (!isJson(mediaTypeOf(request))) {
      done(new ProbityError('HTTP_MEDIA_TYPE_UNSUPPORTED', 'this route takes application/json'), undefined);
      return;
    }
    wholeText(request, payload, bytesMax).then(
      (text) => parseJson(request, text, done),
      (error: unknown) => done(error as Error, undefined),
    );
  });
}

/**
 * Node counts its request timeout from the first byte to the last, so it would cut off a long body for being long. While a
 * streamed route reads one, `bodyOf` watches that it goes on instead. Gives the connections on which one does.
 */
function exemptFromRequestTimeout(fastify: FastifyInstance): WeakSet<Socket> {
  const streaming = new WeakSet<Socket>();
  const { server } = fastify;
  // Where the time for the headers is the longer one, Node takes the two for each other, and requests get the time of headers.
  if (server.requestTimeout > 0) server.headersTimeout = Math.min(server.headersTimeout, server.requestTimeout);
  const handlers = server.listeners('clientError') as ((error: Error, socket: Socket) => void)[];
  server.removeAllListeners('clientError');
  server.on('clientError', (error: NodeJS.ErrnoException, socket: Socket) => {
    if (error.code === 'ERR_HTTP_REQUEST_TIMEOUT' && streaming.has(socket)) return;
    for (const handler of handlers) handler.call(server, error, socket);
  });
  fastify.addHook('onResponse', (request, _reply, done) => {
    const { raw } = request;
    if (!streaming.delete(raw.socket) || raw.complete) {
      done();
      return;
    }
    // Answered before the end of the body: the rest is thrown away, or the client would never stop sending it. Within a bound
    // of time, for Node has already used up its own on this request.
    const timer = setTimeout(() => raw.socket.destroy(), server.requestTimeout || 30_000);
    timer.unref();
    raw.once('close', () => clearTimeout(timer)).resume();
    done();
  });
  return streaming;
}

function isStreamed(request: FastifyRequest): boolean {
  return Reflect.get(request.routeOptions.config, STREAMED) === true;
}

/**
 * The media type that a body was sent as, in lower case and without parameters; empty where none was named.
 * @throws ProbityError HTTP_MEDIA_TYPE_UNSUPPORTED for text in another charset than UTF-8, which nobody here would decode
 */
export function mediaTypeOf(request: FastifyRequest): string {
  const [type = '', ...parameters] = (request.headers['content-type'] ?? '').toLowerCase().split(';');
  for (const parameter of parameters) {
    const [name, value = ''] = parameter.split('=').map((part) => part.trim().replaceAll('"', ''));
    if (name === 'charset' && !['utf-8', 'utf8', 'us-ascii'].includes(value)) {
      throw new ProbityError('HTTP_MEDIA_TYPE_UNSUPPORTED', 'the charset is not UTF-8');
    }
  }
  return type.trim();
}

/** `application/json`, or a type that says by its suffix that it is JSON. */
export function isJson(mediaType: string): boolean {
  return /^application\/([a-z0-9.+-]+\+)?json$/.test(mediaType);
}

/**
 * The body of a streamed route, unpacked where it was sent with gzip; nothing where there was none. Leaving off before its end
 * leaves the connection open, so that an answer can still go out.
 *
 * @throws ProbityError HTTP_MEDIA_TYPE_UNSUPPORTED at once; HTTP_REQUEST_TIMEOUT, HTTP_BODY_INVALID while it is read
 */
export function bodyOf(request: FastifyRequest): AsyncIterable<Buffer> {
  return unpacked(request, request.body as Readable | undefined | null);
}

function unpacked(request: FastifyRequest, body: Readable | undefined | null): AsyncIterable<Buffer> {
  if (body === undefined || body === null) return (async function* () {})();
  const pieces = piecesOf(body, request.server.server.requestTimeout);
  const encoding = (request.headers['content-encoding'] ?? 'identity').trim().toLowerCase();
  if (encoding === 'identity') return pieces;
  if (encoding !== 'gzip' && encoding !== 'x-gzip') {
    throw new ProbityError('HTTP_MEDIA_TYPE_UNSUPPORTED', 'the content encoding is neither gzip nor identity');
  }
  return gunzipped(pieces);
}

async function* gunzipped(pieces: AsyncIterable<Buffer>): AsyncGenerator<Buffer, void> {
  const gunzip = createGunzip();
  // What ends the source ends the reader, too, or it would wait for bytes that never come.
  pipeline(Readable.from(pieces), gunzip, () => undefined);
  try {
    for await (const piece of gunzip as AsyncIterable<Buffer>) yield piece;
  } catch (error) {
    throw unreadable(error);
  }
}

/** What arrives, as long as it goes on arriving. */
async function* piecesOf(body: Readable, spanMs: number): AsyncGenerator<Buffer, void> {
  // Destroying the stream would destroy the connection, and with it the answer that says what was wrong.
  const source = body.iterator({ destroyOnReturn: false });
  const pace = new Pace(spanMs);
  try {
    for (;;) {
      const next: Promise<IteratorResult<Buffer, undefined>> = source.next() as never;
      const { done, value } = await pace.within(next);
      if (done === true) return;
      pace.took(value.byteLength);
      yield value;
    }
  } catch (error) {
    throw unreadable(error);
  } finally {
    // Not awaited: where a piece is still being waited for, the iterator ends only after it.
    void source.return?.(undefined).catch(() => undefined);
  }
}

/** Whether a client goes on sending: see PROGRESS_BYTES_MIN. */
class Pace {
  #leftMs: number;
  #bytes = 0;

  constructor(private readonly spanMs: number) {
    this.#leftMs = spanMs;
  }

  took(bytes: number): void {
    this.#bytes += bytes;
    if (this.#bytes < PROGRESS_BYTES_MIN) return;
    this.#bytes = 0;
    this.#leftMs = this.spanMs;
  }

  async within<Value>(piece: Promise<Value>): Promise<Value> {
    // Zero is Node's way to say that there is no limit.
    if (this.spanMs === 0) return await piece;
    const startedMs = performance.now();
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(
        () => reject(new ProbityError('HTTP_REQUEST_TIMEOUT', 'the body stopped arriving')),
        Math.max(1, this.#leftMs),
      );
    });
    try {
      return await Promise.race([piece, late]);
    } finally {
      clearTimeout(timer);
      this.#leftMs -= performance.now() - startedMs;
      piece.catch(() => undefined);
    }
  }
}

/**
 * The whole body, where it is no longer than that. @throws ProbityError HTTP_BODY_TOO_LARGE, HTTP_BODY_INVALID,
 * HTTP_REQUEST_TIMEOUT
 */
export async function collect(body: AsyncIterable<Buffer>, bytesMax: number): Promise<Buffer> {
  const pieces: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const piece of body) {
      bytes += piece.byteLength;
      if (bytes <= bytesMax) pieces.push(piece);
      else if (bytes > DISCARD_FACTOR * bytesMax) break;
      // Read on without keeping it: who is cut off while sending seldom reads the answer.
      else pieces.length = 0;
    }
  } catch (error) {
    throw unreadable(error);
  }
  if (bytes > bytesMax) throw new ProbityError('HTTP_BODY_TOO_LARGE', `the body is larger than ${bytesMax} bytes`);
  return Buffer.concat(pieces);
}

async function wholeText(request: FastifyRequest, payload: Readable, bytesMax: number): Promise<string> {
  const bytes = await collect(unpacked(request, payload), bytesMax);
  // Decoding would put replacement characters where the bytes are wrong, and nobody would know.
  if (!isUtf8(bytes)) throw new ProbityError('HTTP_BODY_INVALID', 'the body is not UTF-8');
  return bytes.toString('utf8');
}

function unreadable(error: unknown): ProbityError {
  if (error instanceof ProbityError) return error;
  return new ProbityError('HTTP_BODY_INVALID', 'the body could not be read to its end', { cause: error });
}
