import { Agent as HttpAgent, type IncomingMessage, request as httpRequest } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { type Readable, type Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { isProbityError, ProbityError } from '../../rails/errors/probity-error.js';
import type { Clock } from '../../substrate/clock/clock.port.js';
import { endOf } from '../../substrate/clock/deadline.js';
import { errorOfProblem } from '../../substrate/rpc/rpc-errors.js';

/** Where the process that serves a role answers, and the key to call it with. */
export interface Address {
  readonly url: string;
  readonly key: string;
}

export interface ApiCall {
  readonly method: 'GET' | 'POST' | 'HEAD';
  /** With its query, from the slash on. */
  readonly path: string;
  readonly mediaType?: string;
  /** Text or bytes, or a way to begin a stream of them; a stream that can be read once only must not be repeated. */
  readonly body?: string | Buffer | (() => Readable);
  readonly accept?: string;
  /** Where the body of a good answer goes piece by piece, in place of memory. */
  readonly into?: () => Writable;
  /** False for what must not be sent a second time; everything else is repeated while its refusal is retryable. */
  readonly repeatable?: boolean;
}

export interface ApiAnswer {
  readonly status: number;
  readonly bytes: Buffer;
  /** The bytes as text. */
  readonly text: string;
}

export interface ApiClientOptions {
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** How long a retryable refusal is met with another attempt before it is told. */
  readonly patienceMs?: number;
  /** Told before each wait, so that a person knows why nothing moves. */
  readonly onWait?: (error: ProbityError, waitMs: number) => void;
}

const PATIENCE_MS = 60_000;
const WAIT_FIRST_MS = 100;
const WAIT_MAX_MS = 5_000;

/** An answer without a byte for so long is no answer: a process was stopped, or a network lost it. */
const SILENCE_MS = 60_000;

/** Servers of this program close idle connections after 5 s: ours end before, so that no request meets a closing one. */
const AGENT_SETTINGS = { keepAlive: true, timeout: 4_000 };

/**
 * The public HTTP interface as the commands use it. Refusals come back as the ProbityError that the problem document
 * describes, with its code and remedy; what is retryable is tried again, since everything behind these routes happens once however
 * often it is asked for (law R6).
 */
export class ApiClient {
  readonly #http = new HttpAgent(AGENT_SETTINGS);
  readonly #https = new HttpsAgent(AGENT_SETTINGS);

  constructor(private readonly options: ApiClientOptions) {}

  close(): void {
    this.#http.destroy();
    this.#https.destroy();
  }

  /**
   * The address is asked for at each attempt, since processes come and go.
   * @throws ProbityError of the problem that was answered; RPC_UNAVAILABLE, RPC_CANCELLED
   */
  async send(addressOf: () => Promise<Address>, call: ApiCall): Promise<ApiAnswer> {
    const { clock, signal, onWait, patienceMs = PATIENCE_MS } = this.options;
    const startMs = clock.monotonicMs();
    for (let waitMs = WAIT_FIRST_MS; ; waitMs = Math.min(WAIT_MAX_MS, waitMs * 2)) {
      try {
        return await this.#attempt(await addressOf(), call);
      } catch (error) {
        if (signal.aborted) throw endOf(signal);
        if (!isProbityError(error) || !error.retryable || call.repeatable === false) throw error;
        if (clock.monotonicMs() - startMs > patienceMs) throw error;
        const askedMs = error.data['retry_after_ms'];
        const pauseMs = typeof askedMs === 'number' ? Math.max(askedMs, waitMs) : waitMs;
        onWait?.(error, pauseMs);
        await clock.sleep(pauseMs, signal);
        demandGoingOn(signal);
      }
    }
  }

  async #attempt(address: Address, call: ApiCall): Promise<ApiAnswer> {
    const url = new URL(call.path, address.url);
    const answer = await this.#exchange(url, address.key, call);
    if (answer.status >= 200 && answer.status < 300) return answer;
    throw problemOf(answer, url, call.method);
  }

  #exchange(url: URL, key: string, call: ApiCall): Promise<Exchanged> {
    const [send, agent] = url.protocol === 'https:' ? [httpsRequest, this.#https] : [httpRequest, this.#http];
    const { body } = call;
    const headers: Record<string, string> = {
      authorization: `Bearer ${key}`,
      accept: call.accept ?? 'application/json, application/problem+json',
    };
    if (body !== undefined) headers['content-type'] = call.mediaType ?? 'application/json';
    if (body !== undefined && typeof body !== 'function') headers['content-length'] = String(Buffer.byteLength(body));
    return new Promise((resolve, reject) => {
      const { signal } = this.options;
      let answered = false;
      const fail = (error: unknown): void => {
        // A server may refuse before it has read the body, and then the writing fails: its answer is what counts.
        if (!answered) reject(failureOf(error, url, call));
      };
      const request = send(url, { method: call.method, agent, headers, signal }, (response) => {
        answered = true;
        const { statusCode: status = 0 } = response;
        const good = status >= 200 && status < 300;
        const reading = good && call.into !== undefined ? poured(response, call.into()) : read(response);
        reading.then(resolve, (error: unknown) => reject(failureOf(error, url, call)));
      });
      request.setTimeout(SILENCE_MS, () => request.destroy(new Error('no answer')));
      request.on('error', fail);
      if (typeof body === 'function') pipeline(body(), request).catch(fail);
      else request.end(body);
    });
  }
}

/** @throws ProbityError RPC_CANCELLED once the command was interrupted */
function demandGoingOn(signal: AbortSignal): void {
  if (signal.aborted) throw endOf(signal);
}

interface Exchanged extends ApiAnswer {
  readonly retryAfter?: string;
}

/** An answer that breaks off is a failure, and what was written of it is none. */
async function poured(response: IncomingMessage, into: Writable): Promise<Exchanged> {
  await pipeline(response, into);
  return { status: response.statusCode ?? 0, bytes: Buffer.alloc(0), text: '' };
}

async function read(response: IncomingMessage): Promise<Exchanged> {
  const pieces: Buffer[] = [];
  for await (const piece of response as AsyncIterable<Buffer>) pieces.push(piece);
  const retryAfter = response.headers['retry-after'];
  const bytes = Buffer.concat(pieces);
  return {
    status: response.statusCode ?? 0,
    bytes,
    text: bytes.toString('utf8'),
    ...(retryAfter === undefined ? {} : { retryAfter }),
  };
}

function problemOf(answer: Exchanged, url: URL, method: string): ProbityError {
  const error = errorOfProblem(parsed(answer.text));
  const waitS = Number(answer.retryAfter);
  if (error === undefined) {
    const detail = `${method} ${url.pathname} was answered ${answer.status} without a problem document`;
    // Proxies answer so in a server's place while it starts or stops.
    const code = [429, 502, 503, 504].includes(answer.status) ? 'RPC_UNAVAILABLE' : 'RPC_RESPONSE_INVALID';
    return new ProbityError(code, detail, { data: { status: answer.status } });
  }
  if (error.code === 'HTTP_NOT_FOUND')
    return new ProbityError(error.code, `${url.origin} does not serve ${method} ${url.pathname}`, { data: error.data });
  if (!(waitS > 0) || error.data['retry_after_ms'] !== undefined) return error;
  return new ProbityError(error.code, error.detail, { data: { ...error.data, retry_after_ms: waitS * 1_000 } });
}

function failureOf(error: unknown, url: URL, call: ApiCall): ProbityError {
  if (isProbityError(error)) return error;
  const code = typeof error === 'object' && error !== null && 'code' in error ? String(error.code) : 'no answer';
  const sentAndLost = call.repeatable === false && code !== 'ECONNREFUSED';
  return new ProbityError(
    sentAndLost ? 'RPC_OUTCOME_UNKNOWN' : 'RPC_UNAVAILABLE',
    `${url.origin} does not answer (${code})`,
    { cause: error },
  );
}

/** What is no JSON is no document of ours. */
function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
