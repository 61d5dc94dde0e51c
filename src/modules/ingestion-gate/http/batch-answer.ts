import { Readable } from 'node:stream';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { isProbityError, toProblem } from '../../../rails/errors/probity-error.js';
import type { Clock } from '../../../substrate/clock/clock.port.js';
import { portable } from '../../../substrate/rpc/rpc-errors.js';
import { noteError, traceIdOf } from '../../../substrate/http/telemetry.hooks.js';
import type { Logger } from '../../../substrate/telemetry/telemetry.port.js';
import type { Receipt } from '../ingestion-gate.port.js';
import { resultOf } from '../receipts.core.js';
import type { AnswerForm } from './media.core.js';

export interface BatchAnswerOptions {
  readonly form: AnswerForm;
  readonly short: boolean;
  readonly clock: Clock;
  readonly logger: Logger;
  /** A client that takes nothing of its answer for so long is cut off: what waits for it is memory. */
  readonly stallMs: number;
}

/**
 * Sends receipts as they come, one line or element each, in the order of the events. The status says 200 with the first of
 * them; an error after that is the last line or element, `{"error": <problem>}`: the events behind the last receipt are to be
 * sent again, and none of them happens twice.
 *
 * @throws what the receipts throw before there is one: it is an ordinary problem then
 */
export async function sendReceipts(
  request: FastifyRequest,
  reply: FastifyReply,
  receipts: AsyncGenerator<readonly Receipt[], void>,
  options: BatchAnswerOptions,
): Promise<void> {
  const first = await receipts.next();
  const type = options.form === 'json' ? 'application/json' : 'application/x-ndjson';
  reply.status(200).header('content-type', `${type}; charset=utf-8`);
  const texts = textsOf(request, reply, first, receipts, options);
  void reply.send(Readable.from(texts, { objectMode: false }));
}

async function* textsOf(
  request: FastifyRequest,
  reply: FastifyReply,
  first: IteratorResult<readonly Receipt[], void>,
  receipts: AsyncGenerator<readonly Receipt[], void>,
  { form, short, clock, logger, stallMs }: BatchAnswerOptions,
): AsyncGenerator<string, void> {
  const write = new Writer(form);
  try {
    for (let next = first; next.done !== true; next = await receipts.next()) {
      const text = write.entries(next.value.map((receipt) => (short ? resultOf(receipt) : receipt)));
      const taken = new AbortController();
      void clock.sleep(stallMs, taken.signal).then(() => {
        if (!taken.signal.aborted) reply.raw.destroy();
      });
      try {
        yield text;
      } finally {
        taken.abort();
      }
    }
  } catch (cause) {
    const error = portable(cause);
    if (!isProbityError(cause)) logger.error('ig_batch_broke_off', { error: cause });
    noteError(request, error);
    yield write.entries([{ error: toProblem(error, traceIdOf(request)) }]);
  } finally {
    // A client that went away takes no more receipts, and nothing more is read for it.
    void receipts.return().catch(() => undefined);
  }
  yield write.end();
}

/** Entries of one JSON array, or lines. */
class Writer {
  #some = false;

  constructor(private readonly form: AnswerForm) {}

  entries(values: readonly object[]): string {
    let text = '';
    for (const value of values) {
      if (this.form === 'json') text += this.#some ? ',' : '[';
      this.#some = true;
      text += `${JSON.stringify(value)}\n`;
    }
    return text;
  }

  end(): string {
    if (this.form === 'lines') return '';
    return this.#some ? ']\n' : '[]\n';
  }
}
