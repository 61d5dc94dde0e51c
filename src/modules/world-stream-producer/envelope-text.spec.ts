import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { canonicalJson } from '../../rails/canonical-json.js';
import { asEnvelope } from '../../rails/envelope.js';
import { asPins, type RunPins } from '../../rails/pins.js';
import { fromEpochMicros } from '../../rails/time.js';
import { eventIdOf } from '../data-engine/data-engine.port.js';
import { type EventShape, eventIdIn, EnvelopeWriter } from './envelope-text.core.js';
import { cutRow } from './row.core.js';

const PINS = asPins({
  manifest_fingerprint: 'a'.repeat(64),
  parameter_hash: 'b'.repeat(64),
  seed: '18446744073709551615',
  scenario_id: 'baseline',
  run_id: 'c'.repeat(32),
}) as RunPins;
const { run_id: _run, ...WORLD } = PINS;
const SHAPE: EventShape = {
  output_id: 'transactions',
  event_type: 'transaction',
  schema_version: 'v1',
  producer: 'wsp',
  pins: PINS,
};

/** Everything that JSON strings may hold, the signs that end and escape them above all. */
const text = fc.oneof(fc.string({ unit: 'grapheme' }), fc.string({ unit: fc.constantFrom('"', '\\', '{', '}', 'ü') }));
const payload = fc.dictionary(text, fc.jsonValue({ stringUnit: 'grapheme' }));
const row = fc.record({
  key: text.filter((key) => key.length > 0),
  payload,
  ts_utc: fc.integer({ min: -1e15, max: 7e15 }).map(fromEpochMicros),
});

describe('the envelope of a row', () => {
  it('is the text that building, naming and writing it in full would give', () => {
    const writer = new EnvelopeWriter(SHAPE, eventIdOf);
    fc.assert(
      fc.property(row, text, ({ key, payload, ts_utc }, around) => {
        const line = canonicalJson({ key, payload, ts_utc });
        const cut = cutRow(`${around}${line}${around}`, around.length, around.length + line.length);
        expect(cut).not.toBeNull();
        if (cut === null) return;
        const event = writer.write(cut);
        const event_id = eventIdOf(SHAPE.output_id, key, WORLD);
        const { output_id: _output, pins: _pins, ...types } = SHAPE;
        expect(event).toBe(canonicalJson({ ...types, ...PINS, event_id, payload, ts_utc }));
        expect(eventIdIn(event)).toBe(event_id);
      }),
      { numRuns: 500 },
    );
  });

  it('is one that the envelope schema takes', () => {
    const writer = new EnvelopeWriter(SHAPE, eventIdOf);
    const line = canonicalJson({ key: 't-1', payload: { amount_minor: 1 }, ts_utc: '2018-04-01T00:00:31.000000Z' });
    const cut = cutRow(line, 0, line.length);
    expect(cut).not.toBeNull();
    if (cut === null) return;
    const envelope = asEnvelope(JSON.parse(writer.write(cut)));
    expect(envelope).toMatchObject({ ...PINS, producer: 'wsp', event_type: 'transaction', schema_version: 'v1' });
    expect(envelope.trace_id).toBeUndefined();
  });

  it('is not written at all where the engine names events by another recipe', () => {
    const other = (outputId: string, key: string): string => eventIdOf(outputId, `${key} `, WORLD);
    expect(() => new EnvelopeWriter(SHAPE, other)).toThrow(/recipe/);
  });
});

describe('a row of another form is not cut', () => {
  const ts = '"ts_utc":"2018-04-01T00:00:31.000000Z"';
  it.each([
    [
      'a member between payload and time, which would stand in the envelope',
      `{"key":"a","payload":{},"run_id":"x",${ts}}`,
    ],
    ['a payload that is no object', `{"key":"a","payload":[1],${ts}}`],
    ['an open payload', `{"key":"a","payload":{"a":{},${ts}}`],
    ['an open string in the payload', `{"key":"a","payload":{"a":"},${ts}}`],
    ['a payload that closes too early', `{"key":"a","payload":{}},${ts}}`],
    ['an empty key', `{"key":"","payload":{},${ts}}`],
    ['a key that is no text', `{"key":1,"payload":{},${ts}}`],
    ['a blank', `{"key":"a", "payload":{},${ts}}`],
    ['another order', `{"payload":{},"key":"a",${ts}}`],
    ['a time in another form', '{"key":"a","payload":{},"ts_utc":"2018-04-01T00:00:31.00000+Z"}'],
    ['no such day', '{"key":"a","payload":{},"ts_utc":"2018-02-30T00:00:31.000000Z"}'],
    ['something after it', `{"key":"a","payload":{},${ts}}x`],
    ['nothing', ''],
  ])('%s', (_name, line) => {
    expect(cutRow(line, 0, line.length)).toBeNull();
  });

  it('reads nothing beyond its own end', () => {
    const whole = `{"key":"a","payload":{"b":1},${ts}}`;
    for (let end = 0; end < whole.length; end += 1) expect(cutRow(whole, 0, end)).toBeNull();
    expect(cutRow(whole, 0, whole.length)).toMatchObject({ key: '"a"', payload: '{"b":1}' });
  });
});
