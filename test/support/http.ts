export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  /** The parsed body, where it is JSON. */
  readonly body: unknown;
}

/** A client of one process, with or without a key. */
export class Http {
  constructor(
    readonly base: string,
    readonly key?: string,
  ) {}

  async get(path: string, headers: Readonly<Record<string, string>> = {}): Promise<Answer> {
    return await this.#send(path, { headers: { ...headers } });
  }

  async post(path: string, body: unknown, headers: Readonly<Record<string, string>> = {}): Promise<Answer> {
    return await this.raw(path, JSON.stringify(body), 'application/json', headers);
  }

  async raw(
    path: string,
    body: string | Buffer<ArrayBuffer>,
    type = 'application/json',
    headers: Readonly<Record<string, string>> = {},
  ): Promise<Answer> {
    return await this.#send(path, { method: 'POST', body, headers: { 'content-type': type, ...headers } });
  }

  async #send(
    path: string,
    init: { method?: string; body?: string | Buffer<ArrayBuffer>; headers: Record<string, string> },
  ): Promise<Answer> {
    const authorization: Record<string, string> = this.key === undefined ? {} : { authorization: `Bearer ${this.key}` };
    const response = await fetch(this.base + path, { ...init, headers: { ...init.headers, ...authorization } });
    const text = await response.text();
    return { status: response.status, headers: response.headers, text, body: parsed(text) };
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
