import { type Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { RouteConfig } from '@nestjs/platform-fastify';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { ProbityError } from '../../rails/errors/probity-error.js';

const STREAMED = 'probityStreamedBody';

/** For a route that reads its body itself, piece by piece: `request.body` is then the raw stream, whatever its media type. */
export const StreamedBody = (): MethodDecorator => RouteConfig({ [STREAMED]: true });

/**
 * How bodies are read. JSON is parsed as everywhere, save on streamed routes: a door that must keep the very bytes, or take
 * more of them than fit into memory, cannot have them parsed before it sees them.
 */
export function installBodies(fastify: FastifyInstance, bytesMax: number): void {
  const parseJson = fastify.getDefaultJsonParser('error', 'error');
  fastify.removeContentTypeParser(['application/json', 'text/plain']);
  fastify.addContentTypeParser('*', (request, payload, done) => {
    if (isStreamed(request)) done(null, payload);
    else if (!/^application\/([a-z0-9.+-]+\+)?json\b/i.test(request.headers['content-type'] ?? '')) {
      done(new ProbityError('HTTP_MEDIA_TYPE_UNSUPPORTED', 'this route takes application/json'), undefined);
    } else {
      collect(payload, bytesMax).then(
        (bytes) => parseJson(request, bytes.toString('utf8'), done),
        (error: unknown) => done(error as Error, undefined),
      );
    }
  });
}

function isStreamed(request: FastifyRequest): boolean {
  return Reflect.get(request.routeOptions.config, STREAMED) === true;
}

/** The body of a streamed route, unpacked where it was sent with gzip; an empty stream where there was none. */
export function bodyOf(request: FastifyRequest): AsyncIterable<Buffer> {
  const body = request.body as Readable | undefined;
  if (body === undefined || body === null) return (async function* () {})();
  const encoding = request.headers['content-encoding'] ?? 'identity';
  if (encoding === 'identity') return body;
  if (encoding !== 'gzip') {
    throw new ProbityError('HTTP_MEDIA_TYPE_UNSUPPORTED', 'the content encoding is neither gzip nor identity');
  }
  const gunzip = createGunzip();
  // An error of the connection must end the reader, too, or it would wait for bytes that never come.
  body.once('error', (error) => gunzip.destroy(error));
  return body.pipe(gunzip);
}

/** The whole body, where it is no longer than that. @throws ProbityError HTTP_BODY_TOO_LARGE, HTTP_BODY_INVALID */
export async function collect(body: AsyncIterable<Buffer>, bytesMax: number): Promise<Buffer> {
  const pieces: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const piece of body) {
      bytes += piece.byteLength;
      if (bytes > bytesMax) throw new ProbityError('HTTP_BODY_TOO_LARGE', `the body is larger than ${bytesMax} bytes`);
      pieces.push(piece);
    }
  } catch (error) {
    if (error instanceof ProbityError) throw error;
    throw new ProbityError('HTTP_BODY_INVALID', 'the body could not be read to its end', { cause: error });
  }
  return Buffer.concat(pieces);
}
