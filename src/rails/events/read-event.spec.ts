import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { canonicalJson, type JsonObject } from '../canonical-json.js';
import { isOtherType, peekEventType, readEvent } from './read-event.js';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const texts = fc.oneof(fc.string({ unit: 'binary' }), fc.constantFrom('a"b', 'a\\', '\\"', '","event_type":"label'));

describe('the type of a record, by its first bytes', () => {
  it('is that of the parsed record wherever it is told, for every canonical text', () => {
    fc.assert(
      fc.property(
        texts,
        fc.stringMatching(/^[a-z][a-z0-9_.]{0,20}$/),
        fc.dictionary(fc.constantFrom('payload', 'producer', 'ts_utc', 'a_first', 'event_type2'), fc.jsonValue()),
        (event_id, event_type, more) => {
          const record = { ...more, event_id, event_type } as JsonObject;
          const peeked = peekEventType(bytes(canonicalJson(record)));
          expect(peeked === null || peeked === event_type).toBe(true);
          // Of plain ids it is always told, unless another member stands before them.
          if (/^[A-Za-z0-9_-]*$/.test(event_id) && !('a_first' in more)) expect(peeked).toBe(event_type);
        },
      ),
    );
  });

  it.each([
    ['', 'nothing'],
    ['{"broken', 'no record'],
    ['{"event_id":"e"}', 'no type'],
    ['{"event_id":"e","event_type":"transaction', 'cut off within the type'],
    ['{"event_id":"e","event_', 'cut off before it'],
    ['{"event_type":"label","event_id":"e"}', 'not canonical'],
    ['{"event_id":"a\\","event_type":"label"}', 'an id that ends in an escaped quote'],
    ['{"payload":{"event_id":"e","event_type":"label"}}', 'a payload that looks like an envelope'],
  ])('%s: is not told (%s), and the record is read whole', (text) => {
    expect(peekEventType(bytes(text))).toBeNull();
    expect(isOtherType(bytes(text), () => false)).toBe(false);
  });

  it('does not look beyond the bytes that it was given', () => {
    const all = Buffer.from('{"event_id":"e","event_type":"label"}{"event_id":"f","event_type":"decision"}');
    expect(peekEventType(all.subarray(0, 31))).toBeNull();
    expect(peekEventType(all.subarray(37))).toBe('decision');
  });

  it('says of a record that nobody could read no more than that it is another one', () => {
    const poison = bytes('{"event_id":"e","event_type":"transaction","payload":');
    expect(isOtherType(poison, (type) => type === 'label')).toBe(true);
    expect(isOtherType(poison, (type) => type === 'transaction')).toBe(false);
    expect(readEvent(poison)).toMatchObject({ ok: false, reason: 'MALFORMED_ENVELOPE' });
  });
});
