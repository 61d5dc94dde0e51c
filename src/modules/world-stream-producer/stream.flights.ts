import { isProbityError, ProbityError } from '../../rails/errors/probity-error.js';
import type { Clock } from '../../substrate/clock/clock.port.js';
import { outgoing } from '../../substrate/rpc/outgoing.js';
import type { Telemetry } from '../../substrate/telemetry/telemetry.port.js';
import type { IngestionGatePort, SubmitResult } from '../ingestion-gate/ingestion-gate.port.js';
import type { OpenBatch } from './answers.core.js';
import type { Bell } from './bell.js';

export type FlightAnswer = { readonly results: readonly SubmitResult[] } | { readonly error: ProbityError };

/** A batch on its way. `answer` is there once its attempt has come to an end, well or not; the attempt itself never rejects. */
export interface Flight {
  readonly open: OpenBatch;
  answer: FlightAnswer | undefined;
}

export interface FlightParts {
  readonly gate: IngestionGatePort;
  readonly clock: Clock;
  readonly telemetry: Telemetry;
  readonly run_id: string;
  /** How long one call may take. */
  readonly callMs: number;
  /** Rung when an answer has come. */
  readonly bell: Bell;
}

/** The batches that were sent and have no terminal receipts yet, in the order in which they were sent; the first one is the head. */
export class Flights {
  readonly #flights: Flight[] = [];
  readonly #calls = new AbortController();

  constructor(private readonly parts: FlightParts) {}

  get head(): Flight | undefined {
    return this.#flights[0];
  }

  get size(): number {
    return this.#flights.length;
  }

  /** Rows without a terminal receipt. */
  get rows(): number {
    return this.#flights.reduce((rows, { open }) => rows + open.open.length, 0);
  }

  send(open: OpenBatch): void {
    const flight: Flight = { open, answer: undefined };
    this.#flights.push(flight);
    this.attempt(flight);
  }

  /** Sends what is open of it, for the first time or again. */
  attempt(flight: Flight): void {
    const { gate, clock, telemetry, run_id, callMs, bell } = this.parts;
    flight.answer = undefined;
    const events = [...flight.open.open];
    const attributes = { run_id, rows: events.length };
    void telemetry
      .span('wsp.batch', { attributes }, async (trace) => {
        const context = outgoing(clock, callMs, { signal: this.#calls.signal, trace });
        return await gate.submit({ events }, context);
      })
      .then(({ results }): FlightAnswer => ({ results }))
      .catch((error: unknown): FlightAnswer => ({ error: known(error) }))
      .then((answer) => {
        flight.answer = answer;
        bell.ring();
      });
  }

  /** The head has its terminal receipts. */
  landed(): void {
    this.#flights.shift();
  }

  /** Answers would move nothing any more: the calls are given up. What the gate has counted comes back as duplicates. */
  abandon(): void {
    this.#calls.abort(new ProbityError('RPC_CANCELLED', 'the stream has ended'));
    this.#flights.length = 0;
  }

  /** Gives up the calls alone; their batches stay and are answered at once. */
  cancel(): void {
    this.#calls.abort(new ProbityError('RPC_CANCELLED', 'the stream has ended'));
  }
}

export function known(error: unknown): ProbityError {
  if (isProbityError(error)) return error;
  return new ProbityError('INTERNAL', 'the stream met an error that it does not know', { cause: error });
}
