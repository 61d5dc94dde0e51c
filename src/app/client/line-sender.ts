import type { Readable } from 'node:stream';
import { ProbityError } from '../../rails/errors/probity-error.js';
import { isErrorCode } from '../../rails/errors/registry.js';
import { endOf } from '../../substrate/clock/deadline.js';
import { answersOf, type LineAnswer } from './ingest-answers.core.js';
import type { Travel } from './journey.js';
import { type Line, LineSplitter } from './line-splitter.core.js';

/** One call takes so many lines, or so many bytes. */
const LINES_MAX = 1_000;
const BYTES_MAX = 2 * 1_048_576;
const LINE_BYTES_MAX = 1_048_576;
/** Refusals of the door for now, in a row, before the command gives up. */
const ATTEMPTS_MAX = 30;
const WAIT_MS = 500;

export interface Answered {
  readonly line: Line;
  readonly answer: LineAnswer;
}

/**
 * Sends lines as they come: whatever has gathered while one call was under way goes with the next. So a file goes in full calls, and a line
 * of a slow pipe does not wait for a thousand others. Reading stops while enough has gathered, and memory stays flat.
 */
export async function sendLines(
  input: Readable,
  travel: Travel,
  role: 'ig' | 'edge',
  onAnswers: (answers: readonly Answered[]) => void,
): Promise<void> {
  const sender = new LineSender(travel, role, onAnswers);
  const splitter = new LineSplitter(LINE_BYTES_MAX);
  const stop = (): void => void input.destroy();
  travel.signal.addEventListener('abort', stop, { once: true });
  try {
    for await (const piece of input as AsyncIterable<Buffer>) {
      sender.add(splitter.push(piece));
      if (splitter.tooLong !== undefined)
        throw new ProbityError(
          'HTTP_BODY_TOO_LARGE',
          `line ${splitter.tooLong} is longer than ${LINE_BYTES_MAX} bytes; the lines before it were sent`,
        );
      await sender.room();
    }
    sender.add(splitter.end());
  } finally {
    travel.signal.removeEventListener('abort', stop);
    // Also when reading failed: what was read is sent, and nobody has to guess where it ended.
    await sender.drained();
  }
}

class LineSender {
  #waiting: Line[] = [];
  #underWay: Promise<void> | undefined;
  #failure: { readonly error: unknown } | undefined;

  constructor(
    private readonly travel: Travel,
    private readonly role: 'ig' | 'edge',
    private readonly onAnswers: (answers: readonly Answered[]) => void,
  ) {}

  add(lines: readonly Line[]): void {
    for (const line of lines) this.#waiting.push(line);
    this.#pump();
  }

  /** Resolves once less than two calls' worth waits. */
  async room(): Promise<void> {
    while (this.#waiting.length >= 2 * LINES_MAX && this.#underWay !== undefined) await this.#underWay;
    this.#throwFailure();
  }

  async drained(): Promise<void> {
    while (this.#underWay !== undefined) await this.#underWay;
    this.#throwFailure();
  }

  #throwFailure(): void {
    if (this.#failure !== undefined) throw this.#failure.error;
  }

  #pump(): void {
    if (this.#underWay !== undefined || this.#failure !== undefined || this.#waiting.length === 0) return;
    const lines = this.#nextCall();
    this.#underWay = this.#send(lines)
      .catch((error: unknown) => {
        this.#failure = { error };
      })
      .finally(() => {
        this.#underWay = undefined;
        this.#pump();
      });
  }

  #nextCall(): readonly Line[] {
    let bytes = 0;
    let count = 0;
    for (const line of this.#waiting) {
      bytes += line.bytes.byteLength + 1;
      if (count >= LINES_MAX || (count > 0 && bytes > BYTES_MAX)) break;
      count += 1;
    }
    return this.#waiting.splice(0, count);
  }

  /** Until each line has its answer; what the door did not take for now is sent again from there, and nothing happens twice. */
  async #send(lines: readonly Line[]): Promise<void> {
    const { api, clock, signal, progress } = this.travel;
    let left = lines;
    for (let attempt = 1; left.length > 0; attempt += 1) {
      const text = await api.submitLines(
        this.role,
        left.map(({ bytes }) => bytes),
      );
      const answers = answersOf(text, left.length);
      if (answers === undefined)
        throw new ProbityError('RPC_RESPONSE_INVALID', 'the door did not give each line an answer; send them again');
      this.onAnswers(answers.lines.map((answer, index) => ({ line: left[index] ?? NOWHERE, answer })));
      left = left.slice(answers.lines.length);
      const { ended } = answers;
      if (ended === undefined) return;
      if (!ended.retryable || attempt >= ATTEMPTS_MAX)
        throw new ProbityError(isErrorCode(ended.code) ? ended.code : 'INTERNAL', ended.detail);
      if (answers.lines.length > 0) attempt = 0;
      progress.say(`${ended.detail}; trying again`);
      await clock.sleep(ended.retryAfterMs ?? WAIT_MS, signal);
      if (signal.aborted) throw endOf(signal);
    }
  }
}

/** Never met: there is a line for each answer. */
const NOWHERE: Line = { number: 0, bytes: Buffer.alloc(0) };
