import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';

/** A TCP proxy before an S3 server that can lose what a network loses. It never changes a byte. */
export class LossyProxy {
  /** So many answers never arrive: the server did the work, the connection is gone. */
  lostAnswers = 0;
  /** Whose answers get lost: those to requests whose first line matches. */
  losing = /^PUT /;
  /** The next connections break after so many bytes of their answers, one connection for each number. */
  breakAfterBytes: number[] = [];
  /** Takes requests and never passes them on. */
  silent = false;
  /** Answers that were lost, and connections that were broken. */
  losses = 0;

  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(readonly target: URL) {
    this.#server = createServer((client) => {
      this.#join(client);
    });
  }

  static async open(endpoint: string): Promise<LossyProxy> {
    const proxy = new LossyProxy(new URL(endpoint));
    proxy.#server.listen(0, '127.0.0.1');
    await once(proxy.#server, 'listening');
    return proxy;
  }

  get endpoint(): string {
    const address = this.#server.address() as AddressInfo;
    return `http://127.0.0.1:${address.port}`;
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, 'close');
  }

  #join(client: Socket): void {
    const server = connect(Number(this.target.port), this.target.hostname);
    const end = (): void => {
      client.destroy();
      server.destroy();
    };
    for (const socket of [client, server]) {
      this.#sockets.add(socket);
      socket.on('error', end);
      socket.on('close', () => {
        this.#sockets.delete(socket);
        end();
      });
    }
    let request = '';
    let answered = 0;
    client.on('data', (chunk: Buffer) => {
      // The client writes the head of a request at once, so a method stands at the start of a chunk.
      const line = /^(?:GET|HEAD|PUT|POST|DELETE) [^\r\n]*/.exec(chunk.toString('latin1', 0, 2_000))?.[0];
      if (line !== undefined) {
        request = line;
        answered = 0;
      }
      if (!this.silent) server.write(chunk);
    });
    server.on('data', (chunk: Buffer) => {
      const goOn = chunk.toString('latin1', 0, 12) === 'HTTP/1.1 100';
      if (!goOn && this.lostAnswers > 0 && this.losing.test(request)) {
        this.lostAnswers -= 1;
        this.losses += 1;
        end();
        return;
      }
      const limit = this.breakAfterBytes[0];
      answered += chunk.byteLength;
      if (limit !== undefined && answered > limit) {
        this.breakAfterBytes.shift();
        this.losses += 1;
        client.write(chunk.subarray(0, chunk.byteLength - (answered - limit)), end);
        return;
      }
      client.write(chunk);
    });
  }
}
