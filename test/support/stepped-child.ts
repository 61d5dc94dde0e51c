import { spawn } from 'node:child_process';
import { writeSync } from 'node:fs';
import type { Objects } from '../../src/substrate/objects/objects.port.js';

/** Steps of a program that is going to be killed: it says so before and after each, and stops for good where it is told to. */
export class Steps {
  #said = 0;

  constructor(private readonly stopAt: number) {}

  async step<Result>(what: string, work: () => Promise<Result>): Promise<Result> {
    await this.#say(`before ${what}`);
    const result = await work();
    await this.#say(`after ${what}`);
    return result;
  }

  /** The store, each of whose puts is a step. */
  objects(stands: Objects, nameOf: (key: string) => string): Objects {
    return new Proxy<Objects>(stands, {
      get: (target, name) => {
        if (name === 'putIfAbsent')
          return async (...[key, ...rest]: Parameters<Objects['putIfAbsent']>) =>
            await this.step(nameOf(key), () => target.putIfAbsent(key, ...rest));
        const value: unknown = Reflect.get(target, name, target);
        return typeof value === 'function' ? (value.bind(target) as unknown) : value;
      },
    });
  }

  /** Ends the program. */
  done(): never {
    writeSync(1, 'done\n');
    process.exit(0);
  }

  async #say(what: string): Promise<void> {
    this.#said += 1;
    writeSync(1, `${what}\n`);
    if (this.#said === this.stopAt) await new Promise(() => setInterval(() => undefined, 60_000));
  }
}

/**
 * Runs such a program until it has said so much, and kills it with SIGKILL then; with a `stopAt` that it does not come to, until its end.
 *
 * @param program compiled by `npm run build:test`
 * @returns what it said
 */
export async function livesOf(program: string, order: { readonly stopAt: number }): Promise<readonly string[]> {
  const { stopAt } = order;
  // Jest's own switches are not for the program.
  const { NODE_OPTIONS: _, ...env } = process.env;
  const child = spawn(process.execPath, [program, JSON.stringify(order)], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  const said: string[] = [];
  let [rest, complaint] = ['', ''];
  child.stderr.on('data', (piece: Buffer) => (complaint += piece.toString('utf8')));
  child.stdout.on('data', (piece: Buffer) => {
    const lines = (rest + piece.toString('utf8')).split('\n');
    rest = lines.pop() ?? '';
    said.push(...lines);
    if (said.length >= stopAt) child.kill('SIGKILL');
  });
  await new Promise((resolve) => child.once('close', resolve));
  if (said.length < stopAt && said.at(-1) !== 'done') throw new Error(`it ended by itself: ${complaint.slice(-2_000)}`);
  return said;
}
