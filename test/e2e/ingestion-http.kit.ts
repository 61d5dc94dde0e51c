import { once } from 'node:events';
import { type ClientRequest, type IncomingMessage, request as send } from 'node:http';

export interface Reply {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly text: string;
  /** The whole as JSON, where it is. */
  readonly body: unknown;
  /** Its lines as JSON. */
  readonly lines: readonly unknown[];
}

/** A client that can send a body piece by piece, as undici's cannot. */
export class DoorClient {
  constructor(
    private readonly base: string,
    private readonly key?: string,
  ) {}

  open(path: string, headers: Readonly<Record<string, string>> = {}): ClientRequest {
    const authorization: Record<string, string> = this.key === undefined ? {} : { authorization: `Bearer ${this.key}` };
    return send(this.base + path, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...authorization, ...headers },
    });
  }

  async post(path: string, body: string | Buffer, headers: Readonly<Record<string, string>> = {}): Promise<Reply> {
    const request = this.open(path, headers);
    request.end(body);
    return await replyTo(request);
  }
}

export async function replyTo(request: ClientRequest): Promise<Reply> {
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  const pieces: Buffer[] = [];
  for await (const piece of response as AsyncIterable<Buffer>) pieces.push(piece);
  const text = Buffer.concat(pieces).toString('utf8');
  const lines = text.split('\n').filter((line) => line !== '');
  return {
    status: response.statusCode ?? 0,
    headers: response.headers,
    text,
    body: parsed(text),
    lines: lines.map((line) => parsed(line)),
  };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
