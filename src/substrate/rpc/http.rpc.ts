import { Agent as HttpAgent, type IncomingMessage, request as httpRequest } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { ProbityError } from '../../rails/errors/probity-error.js';
import type { PortOf } from './rpc-contract.js';
import { type OutgoingCall, rpcClient, type RpcCallerParts, type RpcTransport } from './rpc-caller.js';
import { encode, RpcCodec } from './rpc-codec.js';
import { errorOfProblem } from './rpc-errors.js';
import { DEADLINE_HEADER, rpcPath } from './rpc-headers.js';
import type { RpcContract } from './rpc.port.js';

export interface HttpRpcOptions extends RpcCallerParts {
  /**
   * Where the owner's process answers, `http://ledger:8080`. Asked at each attempt, for processes come and go; undefined
   * while nobody is known to run the role, which is RPC_UNAVAILABLE.
   */
  readonly addressOf: () => string | undefined;
  /** The bearer value of this process, an API key or a JWT, asked for at each attempt, so that it can be renewed. */
  readonly credential: () => string | undefined | Promise<string | undefined>;
  /** Largest answer that is read; 16 MiB unless given. */
  readonly answerBytesMax?: number;
}

/** The port, and the hook of Nest that closes its connections when the application has stopped. */
export type HttpRpc<Contract extends RpcContract> = PortOf<Contract> & { readonly onApplicationShutdown: () => void };

const ANSWER_BYTES_MAX = 16 * 1_048_576;

/**
 * Idle connections are closed by us after 4 s, before a server of Node's defaults does after 5: a request that is sent into
 * a connection which the other side is just closing is lost, and nobody knows whether it was read.
 */
const IDLE_MS = 4_000;

/** Enough for every core of a callee to have a queue; calls beyond it wait here, under their own deadlines. */
const CONNECTIONS_MAX = 128;

const AGENT_SETTINGS = { keepAlive: true, timeout: IDLE_MS, maxSockets: CONNECTIONS_MAX };

/** Failures of connecting: the request has not left, so the callee has certainly done nothing. */
const NOT_SENT: ReadonlySet<string> = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENETDOWN',
  'EADDRNOTAVAIL',
]);

/** What proxies and stopping servers answer in the owner's place. */
const ELSEWHERE_STATUS: ReadonlySet<number> = new Set([404, 429, 502, 503, 504]);

/**
 * The binding for an owner in another process: `POST <base>/rpc/<role>/<method>`. It keeps connections of its own, which
 * end with the application: those of the global fetch belong to the process, and two applications would share them.
 */
export function httpRpc<Contract extends RpcContract>(contract: Contract, options: HttpRpcOptions): HttpRpc<Contract> {
  const transport = new HttpTransport(contract, options);
  return { ...rpcClient(contract, transport, options), onApplicationShutdown: () => transport.close() };
}

interface Answer {
  readonly status: number;
  readonly document: unknown;
}

class HttpTransport implements RpcTransport {
  readonly #codec: RpcCodec;
  readonly #http = new HttpAgent(AGENT_SETTINGS);
  readonly #https = new HttpsAgent(AGENT_SETTINGS);

  constructor(
    contract: RpcContract,
    private readonly options: HttpRpcOptions,
  ) {
    this.#codec = new RpcCodec(contract);
  }

  close(): void {
    this.#http.destroy();
    this.#https.destroy();
  }

  async call(method: string, request: unknown, call: OutgoingCall): Promise<unknown> {
    const body = encode(request, 'RPC_REQUEST_INVALID');
    const url = this.#urlOf(method);
    const headers = await this.#headers(call, Buffer.byteLength(body));
    const { status, document } = await this.#exchange(method, url, headers, body, call.signal);
    if (status !== 200) throw this.#errorOf(status, document);
    this.#codec.demandResponse(method, document);
    return document;
  }

  #urlOf(method: string): URL {
    const { role } = this.#codec;
    const address = this.options.addressOf();
    if (address === undefined) {
      throw new ProbityError('RPC_UNAVAILABLE', `no process is known to run ${role}`);
    }
    return new URL(rpcPath(role, method), address.endsWith('/') ? address : `${address}/`);
  }

  async #headers(call: OutgoingCall, bodyBytes: number): Promise<Record<string, string>> {
    const leftMs = call.deadlineAtMs - this.options.clock.monotonicMs();
    const headers: Record<string, string> = {
      'content-type': 'application/json',
      'content-length': String(bodyBytes),
      accept: 'application/json, application/problem+json',
    };
    const credential = await this.options.credential();
    if (credential !== undefined) headers['authorization'] = `Bearer ${credential}`;
    // An endless deadline is left to the callee's own limit.
    if (leftMs !== Infinity) headers[DEADLINE_HEADER] = String(Math.max(1, Math.floor(leftMs)));
    this.options.telemetry.inject(call.trace, headers);
    return headers;
  }

  #exchange(
    method: string,
    url: URL,
    headers: Readonly<Record<string, string>>,
    body: string,
    signal: AbortSignal,
  ): Promise<Answer> {
    const [send, agent] = url.protocol === 'https:' ? [httpsRequest, this.#https] : [httpRequest, this.#http];
    return new Promise((resolve, reject) => {
      const fail = (error: unknown) => reject(this.#failureOf(method, error));
      const request = send(url, { method: 'POST', agent, headers, signal }, (response) => {
        this.#read(response).then(resolve, fail);
      });
      request.on('error', fail);
      request.end(body);
    });
  }

  async #read(response: IncomingMessage): Promise<Answer> {
    const bytesMax = this.options.answerBytesMax ?? ANSWER_BYTES_MAX;
    const pieces: Buffer[] = [];
    let size = 0;
    for await (const piece of response as AsyncIterable<Buffer>) {
      size += piece.byteLength;
      if (size > bytesMax) {
        throw new ProbityError('RPC_RESPONSE_INVALID', `the answer is larger than ${bytesMax} bytes`);
      }
      pieces.push(piece);
    }
    return { status: response.statusCode ?? 0, document: parsed(Buffer.concat(pieces).toString('utf8')) };
  }

  /** What the callee's answer says went wrong, or what an answer that is not the callee's lets us conclude. */
  #errorOf(status: number, document: unknown): ProbityError {
    const error = errorOfProblem(document);
    const { role } = this.#codec;
    // The process answers but does not serve this path: the role runs elsewhere, or not at all.
    if (error !== undefined && error.code !== 'HTTP_NOT_FOUND') return error;
    if (ELSEWHERE_STATUS.has(status)) {
      return new ProbityError('RPC_UNAVAILABLE', `the address of ${role} answered ${status}`, { data: { status } });
    }
    const detail = `the address of ${role} answered ${status} without a problem document`;
    return new ProbityError('RPC_RESPONSE_INVALID', detail, { data: { status } });
  }

  #failureOf(method: string, error: unknown): ProbityError {
    if (error instanceof ProbityError) return error;
    const { role } = this.#codec;
    const code = codeOf(error);
    const data = { cause: code };
    if (NOT_SENT.has(code) || code.startsWith('ERR_TLS') || code.includes('CERT')) {
      return new ProbityError('RPC_UNAVAILABLE', `no connection to ${role} (${code})`, { cause: error, data });
    }
    // The callee may have read the request. What may be done twice is simply to be tried again; the rest must be told.
    const repeatable = this.#codec.method(method).idempotent;
    return new ProbityError(
      repeatable ? 'RPC_UNAVAILABLE' : 'RPC_OUTCOME_UNKNOWN',
      `the connection to ${role} broke (${code})`,
      { cause: error, data },
    );
  }
}

function codeOf(error: unknown): string {
  const code = typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined;
  return typeof code === 'string' ? code : 'unknown';
}

/** What is no JSON is no document of ours; the status alone decides then. */
function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
