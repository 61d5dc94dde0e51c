import { isUtcMicros, type UtcMicros } from '../../rails/time.js';

/** A row of a part, cut into the texts that it is made of; nothing is parsed and nothing is written anew. */
export interface CutRow {
  /** The key as a JSON string, quotes and escapes included. */
  readonly key: string;
  /** The payload as the text of one JSON object. */
  readonly payload: string;
  readonly ts: UtcMicros;
}

const HEAD = '{"key":"';
const MIDDLE = ',"payload":{';
const TAIL = ',"ts_utc":"';
const TS_LENGTH = '2018-04-01T00:00:31.000000Z'.length;
/** From the comma before `ts_utc` to the end of the row: every normal time has the same length. */
const TAIL_LENGTH = TAIL.length + TS_LENGTH + '"}'.length;

const QUOTE = 34;
const BACKSLASH = 92;
const OPEN_BRACKET = 91;
const CLOSE_BRACKET = 93;
const OPEN_BRACE = 123;
const CLOSE_BRACE = 125;

/**
 * Cuts the row that stands from `start` up to, not including, `end`. A row is canonical JSON with exactly the members key, payload and
 * ts_utc, so each stands at a place that can be found without parsing: that spares the parsing and writing of each payload, and hands
 * the gate the very bytes that were sealed.
 *
 * The payload is walked to its closing brace, because text is put around it: a row `{"payload":{},"run_id":…}` that was taken at its
 * ends would bring a member of its own into the envelope.
 *
 * @returns null for a row of another form
 */
export function cutRow(text: string, start: number, end: number): CutRow | null {
  if (!text.startsWith(HEAD, start)) return null;
  const keyStart = start + HEAD.length - 1;
  const keyEnd = endOfString(text, keyStart, end);
  if (keyEnd < keyStart + '"x"'.length || !text.startsWith(MIDDLE, keyEnd)) return null;
  const payloadStart = keyEnd + MIDDLE.length - 1;
  const payloadEnd = endOfObject(text, payloadStart, end);
  if (payloadEnd !== end - TAIL_LENGTH || !text.startsWith(TAIL, payloadEnd)) return null;
  const tsStart = payloadEnd + TAIL.length;
  const ts = text.slice(tsStart, tsStart + TS_LENGTH);
  if (!isUtcMicros(ts) || !text.startsWith('"}', tsStart + TS_LENGTH)) return null;
  return { key: text.slice(keyStart, keyEnd), payload: text.slice(payloadStart, payloadEnd), ts };
}

/** The place after the string that begins at `start`, or −1. */
function endOfString(text: string, start: number, end: number): number {
  for (let at = start + 1; ; at += 1) {
    at = text.indexOf('"', at);
    if (at < 0 || at >= end) return -1;
    let backslashes = 0;
    while (text.charCodeAt(at - 1 - backslashes) === BACKSLASH) backslashes += 1;
    // An even number of them are escaped backslashes, and the quote ends the string.
    if (backslashes % 2 === 0) return at + 1;
  }
}

/** The place after the object that begins at `start`, or −1. */
function endOfObject(text: string, start: number, end: number): number {
  let depth = 0;
  for (let at = start; at < end; at += 1) {
    switch (text.charCodeAt(at)) {
      case QUOTE:
        at = endOfString(text, at, end) - 1;
        if (at < start) return -1;
        break;
      case OPEN_BRACE:
      case OPEN_BRACKET:
        depth += 1;
        break;
      case CLOSE_BRACE:
      case CLOSE_BRACKET:
        depth -= 1;
        if (depth === 0) return at + 1;
        break;
    }
  }
  return -1;
}
