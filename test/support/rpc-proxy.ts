import { once } from 'node:events';
import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';

/** How the proxy treats the next calls. */
export type ProxyMode =
  | { readonly kind: 'pass' }
  /** Breaks every connection as soon as something is asked on it. */
  | { readonly kind: 'down' }
  /** Answers rightly, so much later. */
  | { readonly kind: 'slow'; readonly byMs: number }
  /** Sends half of the answer and breaks the connection. */
  | { readonly kind: 'truncated' }
  | { readonly kind: 'text'; readonly text: string; readonly status?: number }
  /** The owner's own answer, changed. */
  | { readonly kind: 'changed'; readonly change: (answer: unknown) => unknown };

/** Stands between two processes of the platform and does what a network or a sick owner would. */
export class RpcProxy {
  mode: ProxyMode = { kind: 'pass' };
  calls = 0;
  readonly #sockets = new Set<Socket>();
  readonly #late = new Set<NodeJS.Timeout>();

  private constructor(
    private readonly server: Server,
    private readonly target: () => Promise<string>,
  ) {}

  static async open(target: () => Promise<string>): Promise<RpcProxy> {
    const server = createServer((incoming, outgoing) => {
      void proxy.#take(incoming, outgoing).catch(() => outgoing.destroy());
    });
    const proxy = new RpcProxy(server, target);
    server.on('connection', (socket: Socket) => {
      proxy.#sockets.add(socket);
      socket.on('close', () => proxy.#sockets.delete(socket));
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return proxy;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    for (const timer of this.#late) clearTimeout(timer);
    for (const socket of this.#sockets) socket.destroy();
    this.server.close();
    await once(this.server, 'close');
  }

  async #take(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    this.calls += 1;
    const { mode } = this;
    const body = await textOf(incoming);
    if (mode.kind === 'down') {
      outgoing.destroy();
      return;
    }
    if (mode.kind === 'text') {
      send(outgoing, mode.status ?? 200, mode.text);
      return;
    }
    const { status, text } = await this.#forward(incoming, body);
    switch (mode.kind) {
      case 'pass':
        send(outgoing, status, text);
        return;
      case 'slow': {
        const timer = setTimeout(() => {
          this.#late.delete(timer);
          send(outgoing, status, text);
        }, mode.byMs);
        this.#late.add(timer);
        return;
      }
      case 'truncated':
        outgoing.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) });
        outgoing.write(text.slice(0, Math.floor(text.length / 2)), () => outgoing.destroy());
        return;
      case 'changed':
        send(outgoing, status, JSON.stringify(mode.change(JSON.parse(text))));
        return;
    }
  }

  async #forward({ method, url, headers }: IncomingMessage, body: string): Promise<{ status: number; text: string }> {
    const target = new URL(url ?? '/', await this.target());
    const { host: _, ...kept } = headers;
    const asked = request(target, { method, headers: { ...kept, connection: 'close' } });
    asked.end(body);
    const [answer] = (await once(asked, 'response')) as [IncomingMessage];
    return { status: answer.statusCode ?? 502, text: await textOf(answer) };
  }
}

function send(outgoing: ServerResponse, status: number, text: string): void {
  const type = status < 300 ? 'application/json' : 'application/problem+json';
  outgoing.writeHead(status, { 'content-type': type, 'content-length': Buffer.byteLength(text) });
  outgoing.end(text);
}

async function textOf(message: IncomingMessage): Promise<string> {
  const pieces: Buffer[] = [];
  for await (const piece of message as AsyncIterable<Buffer>) pieces.push(piece);
  return Buffer.concat(pieces).toString('utf8');
}
