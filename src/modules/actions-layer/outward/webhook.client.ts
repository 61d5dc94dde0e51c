import { Agent as HttpAgent, request as httpRequest, type RequestOptions } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import type { Clock } from '../../../substrate/clock/clock.port.js';
import { AddressRefused, guardedLookup, literalAllowed, type Resolve, systemResolve } from './address-guard.js';
import type { Answer } from './attempt.core.js';

/** Nobody reads more of an answer than its status; as much as this is read so that the connection can be used again. */
const ANSWER_BYTES_MAX = 65_536;
const REF = /^[!-~]{1,200}$/;

export interface WebhookRequest {
  readonly method: 'POST' | 'GET';
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly timeoutMs: number;
  readonly allowPrivate: boolean;
}

/** Speaks to targets, each request once: no redirect is followed, nothing is repeated here. */
export class WebhookClient {
  /** Apart, so that no connection into one's own network is lent to a target that may not have one. */
  readonly #open = agents();
  readonly #guarded = agents();
  readonly #lookup;

  constructor(
    private readonly clock: Clock,
    resolve: Resolve = systemResolve,
  ) {
    this.#lookup = guardedLookup(resolve);
  }

  close(): void {
    for (const { http, https } of [this.#open, this.#guarded]) {
      http.destroy();
      https.destroy();
    }
  }

  /** It never rejects: whatever goes wrong is an answer. */
  async send({ method, url, headers, body, timeoutMs, allowPrivate }: WebhookRequest): Promise<Answer> {
    if (!allowPrivate && !literalAllowed(url.hostname)) return { kind: 'refused' };
    const kept = allowPrivate ? this.#open : this.#guarded;
    const secure = url.protocol === 'https:';
    const over = new AbortController();
    const settled = new AbortController();
    void this.clock.sleep(timeoutMs, settled.signal).then(() => {
      over.abort();
    });
    const options: RequestOptions = {
      method,
      headers: {
        ...headers,
        'user-agent': 'probity',
        ...(body === undefined
          ? {}
          : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }),
      },
      agent: secure ? kept.https : kept.http,
      signal: over.signal,
      ...(allowPrivate ? {} : { lookup: this.#lookup }),
    };
    return await new Promise<Answer>((answer) => {
      const sending = secure ? httpsRequest(url, options) : httpRequest(url, options);
      let sent = false;
      sending.once('socket', (socket) => {
        // From here on some of the request may have arrived, whatever happens.
        const connected = (): void => {
          sent = true;
        };
        if (sending.reusedSocket) connected();
        else socket.once(secure ? 'secureConnect' : 'connect', connected);
      });
      sending.once('response', (response) => {
        let bytes = 0;
        response.on('data', (chunk: Buffer) => {
          bytes += chunk.length;
          if (bytes > ANSWER_BYTES_MAX) response.destroy();
        });
        response.on('error', () => undefined);
        // The rest of the answer has the same time, and nobody waits for it.
        response.once('close', () => {
          settled.abort();
        });
        const ref = response.headers['x-request-id'];
        answer({
          kind: 'answered',
          status: response.statusCode ?? 0,
          retryAfter: response.headers['retry-after'],
          ref: typeof ref === 'string' && REF.test(ref) ? ref : undefined,
        });
      });
      // It stays: an answer that is cut off after its status is told here as well.
      sending.on('error', (error) => {
        settled.abort();
        answer(error instanceof AddressRefused ? { kind: 'refused' } : { kind: 'failed', sent });
      });
      sending.end(body);
    });
  }
}

function agents() {
  return { http: new HttpAgent({ keepAlive: true }), https: new HttpsAgent({ keepAlive: true }) };
}
