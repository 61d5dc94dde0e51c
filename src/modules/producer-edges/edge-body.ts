import { ProbityError } from '../../rails/errors/probity-error.js';
import { elementsOf, type JsonElement, JsonSplitter } from '../../substrate/http/json-splitter.js';
import { demandKnown, type EdgeResult, resultOfError } from './edge.result.js';
import type { Made } from './transaction.core.js';

/** A longer message is refused by itself; the gate's own limit, which is policy, is lower. */
export const MESSAGE_BYTES_MAX = 1_000_000;
/** Answers are kept until the end of the body, at some 300 bytes each: this many and no more. */
export const ANSWERS_MAX = 50_000;
/** A batch closes when it has so many messages or bytes. */
const BATCH_MESSAGES = 500;
const BATCH_BYTES = 2 * 1024 * 1024;

export interface TakenBody {
  readonly results: readonly EdgeResult[];
  /** Whether the body was one message by itself, and not a list of one. */
  readonly single: boolean;
}

/** What makes an event of one parsed message. */
export type Make = (message: unknown) => Made;

/**
 * Reads a body to its end, a batch at a time: what one batch takes is answered before the next is read, so that a sender
 * is never ahead of the gate by more than that. The answers are given at the end, since many senders read nothing before
 * they have sent everything.
 *
 * An error after the first answers does not take them back: it is the last answer, and nothing from its place on was taken.
 */
export async function takeBody(
  body: AsyncIterable<Uint8Array>,
  form: 'json' | 'lines',
  make: Make,
  submit: (messages: readonly Made[]) => Promise<readonly EdgeResult[]>,
): Promise<TakenBody> {
  const splitter = new JsonSplitter({ form, elementBytesMax: MESSAGE_BYTES_MAX });
  const results: EdgeResult[] = [];
  let batch: Made[] = [];
  let batchBytes = 0;
  const flush = async (): Promise<void> => {
    if (batch.length === 0) return;
    const due = batch;
    batch = [];
    batchBytes = 0;
    results.push(...(await submit(due)));
  };

  try {
    for await (const elements of elementsOf(splitter, body)) {
      for (const element of elements) {
        if (element.index >= ANSWERS_MAX) {
          throw new ProbityError('EDGE_ANSWERS_TOO_MANY', `one request takes ${ANSWERS_MAX} transactions`);
        }
        batch.push(madeOf(element, make));
        batchBytes += 'text' in element ? element.text.length : 0;
        if (batch.length >= BATCH_MESSAGES || batchBytes >= BATCH_BYTES) await flush();
      }
    }
    await flush();
  } catch (cause) {
    let error = demandKnown(cause);
    try {
      // What was complete before the body broke off is taken all the same. A gate that has just failed finds nothing here.
      await flush();
    } catch (gates) {
      error = demandKnown(gates);
    }
    if (results.length === 0) throw error;
    return { results: [...results, resultOfError(error)], single: false };
  }
  return { results, single: form === 'json' && splitter.shape === 'values' && results.length === 1 };
}

export function madeOf(element: JsonElement, make: Make): Made {
  if (!('text' in element)) {
    return element.refused === 'too_large'
      ? faulty('HTTP_BODY_TOO_LARGE', `has ${element.bytes} bytes; one message has at most ${MESSAGE_BYTES_MAX}`)
      : faulty('HTTP_BODY_INVALID', 'is not UTF-8');
  }
  return madeOfText(element.text, make);
}

export function madeOfText(text: string, make: Make): Made {
  let message: unknown;
  try {
    message = JSON.parse(text) as unknown;
  } catch {
    return faulty('HTTP_BODY_INVALID', 'is not JSON');
  }
  return make(message);
}

function faulty(code: 'HTTP_BODY_INVALID' | 'HTTP_BODY_TOO_LARGE', says: string): Made {
  return { ok: false, fault: { code, at: '', says } };
}
