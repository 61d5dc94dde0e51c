import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { eventually } from './eventually.js';

export interface ProgramOptions {
  readonly role: string;
  readonly data: string;
  readonly profile?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** `test`: the pair of test units; `product`: the real table. */
  readonly main?: 'test' | 'product';
  /** Any free one unless stated. */
  readonly port?: number;
  /** Further words of the command line. */
  readonly words?: readonly string[];
}

/**
 * The program as a process of its own: the real one, or the one with the pair of test units in its table. Compiled by
 * `npm run build:test`, which `npm test` runs first.
 */
export class Program {
  readonly #child: ChildProcess;
  #stdout = '';
  #stderr = '';
  #exit: { code: number | null; signal: NodeJS.Signals | null } | undefined;

  constructor({ role, data, profile = 'local', env = {}, main = 'test', port = 0, words: more = [] }: ProgramOptions) {
    const script = join(process.cwd(), '.build', main === 'test' ? 'test/program/main.js' : 'src/main.js');
    const words = [
      script,
      'serve',
      '--role',
      role,
      '--data',
      data,
      '--profile',
      profile,
      '--port',
      String(port),
      '--json',
      ...more,
    ];
    // Jest's own switches are not for the program.
    const { NODE_OPTIONS: _, ...inherited } = process.env;
    this.#child = spawn(process.execPath, words, { env: { ...inherited, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
    this.#child.stdout?.on('data', (piece: Buffer) => (this.#stdout += piece.toString('utf8')));
    this.#child.stderr?.on('data', (piece: Buffer) => (this.#stderr += piece.toString('utf8')));
    this.#child.on('exit', (code, signal) => (this.#exit = { code, signal }));
  }

  get pid(): number {
    return this.#child.pid ?? -1;
  }

  get logs(): string {
    return this.#stderr;
  }

  /** Waits until it is ready and gives its base address. */
  async url(): Promise<string> {
    await eventually(() => this.#stdout.includes('"took_ms"') || this.#exit !== undefined, Boolean, 120_000);
    if (this.#exit !== undefined) throw new Error(`the program ended with ${String(this.#exit.code)}: ${this.#stderr}`);
    return (JSON.parse(this.#stdout) as { url: string }).url;
  }

  /** Sends the signal and waits for the end: exit code and how long it took. */
  async end(signal: NodeJS.Signals): Promise<{ readonly code: number | null; readonly tookMs: number }> {
    const startMs = performance.now();
    if (this.#exit === undefined) this.#child.kill(signal);
    await eventually(() => this.#exit !== undefined, Boolean, 30_000);
    return { code: this.#exit?.code ?? null, tookMs: performance.now() - startMs };
  }
}
