import { isProbityError } from '../../rails/errors/probity-error.js';
import { endOf } from '../../substrate/clock/deadline.js';
import { type Receipt } from './ingestion-gate.port.js';
import { type Arrival, type Judged, type Outcome } from './writer.js';

/** A batch that has been judged, under the one policy that it was judged by. */
export interface JudgedBatch<Policy> {
  readonly judged: readonly Judged[];
  readonly policy: Policy;
}

export interface PipelineSteps<Policy> {
  readonly judge: (arrivals: readonly Arrival[]) => Promise<JudgedBatch<Policy>>;
  readonly write: (batch: JudgedBatch<Policy>) => Promise<readonly Outcome[]>;
  /** What a fault of either step means to those who wait. */
  readonly fault: (fault: unknown) => unknown;
}

/** A commit gains nothing more past a thousand events, and whoever waits for it waits longer. */
const BATCH_EVENTS_MAX = 1_000;
const BATCH_BYTES_MAX = 8 * 1_048_576;

/** One call of `admit`: answered when all its events are, or rejected as a whole. */
interface Call {
  readonly arrivals: readonly Arrival[];
  readonly outcomes: (Receipt | undefined)[];
  readonly signal: AbortSignal;
  readonly bytes: number;
  /** How many of its events have been taken into batches, and how many have no outcome yet. */
  taken: number;
  left: number;
  ended: boolean;
  readonly resolve: (receipts: readonly Receipt[]) => void;
  readonly reject: (fault: unknown) => void;
}

interface Seat {
  readonly call: Call;
  readonly index: number;
}

interface Ready<Policy> {
  readonly seats: readonly Seat[];
  readonly batch: JudgedBatch<Policy>;
}

/**
 * Calls that overlap share batches. Two things go on at once: one batch is written while the next one is judged.
 *
 *     queue --(writer free, or a batch full)--> judging --> ready --(writer free)--> writing --> answered
 *
 * Nothing waits for time: what comes while the writer is free goes at the end of this turn of the event loop, and what comes
 * while it is busy gathers until it is free or a batch is full. So a lone event waits for nothing, and under load the
 * batches grow instead of the queue. Batches are written in the order of their arrival; when one fails, the rest of each of
 * its calls is dropped with it, since later events of a call must not overtake earlier ones.
 */
export class Pipeline<Policy> {
  readonly #steps: PipelineSteps<Policy>;
  #queue: Call[] = [];
  #queuedEvents = 0;
  #waitingBytes = 0;
  #isJudging = false;
  #isWriting = false;
  #isScheduled = false;
  #ready: Ready<Policy> | undefined;
  #idle: (() => void)[] = [];

  constructor(steps: PipelineSteps<Policy>) {
    this.#steps = steps;
  }

  /** Bytes of events that wait for their answers. */
  get waitingBytes(): number {
    return this.#waitingBytes;
  }

  submit(arrivals: readonly Arrival[], signal: AbortSignal): Promise<readonly Receipt[]> {
    if (arrivals.length === 0) return Promise.resolve([]);
    let bytes = 0;
    for (const { text } of arrivals) bytes += Buffer.byteLength(text);
    return new Promise((resolve, reject) => {
      const outcomes = new Array<Receipt | undefined>(arrivals.length);
      const left = arrivals.length;
      this.#queue.push({ arrivals, outcomes, signal, bytes, taken: 0, left, ended: false, resolve, reject });
      this.#queuedEvents += arrivals.length;
      this.#waitingBytes += bytes;
      this.#schedule();
    });
  }

  /** Resolves when nothing is under way any more. */
  async drained(): Promise<void> {
    if (this.#queuedEvents === 0 && !this.#isBusy()) return;
    await new Promise<void>((resolve) => this.#idle.push(resolve));
  }

  #isBusy(): boolean {
    return this.#isJudging || this.#isWriting || this.#ready !== undefined;
  }

  /** At the end of this turn, so that requests which arrived together share a commit. */
  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(() => {
      this.#isScheduled = false;
      this.#advance();
    });
  }

  #advance(): void {
    if (!this.#isWriting && this.#ready !== undefined) {
      const ready = this.#ready;
      this.#ready = undefined;
      void this.#write(ready);
    }
    const mayJudge = !this.#isJudging && this.#ready === undefined && this.#queuedEvents > 0;
    if (mayJudge && (!this.#isWriting || this.#queuedEvents >= BATCH_EVENTS_MAX)) void this.#judge(this.#take());
    if (this.#queuedEvents === 0 && !this.#isBusy()) this.#idle.splice(0).forEach((resolve) => resolve());
  }

  async #judge(seats: readonly Seat[]): Promise<void> {
    this.#isJudging = true;
    try {
      const batch = await this.#steps.judge(seats.map(({ call, index }) => arrivalOf(call, index)));
      this.#ready = { seats, batch };
    } catch (fault) {
      this.#fail(seats, fault);
    }
    this.#isJudging = false;
    this.#advance();
  }

  async #write({ seats, batch }: Ready<Policy>): Promise<void> {
    this.#isWriting = true;
    const live = seats.map(({ call }) => !call.ended);
    const going = live.every(Boolean) ? seats : seats.filter((_, at) => live[at]);
    const judged = going === seats ? batch.judged : batch.judged.filter((_, at) => live[at]);
    try {
      const outcomes = judged.length === 0 ? [] : await this.#steps.write({ ...batch, judged });
      going.forEach((seat, at) => this.#settle(seat, outcomes[at]));
    } catch (fault) {
      this.#fail(going, fault);
    }
    this.#isWriting = false;
    this.#advance();
  }

  #take(): readonly Seat[] {
    const seats: Seat[] = [];
    let bytes = 0;
    while (seats.length < BATCH_EVENTS_MAX && bytes < BATCH_BYTES_MAX) {
      const [call] = this.#queue;
      if (call === undefined) break;
      // Given up before anything was done for it: nobody would read the answer.
      if (!call.ended && call.taken === 0 && call.signal.aborted)
        this.#end(call, () => call.reject(endOf(call.signal)));
      while (
        !call.ended &&
        call.taken < call.arrivals.length &&
        seats.length < BATCH_EVENTS_MAX &&
        bytes < BATCH_BYTES_MAX
      ) {
        bytes += arrivalOf(call, call.taken).text.length;
        seats.push({ call, index: call.taken });
        call.taken += 1;
        this.#queuedEvents -= 1;
      }
      if (call.ended || call.taken === call.arrivals.length) {
        this.#queuedEvents -= call.arrivals.length - call.taken;
        this.#queue.shift();
      }
    }
    return seats;
  }

  #settle({ call, index }: Seat, outcome: Outcome | undefined): void {
    if (call.ended) return;
    if (outcome === undefined || isProbityError(outcome)) {
      this.#end(call, () => call.reject(outcome ?? new Error('an event of a batch has no outcome')));
      return;
    }
    call.outcomes[index] = outcome;
    call.left -= 1;
    if (call.left === 0) this.#end(call, () => call.resolve(call.outcomes as readonly Receipt[]));
  }

  #fail(seats: readonly Seat[], fault: unknown): void {
    const told = this.#steps.fault(fault);
    for (const { call } of seats) if (!call.ended) this.#end(call, () => call.reject(told));
  }

  #end(call: Call, answer: () => void): void {
    call.ended = true;
    this.#waitingBytes -= call.bytes;
    answer();
  }
}

function arrivalOf(call: Call, index: number): Arrival {
  const arrival = call.arrivals[index];
  if (arrival === undefined) throw new Error('a call has no event at this place');
  return arrival;
}
