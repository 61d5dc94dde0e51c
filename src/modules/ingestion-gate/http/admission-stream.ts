import { isProbityError, ProbityError } from '../../../rails/errors/probity-error.js';
import type { Clock } from '../../../substrate/clock/clock.port.js';
import { type JsonElement, JsonSplitter } from '../../../substrate/http/json-splitter.js';
import type { Gate, SubmissionContext } from '../ingestion-gate.gate.js';
import type { Receipt } from '../ingestion-gate.port.js';
import { eventText } from './event-text.core.js';
import { untilOpen } from './ingress.js';

/** A group is full at so many events or characters: 1 MiB is what a bus record may have, and a fair share of a batch. */
export const GROUP_EVENTS = 1_000;
export const GROUP_CHARS = 1_048_576;
/** One is at the gate while the next is read and parsed; a third would only wait there. */
const FLIGHTS = 2;

export interface AdmissionStreamParts {
  readonly gate: Gate;
  readonly clock: Clock;
  readonly context: SubmissionContext;
  readonly body: AsyncIterable<Buffer>;
  /** `json`: one array. `lines`: NDJSON. */
  readonly form: 'json' | 'lines';
  /** What the admission policy lets one event have. */
  readonly eventBytesMax: number;
  /** So many bytes without the end of an event end the body: nobody needs them, and unpacking them costs. */
  readonly gapBytesMax: number;
}

/**
 * The receipts of a body of any length, in the order of its events, as they come. Memory is that of two groups at the gate and
 * one that is being read; while both places are taken, and while nobody takes the receipts, nothing is read: that is the
 * back-pressure, and it reaches the sender as a full socket.
 *
 * A group leaves when it is full, or when nothing is at the gate: a slow sender gets its answers at once, a fast one has full
 * groups by itself. Every event that was complete before an error is admitted and answered; then the error is thrown.
 *
 * @throws ProbityError HTTP_BODY_INVALID, HTTP_BODY_TOO_LARGE, HTTP_REQUEST_TIMEOUT, IG_PAUSED, and what the gate throws
 */
export async function* admissionStream(parts: AdmissionStreamParts): AsyncGenerator<readonly Receipt[], void> {
  const reader = textsOf(parts);
  const waiting = new Waiting();
  const runway = new Runway(parts);
  const flights: Promise<Landed>[] = [];
  let reading: Promise<Read> | undefined;
  let end: { readonly error?: unknown } | undefined;

  const isDue = (): boolean =>
    waiting.some && flights.length < FLIGHTS && (waiting.full || flights.length === 0 || end !== undefined);
  try {
    for (;;) {
      while (isDue()) flights.push(runway.fly(waiting.take()));
      if (end !== undefined && flights.length === 0) break;
      if (end === undefined && !waiting.full) reading ??= readNext(reader);
      const next = await Promise.race([...flights.slice(0, 1), ...(reading === undefined ? [] : [reading])]);
      if (next.kind === 'landed') {
        void flights.shift();
        yield await next.receipts;
      } else {
        reading = undefined;
        if (next.kind === 'end') end = next;
        else waiting.add(next.texts);
      }
    }
    if (end.error !== undefined) throw end.error as Error;
  } finally {
    // Not awaited: it ends after the piece that it waits for, which may be never where the sender is only slow.
    void reader.return().catch(() => undefined);
  }
}

interface Landed {
  readonly kind: 'landed';
  /** Settled: a flight that fails must wait for its turn without being reported as unhandled. */
  readonly receipts: Promise<readonly Receipt[]>;
}

type Read =
  { readonly kind: 'texts'; readonly texts: readonly string[] } | { readonly kind: 'end'; readonly error?: unknown };

/** The way to the gate. */
class Runway {
  #last: Promise<unknown> = Promise.resolve();
  #first = true;

  constructor(private readonly parts: AdmissionStreamParts) {}

  async fly(texts: readonly string[]): Promise<Landed> {
    const isFirst = this.#first;
    this.#first = false;
    // One behind the other up to the call itself, so that a group that is held back is not overtaken by the next.
    const called = this.#last.then(async () => {
      await this.#clear();
      return { receipts: this.#admit(texts, isFirst) };
    });
    this.#last = called.catch(() => undefined);
    const receipts = called.then((call) => call.receipts);
    await receipts.catch(() => undefined);
    return { kind: 'landed', receipts };
  }

  /** A stream that has begun is held back where a new one would be refused. */
  async #clear(): Promise<void> {
    const { gate, clock, context } = this.parts;
    while (gate.ingress().state !== 'OPEN' && !context.signal.aborted) await untilOpen(gate, clock, context.signal);
  }

  async #admit(texts: readonly string[], isFirst: boolean): Promise<readonly Receipt[]> {
    const { gate, clock, context } = this.parts;
    const events = texts.map((text) => ({ text }));
    for (;;) {
      try {
        return await gate.admit(events, context);
      } catch (error) {
        const isHeldBack = !isFirst && isProbityError(error, 'IG_RATE_LIMITED') && !context.signal.aborted;
        if (!isHeldBack) throw error;
        const ms = error.data['retry_after_ms'];
        await clock.sleep(typeof ms === 'number' ? Math.max(1, ms) : 1_000, context.signal);
      }
    }
  }
}

async function readNext(reader: AsyncGenerator<readonly string[], void>): Promise<Read> {
  try {
    const next = await reader.next();
    return next.done === true ? { kind: 'end' } : { kind: 'texts', texts: next.value };
  } catch (error) {
    return { kind: 'end', error };
  }
}

/** The texts of the events that end in each piece of the body. */
async function* textsOf(parts: AdmissionStreamParts): AsyncGenerator<readonly string[], void> {
  const { gate, clock, context, body, form, eventBytesMax, gapBytesMax } = parts;
  // One byte more than the gate takes, so that the gate and nobody else refuses what is too large.
  const splitter = new JsonSplitter({ form, elementBytesMax: eventBytesMax + 1, keepHead: true });
  const pieces = body[Symbol.asyncIterator]();
  let gap = 0;
  try {
    for (;;) {
      await untilOpen(gate, clock, context.signal);
      const next = await pieces.next();
      if (next.done === true) break;
      const elements = splitter.push(next.value);
      if (form === 'json' && splitter.shape === 'values') throw notAnArray();
      if (elements.length > 0) yield elements.map((element) => textOfElement(element));
      if (splitter.fault !== undefined) throw splitter.fault;
      gap = elements.length > 0 ? 0 : gap + next.value.byteLength;
      if (gap > gapBytesMax) throw new ProbityError('HTTP_BODY_TOO_LARGE', `no event ends within ${gapBytesMax} bytes`);
    }
    const last = splitter.end();
    if (form === 'json' && splitter.shape !== 'array') throw notAnArray();
    if (last.length > 0) yield last.map((element) => textOfElement(element));
  } finally {
    await pieces.return?.();
  }
}

/**
 * What the gate is given for one element. Of one that is too large it gets one byte more than it takes (the splitter keeps
 * no more of it): enough to be refused for its size, with its beginning as evidence.
 */
function textOfElement(element: JsonElement): string {
  if ('text' in element) return element.text;
  return eventText(element.head ?? Buffer.alloc(0), element.refused === 'too_large');
}

function notAnArray(): ProbityError {
  return new ProbityError('HTTP_BODY_INVALID', 'the body is not a JSON array; send NDJSON as application/x-ndjson');
}

/** Texts that have been read and not yet been given to the gate: at most a group and what one more piece holds. */
class Waiting {
  #texts: string[] = [];
  #chars = 0;

  get some(): boolean {
    return this.#texts.length > 0;
  }

  get full(): boolean {
    return this.#texts.length >= GROUP_EVENTS || this.#chars >= GROUP_CHARS;
  }

  add(texts: readonly string[]): void {
    for (const text of texts) {
      this.#texts.push(text);
      this.#chars += text.length;
    }
  }

  /** A group: all that may go, at least one event. */
  take(): readonly string[] {
    let chars = 0;
    let count = 0;
    for (const text of this.#texts) {
      if (count === GROUP_EVENTS || (count > 0 && chars + text.length > GROUP_CHARS)) break;
      chars += text.length;
      count += 1;
    }
    this.#chars -= chars;
    return this.#texts.splice(0, count);
  }
}
